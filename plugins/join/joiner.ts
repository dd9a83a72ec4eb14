/**
 * The joiner's side: knocks at the door of a service, over tor or directly, again after a while when nobody answers, and
 * checks what comes back. It changes nothing; `chimera join` keeps the answer. Enter at `joinCluster`.
 */
import type { Duplex } from 'node:stream';
import type { ClusterSecret, NodeIdentity } from '../../core/engine/index.ts';
import { ChimeraError, isChimeraError, messageOf } from '../../core/errors.ts';
import {
  connectThroughSocks,
  formatEndpoint,
  jittered,
  withDeadline,
  type Clock,
  type Endpoint,
  type Net,
  type Random,
} from '../../core/runtime/index.ts';
import { openSealed } from '../identity/index.ts';
import { knock } from './handshake.ts';
import type { Invitation } from './invitation.ts';
import { encodeRequest, largestReply, readReply, readSecrets } from './messages.ts';

/** What a node needs to be a member. */
export interface Joined {
  /** The founder's id. */
  readonly cluster: string;
  /** The service's address, with ".onion", when the member knew it. */
  readonly address: string | undefined;
  /** Of the publisher, or the highest that the member knew. */
  readonly epoch: number | undefined;
  /** As Roster.entries() gives them. */
  readonly roster: Uint8Array;
  readonly secrets: readonly ClusterSecret[];
}

export type Where =
  | { readonly kind: 'onion'; readonly host: string; readonly port: number; readonly socks: Endpoint }
  | { readonly kind: 'direct'; readonly endpoint: Endpoint };

export interface JoinOptions {
  readonly where: Where;
  readonly invitation: Invitation;
  readonly identity: NodeIdentity;
  readonly endpoints: readonly string[];
  readonly attempts?: number;
  /** One attempt, all of it. */
  readonly timeoutMs?: number;
  readonly say?: (progress: string) => void;
  readonly signal?: AbortSignal;
}

const shortestRetryMs = 2_000;
const longestRetryMs = 30_000;
const longestAnswerHead = 16_384;
/** base64 and JSON around what a reply may carry. */
const longestAnswer = Math.ceil(largestReply * 1.4) + 65_536;

function placeOf(where: Where): string {
  return where.kind === 'onion' ? `${where.host}:${where.port}` : formatEndpoint(where.endpoint);
}

function refused(where: Where): ChimeraError {
  return new ChimeraError('JOIN_REFUSED', `${placeOf(where)} does not let this node in`, {
    remedy:
      'make a new invitation with `chimera peer invite`: this one may be over, or used by another node; see that the address is the cluster’s, and that the node that made it runs',
  });
}

function unfit(where: Where, what: string): ChimeraError {
  return new ChimeraError('JOIN_ANSWER', `${placeOf(where)} ${what}`, {
    remedy: 'check the address, and that the nodes there run Chimera with the plugins join and proxy',
  });
}

/** The body of an HTTP answer with 200; undefined for 404. Rejects with JOIN_ANSWER. */
async function readAnswer(stream: Duplex, where: Where): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of stream as AsyncIterable<Uint8Array>) {
      chunks.push(chunk);
      length += chunk.length;
      if (length > longestAnswer) throw unfit(where, 'sends more than any answer has');
    }
  } catch (error) {
    if (isChimeraError(error)) throw error;
    if (length === 0) throw unfit(where, `broke the connection: ${messageOf(error)}`);
  }
  const all = Buffer.concat(chunks);
  const end = all.indexOf('\r\n\r\n');
  if (end < 0 || end > longestAnswerHead)
    throw unfit(where, length === 0 ? 'closed the connection' : 'does not answer in HTTP');
  const head = all.subarray(0, end).toString('latin1');
  const status = /^HTTP\/1\.[01] (\d{3})/.exec(head)?.[1];
  if (status === '404') return undefined;
  if (status !== '200') throw unfit(where, `answers with status ${status ?? 'none'}, as no member does`);
  const body = all.subarray(end + 4);
  const said = /^content-length:[ \t]*(\d{1,9})[ \t]*$/im.exec(head)?.[1];
  if (said === undefined || Number(said) !== body.length) throw unfit(where, 'broke off in the middle of its answer');
  return body;
}

