/**
 * One control connection, from the open socket to its end: commands out in order, replies matched to them in order, events to
 * a listener. It has a bound on everything it keeps and a deadline on every reply, and it ends at the first sign of disorder:
 * behind an answer that never came, no later one can be trusted. Enter at `openConnection`.
 */
import type { Duplex } from 'node:stream';
import { ChimeraError, messageOf } from '../../core/errors.ts';
import {
  formatEndpoint,
  withDeadline,
  type Clock,
  type Endpoint,
  type Net,
  type Timer,
} from '../../core/runtime/index.ts';
import { createReplyParser, defaultReplyLimits, type Reply, type ReplyLimits } from './reply.ts';

export interface ConnectionOptions {
  readonly endpoint: Endpoint;
  /** Limit for the connection to open, and for each reply from when it is its turn. */
  readonly timeoutMs: number;
  readonly limits?: ReplyLimits;
  /** Commands that may wait for their reply. */
  readonly maximumPending?: number;
  /** Called with every asynchronous reply. Must not throw. */
  readonly onEvent: (event: Reply) => void;
}

export interface ControlConnection {
  /**
   * Sends a command line, with `data` as a `+` command. Resolves with the reply whatever its code. Rejects with TOR_COMMAND
   * (cannot be sent), TOR_BUSY, TOR_TIMEOUT, TOR_LOST, or what ended the connection.
   */
  send(line: string, data?: string): Promise<Reply>;
  /** Resolves at the end with what ended it; never rejects. */
  readonly ended: Promise<Error>;
  /** Ends it; what waits rejects with `error`. */
  end(error: Error): void;
}

interface Pending {
  /** The command's name: all that a message may show of a command. */
  readonly name: string;
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: Error) => void;
}

/** tor takes no command beyond 1 MiB. */
const maximumCommand = 1 << 20;
const defaultMaximumPending = 1024;

/** The bytes of a command; data is dot-stuffed and gets CR LF. Throws TOR_COMMAND for what would be read as something else. */
export function encodeCommand(line: string, data?: string): Buffer {
  if (/[\r\n\0]/.test(line) || !/^[A-Za-z]/.test(line))
    throw new ChimeraError('TOR_COMMAND', `${commandName(line)}: a command is one line that begins with a word`);
  let text = `${line}\r\n`;
  if (data !== undefined) {
    const lines = data
      .replace(/\r?\n$/, '')
      .replace(/(^|\n)\./g, '$1..')
      .replace(/\r?\n/g, '\r\n');
    text = data === '' ? `+${line}\r\n.\r\n` : `+${line}\r\n${lines}\r\n.\r\n`;
  }
  const bytes = Buffer.from(text, 'utf8');
  if (bytes.length > maximumCommand)
    throw new ChimeraError(
      'TOR_COMMAND',
      `${commandName(line)}: ${bytes.length} bytes are more than tor takes (1 MiB)`,
    );
  return bytes;
}

/** The first word of a command line, for messages. */
export function commandName(line: string): string {
  return /^[A-Za-z_]{1,32}/.exec(line)?.[0]?.toUpperCase() ?? 'a command';
}

/** What to say when a socket could not be opened. */
function connectError(endpoint: Endpoint, error: unknown): ChimeraError {
  const where = formatEndpoint(endpoint);
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  if (code === 'EACCES' || code === 'EPERM')
    return new ChimeraError('TOR_PERMISSION', `the control socket ${where} may not be opened by this user`, {
      remedy: 'Add the user to the group that owns the socket (debian-tor on Debian), then log in again.',
      cause: error,
    });
  const absent = code === 'ECONNREFUSED' || code === 'ENOENT';
  return new ChimeraError(
    'TOR_CONNECT',
    absent ? `no tor listens at ${where}` : `cannot connect to ${where}: ${messageOf(error)}`,
    {
      remedy: 'Start tor, and set ControlPort (or ControlSocket) in its torrc to this address.',
      cause: error,
    },
  );
}

