/** The other end of the admin socket: asks a running node, and hands on its progress. Enter at `askNode`. */
import type { Json } from '../../core/engine/index.ts';
import { ChimeraError, messageOf } from '../../core/errors.ts';
import { withDeadline, type Clock, type Net } from '../../core/runtime/index.ts';
import { encodeRequest, lineSplitter, maximumAnswerBytes, parseAnswer, type AdminRequest } from './protocol.ts';

const connectLimitMs = 5_000;

export interface AskOptions {
  /** The socket. */
  readonly path: string;
  readonly request: AdminRequest;
  /** How the operator starts the node that should be there. */
  readonly howToStart: string;
  readonly say?: (progress: string) => void;
  readonly signal?: AbortSignal;
}

function unreachable({ path, howToStart }: AskOptions, error: unknown): ChimeraError {
  const code = (error as NodeJS.ErrnoException).code;
  const make = (what: string, remedy: string): ChimeraError =>
    new ChimeraError('ADMIN_UNREACHABLE', `no node answers at ${path}: ${what}`, { remedy, cause: error });
  const start = `start it (${howToStart}), or name its socket with --socket or its configuration with --config`;
  if (code === 'ENOENT') return make('there is no such socket, so none runs', start);
  if (code === 'ECONNREFUSED') return make('the node that made the socket is gone', start);
  if (code === 'EACCES' || code === 'EPERM')
    return make('this user may not', 'run this as the user that runs the node, or as root');
  return make(messageOf(error), start);
}

/**
 * What a command of the node answers. Rejects with its error, with ADMIN_UNREACHABLE when no node is there, or with
 * ADMIN_ANSWER when it ends before it has answered.
 */
export async function askNode(
  runtime: { readonly net: Net; readonly clock: Clock },
  options: AskOptions,
): Promise<Json> {
  const { path, request, say, signal } = options;
  const late = (): Error => new Error(`it was silent for ${connectLimitMs / 1_000} s`);
  const stream = await withDeadline(
    runtime.clock,
    connectLimitMs,
    late,
    (inner) => runtime.net.connect({ path }, inner),
    signal,
  ).catch((error: unknown) => {
    throw unreachable(options, error);
  });
  const tooLong = (): Error => new ChimeraError('ADMIN_ANSWER', `the answer has more than ${maximumAnswerBytes} bytes`);
  const split = lineSplitter(maximumAnswerBytes, tooLong);
  try {
    return await new Promise<Json>((resolve, reject) => {
      const ended = (): void =>
        reject(
          new ChimeraError('ADMIN_ANSWER', `the node at ${path} went away before it had answered`, {
            remedy: 'see its log; it may have been stopped',
          }),
        );
      stream.on('error', ended);
      stream.once('close', ended);
      stream.on('data', (chunk: Uint8Array) => {
        try {
          for (const line of split(chunk)) {
            const answer = parseAnswer(line);
            if ('say' in answer) say?.(answer.say);
            else if ('result' in answer) resolve(answer.result);
            else reject(answer.error);
          }
        } catch (error) {
          reject(error as Error);
        }
      });
      signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
      stream.write(encodeRequest(request));
    });
  } finally {
    stream.destroy();
  }
}
