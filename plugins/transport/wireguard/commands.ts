/** Runs `ip`, `wg` and `wireguard-go`. Secrets go in on standard input, never on a command line. */
import { ChimeraError, messageOf } from '../../../core/errors.ts';
import { withDeadline, type ChildProcess, type Clock, type Processes } from '../../../core/runtime/index.ts';

export interface CommandRuntime {
  readonly clock: Clock;
  readonly processes: Processes;
}

export interface CommandResult {
  readonly code: number | null;
  readonly output: string;
}

const timeoutMs = 10_000;
const packages: Readonly<Record<string, string>> = {
  ip: 'iproute2',
  wg: 'wireguard-tools',
  'wireguard-go': 'wireguard-go, or use a kernel with the wireguard module',
};

/** Starts a program. Rejects with WIREGUARD_MISSING when there is none. */
export async function startProgram(
  { processes }: CommandRuntime,
  command: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  input = '',
): Promise<ChildProcess> {
  try {
    return await processes.start(command, args, { environment, input });
  } catch (error) {
    throw new ChimeraError('WIREGUARD_MISSING', `cannot start ${command}: ${messageOf(error)}`, {
      remedy: `install the Debian package ${packages[command] ?? command}`,
      cause: error,
    });
  }
}

/** Runs a command to its end, whatever that is. A command that hangs is killed. */
export async function tryCommand(
  runtime: CommandRuntime,
  command: string,
  args: readonly string[],
  input = '',
): Promise<CommandResult> {
  const child = await startProgram(runtime, command, args, {}, input);
  try {
    const late = (): Error =>
      new ChimeraError('WIREGUARD_COMMAND', `${command} ${args[0] ?? ''} did not end within ${timeoutMs / 1_000} s`);
    const { code } = await withDeadline(runtime.clock, timeoutMs, late, () => child.ended);
    return { code, output: child.output().trim() };
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  }
}

/** Runs a command that must succeed; its output. Rejects with WIREGUARD_COMMAND. */
export async function runCommand(
  runtime: CommandRuntime,
  command: string,
  args: readonly string[],
  input = '',
): Promise<string> {
  const { code, output } = await tryCommand(runtime, command, args, input);
  if (code === 0) return output;
  throw commandFailed(`${command} ${args.slice(0, 6).join(' ')}`, output);
}

export function commandFailed(what: string, output: string): ChimeraError {
  const denied = /not permitted|permission denied/i.test(output);
  return new ChimeraError('WIREGUARD_COMMAND', `${what} failed: ${output.slice(-500) || 'it said nothing'}`, {
    remedy: denied
      ? 'run Chimera as root or with CAP_NET_ADMIN (and /dev/net/tun for wireguard-go)'
      : 'run the command by hand; WireGuard needs the kernel module or wireguard-go, and IPv6 switched on',
  });
}
