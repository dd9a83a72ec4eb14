/**
 * The admin socket: opened safely, and served to few at a time. Who may connect to it is the file system's business: the
 * socket is of mode 0600 in a directory that nobody else may write.
 *
 *   accepted ─ a line within requestLimitMs ─► running ─ say … ─► answered ─► closed
 */
import type { Duplex } from 'node:stream';
import type { AdminCommand, Json } from '../../core/engine/index.ts';
import { ChimeraError, isChimeraError, messageOf } from '../../core/errors.ts';
import { withDeadline, type Clock, type Listener, type Log, type Net, type Store } from '../../core/runtime/index.ts';
import {
  encodeError,
  encodeResult,
  encodeSay,
  lineSplitter,
  maximumAnswerBytes,
  maximumRequestBytes,
  parseRequest,
  type AdminRequest,
} from './protocol.ts';

/** sun_path of unix(7) holds 108 bytes with its end. */
const longestPath = 107;
const maximumConnections = 16;
const requestLimitMs = 5_000;
const commandLimitMs = 600_000;
/** A reader that takes nothing for this long is cut. */
const readerLimitMs = 10_000;
/** Progress beyond this is not sent. */
const maximumSays = 10_000;

export interface AdminServerOptions {
  readonly runtime: { readonly clock: Clock; readonly net: Net; readonly store: Store };
  readonly log: Log;
  readonly path: string;
  readonly find: (name: string) => AdminCommand | undefined;
}

function refused(path: string, what: string, remedy: string, cause?: unknown): ChimeraError {
  return new ChimeraError('ADMIN_SOCKET', `the admin socket ${path} cannot be opened: ${what}`, {
    remedy,
    ...(cause === undefined ? {} : { cause }),
  });
}

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? '';

/** Makes room at `path`: a socket whose process is gone is removed, anything else is not touched. */
async function clear({ runtime, path }: AdminServerOptions): Promise<void> {
  const { clock, net, store } = runtime;
  try {
    const late = (): Error => new Error('silent');
    const stream = await withDeadline(clock, 1_000, late, (signal) => net.connect({ path }, signal));
    stream.destroy();
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return;
    if (codeOf(error) === 'ECONNREFUSED') {
      // Reading a socket is refused (ENXIO); what can be read is somebody's file.
      const content = await store.read(path, 1).catch((problem: unknown) => codeOf(problem) === 'EFBIG');
      if (content !== undefined && content !== false) {
        throw refused(path, 'there is a file that is no socket', 'move it away, or set admin.socket');
      }
      await store.remove(path);
      return;
    }
    if (codeOf(error) !== '') {
      throw refused(path, messageOf(error), 'run as the user that owns the directory, or set admin.socket', error);
    }
  }
  throw new ChimeraError('ADMIN_TAKEN', `another node answers at ${path}`, {
    remedy: 'stop it first; two nodes need a state directory each',
  });
}

/** Opens the socket. Rejects with ADMIN_SOCKET or ADMIN_TAKEN. */
export async function openAdminServer(options: AdminServerOptions): Promise<Listener> {
  const { runtime, path } = options;
  const { net, store } = runtime;
  if (Buffer.byteLength(path) > longestPath) {
    throw refused(path, `its path has more than ${longestPath} bytes`, 'set admin.socket to a shorter path');
  }
  const directory = path.slice(0, Math.max(1, path.lastIndexOf('/')));
  try {
    await store.makeDirectory(directory);
    if (((await store.mode(directory)) ?? 0) & 0o022) {
      throw refused(path, `others may write ${directory}`, `chmod 700 ${directory}, or set admin.socket`);
    }
    await clear(options);
    let open = 0;
    return await net.listen({ path }, (stream) => {
      // Somebody always listens, so that a reset does not end the process.
      stream.on('error', () => undefined);
      if (open >= maximumConnections) {
        const busy = new ChimeraError('ADMIN_REQUEST', `more than ${maximumConnections} requests at once`, {
          remedy: 'wait for the others to end',
        });
        stream.end(encodeError(busy), () => stream.destroy());
        return;
      }
      open++;
      serve(options, stream)
        .catch((error: unknown) => options.log.debug('a connection at the admin socket ended', { error }))
        .finally(() => {
          open--;
          stream.destroy();
        });
    });
  } catch (error) {
    if (isChimeraError(error)) throw error;
    throw refused(
      path,
      messageOf(error),
      'let the user that runs Chimera write its directory, or set admin.socket',
      error,
    );
  }
}

/** The first line that arrives. Rejects with ADMIN_REQUEST. */
async function readRequest(clock: Clock, stream: Duplex): Promise<AdminRequest> {
  const tooLong = (): Error =>
    new ChimeraError('ADMIN_REQUEST', `the request has more than ${maximumRequestBytes} bytes`);
  const split = lineSplitter(maximumRequestBytes, tooLong);
  const late = (): Error => new ChimeraError('ADMIN_REQUEST', `no request within ${requestLimitMs / 1_000} s`);
  const line = await withDeadline(
    clock,
    requestLimitMs,
    late,
    () =>
      new Promise<Uint8Array>((resolve, reject) => {
        stream.on('data', (chunk: Uint8Array) => {
          try {
            const [first] = split(chunk);
            if (first !== undefined) resolve(first);
          } catch (error) {
            reject(error as Error);
          }
        });
        stream.once('close', () => reject(new Error('it was closed before its request')));
      }),
  );
  return parseRequest(line);
}

/** Writes all of it, or rejects when the other side takes too long. */
async function write(clock: Clock, stream: Duplex, text: string): Promise<void> {
  const late = (): Error => new Error('the reader is too slow');
  await withDeadline(
    clock,
    readerLimitMs,
    late,
    () =>
      new Promise<void>((resolve, reject) => {
        stream.write(text, (error) => (error ? reject(error) : resolve()));
      }),
  );
}

async function serve({ runtime, log, find }: AdminServerOptions, stream: Duplex): Promise<void> {
  const { clock } = runtime;
  const gone = new AbortController();
  stream.once('close', () => gone.abort(new ChimeraError('ADMIN_ANSWER', 'the one who asked has gone')));
  let says = 0;
  let last: string;
  try {
    const { command: name, args } = await readRequest(clock, stream);
    // What comes behind the request is read and dropped, so that the end of the connection is seen.
    const command = find(name);
    if (command === undefined) {
      throw new ChimeraError('ADMIN_COMMAND', `this node has no command ${name}`, {
        remedy: 'a command comes with its plugin: see in docs/cli.md which, and add it to the configuration',
      });
    }
    const say = (text: string): void => {
      if (says++ < maximumSays && !stream.destroyed) stream.write(encodeSay(text));
    };
    const late = (): Error =>
      new ChimeraError('ADMIN_FAILED', `${name} was not done within ${commandLimitMs / 1_000} s`);
    const run = (signal: AbortSignal): Promise<Json> => command.run(args, say, signal);
    last = encodeResult(await withDeadline(clock, commandLimitMs, late, run, gone.signal));
    if (Buffer.byteLength(last) > maximumAnswerBytes) {
      throw new ChimeraError('ADMIN_FAILED', `the answer to ${name} is larger than ${maximumAnswerBytes} bytes`);
    }
  } catch (error) {
    if (stream.destroyed) return;
    if (!isChimeraError(error)) log.error('a command failed', { error });
    last = encodeError(error);
  }
  await write(clock, stream, last);
  stream.end();
}