/** Opens the socket and gives a connection that has said nothing yet. Rejects with TOR_CONNECT, TOR_PERMISSION or TOR_TIMEOUT. */
export async function openConnection(
  runtime: { readonly clock: Clock; readonly net: Net },
  options: ConnectionOptions,
  signal?: AbortSignal,
): Promise<ControlConnection> {
  const { endpoint, timeoutMs } = options;
  const where = formatEndpoint(endpoint);
  const late = new ChimeraError('TOR_TIMEOUT', `${where} did not take the connection within ${timeoutMs} ms`, {
    remedy: 'Check the address and that no firewall drops the packets.',
  });
  let stream: Duplex;
  try {
    stream = await withDeadline(
      runtime.clock,
      timeoutMs,
      () => late,
      (inner) => runtime.net.connect(endpoint, inner),
      signal,
    );
  } catch (error) {
    if (error === late || signal?.aborted) throw error;
    throw connectError(endpoint, error);
  }
  return createConnection(runtime.clock, stream, options);
}

function createConnection(clock: Clock, stream: Duplex, options: ConnectionOptions): ControlConnection {
  const { endpoint, timeoutMs, maximumPending = defaultMaximumPending } = options;
  const where = formatEndpoint(endpoint);
  const pending: Pending[] = [];
  let timer: Timer | undefined;
  let over: Error | undefined;
  let replies = 0;
  let resolveEnded: (error: Error) => void = () => undefined;
  const ended = new Promise<Error>((resolve) => {
    resolveEnded = resolve;
  });

  const end = (error: Error): void => {
    if (over !== undefined) return;
    over = error;
    timer?.cancel();
    stream.destroy();
    for (const command of pending.splice(0)) command.reject(error);
    resolveEnded(error);
  };

  /** The deadline of the command whose reply is next. */
  const watch = (): void => {
    timer?.cancel();
    timer = undefined;
    const [head] = pending;
    if (head === undefined || over !== undefined) return;
    timer = clock.after(timeoutMs, () => {
      end(
        new ChimeraError('TOR_TIMEOUT', `tor at ${where} did not answer ${head.name} within ${timeoutMs} ms`, {
          remedy:
            replies === 0
              ? "Check that the address is tor's ControlPort, and that tor is neither stopped nor overloaded."
              : 'Check that tor is neither stopped nor overloaded.',
        }),
      );
    });
  };

  const parser = createReplyParser((reply) => {
    if (over !== undefined) return;
    if (reply.code >= 600 && reply.code < 700) {
      options.onEvent(reply);
      return;
    }
    replies++;
    const command = pending.shift();
    if (command === undefined) {
      end(new ChimeraError('TOR_REPLY', `tor at ${where} sent a reply that nothing was asked for`));
      return;
    }
    watch();
    command.resolve(reply);
  }, options.limits ?? defaultReplyLimits);

  const closed = (): void => {
    end(
      replies === 0 && pending.length > 0
        ? new ChimeraError('TOR_NOT_CONTROL_PORT', `${where} closed the connection without an answer`, {
            remedy: "Check that the address is tor's ControlPort; SocksPort, ORPort and others are something else.",
          })
        : new ChimeraError('TOR_LOST', `tor at ${where} closed the control connection`, {
            remedy: "See tor's log; the connection is opened again by itself.",
          }),
    );
  };
  stream.on('data', (chunk: Uint8Array) => {
    if (over !== undefined) return;
    try {
      parser.push(chunk);
    } catch (error) {
      end(
        error instanceof ChimeraError
          ? new ChimeraError(
              error.code,
              `${where}: ${error.message}`,
              error.remedy === undefined ? {} : { remedy: error.remedy },
            )
          : (error as Error),
      );
    }
  });
  stream.on('error', (error: Error) => {
    end(new ChimeraError('TOR_LOST', `the control connection to ${where} broke: ${error.message}`, { cause: error }));
  });
  stream.on('end', closed);
  stream.on('close', closed);

  return {
    ended,
    end,
    send: (line, data) =>
      new Promise((resolve, reject) => {
        if (over !== undefined) throw over;
        if (pending.length >= maximumPending)
          throw new ChimeraError('TOR_BUSY', `${maximumPending} commands already wait for tor at ${where}`, {
            remedy: 'Send fewer at once; if this stays, tor is overloaded.',
          });
        const bytes = encodeCommand(line, data);
        pending.push({ name: commandName(line), resolve, reject });
        if (pending.length === 1) watch();
        stream.write(bytes);
      }),
  };
}
