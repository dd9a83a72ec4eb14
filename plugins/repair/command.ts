/** The command that restarts a tor: what the configuration's `unit` or `command` makes of it, and running it. */
import { ChimeraError, messageOf } from '../../core/errors.ts';
import { withDeadline, type Clock, type Processes } from '../../core/runtime/index.ts';

/** A program and its arguments, without a shell. */
export type CommandLine = readonly [string, ...string[]];

/** Undefined when neither is told: nothing restarts that tor. */
export function restartCommand(
  unit: string | undefined,
  command: readonly string[] | undefined,
): CommandLine | undefined {
  if (unit !== undefined) return ['systemctl', 'restart', unit];
  const [program, ...args] = command ?? [];
  return program === undefined ? undefined : [program, ...args];
}

/** Runs a command to its end. Rejects with REPAIR_COMMAND when it cannot be started, fails, or takes too long. */
export async function runCommand(
  { processes, clock }: { readonly processes: Processes; readonly clock: Clock },
  [command, ...args]: CommandLine,
  limitMs: number,
  signal: AbortSignal,
): Promise<void> {
  const failed = (
    why: string,
    remedy = 'let the user that runs Chimera do this (a rule of polkit or sudo), and try it by hand',
  ): ChimeraError =>
    // Without its arguments: what is in them is the operator's, and this goes to the log, the journal and the status.
    new ChimeraError('REPAIR_COMMAND', `${command}: ${why}`, { remedy });
  const child = await processes.start(command, args).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw failed(messageOf(error));
    throw failed(
      'there is no such command on this machine',
      'name one by its whole path (repair.tors, command); unit is for machines where systemd runs tor',
    );
  });
  try {
    const late = (): Error => failed(`it was not done within ${Math.round(limitMs / 1_000)} s`);
    const { code, signal: killed } = await withDeadline(clock, limitMs, late, () => child.ended, signal);
    if (code !== 0) throw failed(`it ended with ${killed ?? code}: ${child.output().trim().slice(-300)}`);
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  }
}