async function connect(
  runtime: { readonly net: Net; readonly clock: Clock; readonly random: Random },
  where: Where,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Duplex> {
  if (where.kind === 'onion') {
    // A new circuit each time: perhaps to another head.
    const isolation = Buffer.from(runtime.random.bytes(8)).toString('hex');
    const { socks, host, port } = where;
    return connectThroughSocks(runtime, { socks, host, port, timeoutMs, isolation, signal });
  }
  try {
    return await runtime.net.connect(where.endpoint, signal);
  } catch (error) {
    if (signal.aborted) throw error;
    throw unfit(where, `cannot be reached: ${messageOf(error)}`);
  }
}

/** One attempt; undefined when it was refused. */
async function attempt(
  runtime: { readonly net: Net; readonly clock: Clock; readonly random: Random },
  options: JoinOptions,
  timeoutMs: number,
): Promise<Joined | undefined> {
  const { where, invitation, identity, endpoints } = options;
  const { selector, token } = invitation;
  const late = (): ChimeraError => unfit(where, `did not answer in full within ${timeoutMs / 1_000} s`);
  return withDeadline(
    runtime.clock,
    timeoutMs,
    late,
    async (signal) => {
      const stream = await connect(runtime, where, timeoutMs, signal);
      stream.on('error', () => undefined);
      const cut = (): void => void stream.destroy();
      signal.addEventListener('abort', cut, { once: true });
      try {
        const handshake = knock(token, selector, runtime.random, (ephemeral) =>
          encodeRequest(identity, selector, ephemeral, endpoints),
        );
        const host = where.kind === 'onion' ? where.host : 'localhost';
        const head = `POST /.rb/${selector} HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/octet-stream\r\nContent-Length: ${handshake.message.length}\r\nConnection: close\r\n\r\n`;
        stream.write(Buffer.concat([Buffer.from(head), handshake.message]));
        const answer = await readAnswer(stream, where);
        return answer === undefined ? undefined : understood(options, handshake.finish(answer));
      } finally {
        signal.removeEventListener('abort', cut);
        stream.destroy();
      }
    },
    options.signal,
  );
}

/** Checks an answer that the handshake has opened. Throws JOIN_ANSWER. */
function understood({ where, invitation, identity }: JoinOptions, payload: Uint8Array | undefined): Joined {
  if (payload === undefined) throw unfit(where, 'answered, but does not know the invitation');
  const reply = readReply(payload);
  if (reply === undefined) throw unfit(where, 'answered in a way that this version does not understand');
  const subject = { purpose: 'join', about: [reply.cluster, invitation.selector] };
  const secrets = readSecrets(openSealed(identity, reply.responder, subject, reply.secrets));
  if (secrets === undefined) throw unfit(where, 'gave no secret of the cluster');
  const { cluster, address, epoch, roster } = reply;
  return { cluster, address: address ?? undefined, epoch, roster, secrets };
}

/** What waiting may heal. */
function passing(error: unknown): boolean {
  return ['JOIN_ANSWER', 'SOCKS_TARGET'].some((code) => isChimeraError(error) && error.code === code);
}

/**
 * Joins: tries `attempts` times, with a growing wait. Rejects with JOIN_REFUSED, JOIN_ANSWER, SOCKS_CONNECT or SOCKS_TARGET. To be
 * called again with the same identity and invitation is harmless, and gives the same.
 */
export async function joinCluster(
  runtime: { readonly net: Net; readonly clock: Clock; readonly random: Random },
  options: JoinOptions,
): Promise<Joined> {
  const { where, attempts = 5, timeoutMs = 90_000, say } = options;
  for (let tried = 1; ; tried++) {
    let failure: unknown;
    try {
      const joined = await attempt(runtime, options, timeoutMs);
      if (joined !== undefined) return joined;
      failure = refused(where);
    } catch (error) {
      options.signal?.throwIfAborted();
      if (!passing(error)) throw error;
      failure = error;
    }
    if (tried >= attempts) throw failure;
    const waitMs = jittered(runtime.random, Math.min(longestRetryMs, shortestRetryMs * 2 ** (tried - 1)), 0.25);
    say?.(`${messageOf(failure)}; again in ${Math.round(waitMs / 1_000)} s (${tried} of ${attempts} attempts)`);
    await runtime.clock.sleep(waitMs, options.signal);
  }
}
