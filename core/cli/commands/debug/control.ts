/** What the commands that ask a tor have in common: where its control port is, how to get in, and to leave again. */
import { Option, type Command } from 'commander';
import type { TorClient } from '../../../engine/contracts/tor.ts';
import { ChimeraError } from '../../../errors.ts';
import { formatEndpoint, type Endpoint, type Runtime } from '../../../runtime/index.ts';
import type { CommandContext } from '../../context.ts';
import { readInputFile } from '../../files.ts';
import { endpoint, secondsAsMs } from '../../options.ts';

export interface ControlOptions {
  readonly control?: Endpoint;
  readonly controlPasswordFile?: string;
  readonly cookie?: string;
  /** Milliseconds. */
  readonly timeout: number;
}

/** Debian's tor listens here; a directory that this user may not list has no socket that it could open. */
const socketDirectory = '/run/tor';
const defaultHost = '127.0.0.1';
/** How often a connection in the making is looked at. */
const lookEveryMs = 20;

/** The options of every command that asks a tor. */
export function addControlOptions(command: Command, defaultSeconds: number): Command {
  return command
    .addOption(
      new Option(
        '--control <endpoint>',
        `tor's control port: host:port or unix:/path (default: unix:${socketDirectory}/control if it exists, else ${defaultHost}:9051)`,
      ).argParser(endpoint),
    )
    .option('--control-password-file <file>', 'a file whose first line is the password of the control port')
    .option('--cookie <file>', 'the authentication cookie, when it is not where tor says')
    .addOption(
      new Option('--timeout <seconds>', 'the longest wait for tor')
        .argParser(secondsAsMs)
        .default(defaultSeconds * 1000, `${defaultSeconds}`),
    );
}

/** The endpoint given, or the socket `name` of Debian's tor where there is one, or the port on this machine. */
export async function endpointOrDefault(
  runtime: Runtime,
  given: Endpoint | undefined,
  name: string,
  port: number,
): Promise<Endpoint> {
  if (given !== undefined) return given;
  const sockets = await runtime.store.list(socketDirectory).catch((): string[] => []);
  return sockets.includes(name) ? { path: `${socketDirectory}/${name}` } : { host: defaultHost, port };
}

/** Resolves once the client may be used; rejects with what the first attempt failed of. */
async function connected(runtime: Runtime, tor: TorClient, limitMs: number): Promise<void> {
  // The client itself would go on trying, as it should in a daemon; here the first failure is the answer.
  const ready = tor.ready(limitMs);
  ready.catch(() => undefined);
  while (tor.state === 'connecting' && tor.lastError === undefined) {
    await Promise.race([ready, runtime.clock.sleep(lookEveryMs)]);
  }
  if (tor.state !== 'ready' && tor.lastError !== undefined) throw tor.lastError;
  await ready;
}

/** Connects, hands the tor to `work`, and closes whatever happens. */
export async function withTor<T>(
  context: CommandContext,
  options: ControlOptions,
  work: (tor: TorClient, control: string) => Promise<T>,
): Promise<T> {
  const { runtime } = context;
  const { controlPasswordFile, cookie, timeout: timeoutMs } = options;
  const control = await endpointOrDefault(runtime, options.control, 'control', 9051);
  const password =
    controlPasswordFile === undefined
      ? undefined
      : Buffer.from(await readInputFile(context, controlPasswordFile))
          .toString('utf8')
          .split(/\r?\n/, 1)[0];
  if (password === '') {
    throw new ChimeraError('CLI_FILE', `${controlPasswordFile}: the first line is empty`, {
      remedy: 'write the password of the control port into its first line',
    });
  }
  const tor = context.connectTor({
    control,
    commandTimeoutMs: timeoutMs,
    ...(password === undefined ? {} : { password }),
    ...(cookie === undefined ? {} : { cookiePath: cookie }),
  });
  try {
    await connected(runtime, tor, timeoutMs);
    return await work(tor, formatEndpoint(control));
  } finally {
    await tor.close();
  }
}
