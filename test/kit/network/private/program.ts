/** Running a program of the tor package to its end. */
import { ChimeraError, messageOf } from '../../../../core/errors.ts';
import type { ChildProcess, ProcessOptions, Runtime } from '../../../../core/runtime/index.ts';

const outputLines = 12;

/** Starts `command`; throws LAB_TOR_MISSING when the system has no such program. */
export async function startProgram(
  runtime: Runtime,
  command: string,
  args: readonly string[],
  options: ProcessOptions = {},
): Promise<ChildProcess> {
  try {
    return await runtime.processes.start(command, args, options);
  } catch (error) {
    throw new ChimeraError('LAB_TOR_MISSING', `cannot start \`${command}\`: ${messageOf(error)}`, {
      remedy: 'Install the Debian package `tor` (it has `tor` and `tor-gencert`), and see that both are on the PATH.',
      cause: error,
    });
  }
}

/** Runs `command` and resolves when it has ended well; throws LAB_TOR_EXITED with its last output when not. */
export async function runProgram(
  runtime: Runtime,
  command: string,
  args: readonly string[],
  options: ProcessOptions = {},
): Promise<void> {
  const child = await startProgram(runtime, command, args, options);
  const { code, signal } = await child.ended;
  if (code === 0) return;
  throw new ChimeraError(
    'LAB_TOR_EXITED',
    `\`${command}\` ended with ${signal ?? `code ${code}`}; its last output:\n${lastLines(child.output())}`,
    { remedy: 'Read the output: it names the option, file or port that was refused.' },
  );
}

/** What tor says of every look at its control port, ten times a second. */
const chatter = /New control connection opened/;

/** The end of a program's output, for an error message. */
export function lastLines(output: string): string {
  const lines = output
    .trim()
    .split('\n')
    .filter((line) => !chatter.test(line))
    .slice(-outputLines);
  return lines.map((line) => `  ${line}`).join('\n');
}
