/**
 * Descriptors over the control port: HSFETCH from a named HSDir, HSPOST to named HSDirs, each awaited by its HS_DESC events.
 * Enter at `createDescriptors`.
 *
 * `HS_DESC UPLOADED` names the address and the HSDir, not the descriptor. Requests that could be mistaken for one another wait
 * for one another (claims.ts), and their time-outs count from when they are sent.
 */
import type { FetchedDescriptor, HsdirUpload, TorClient, TorEvent } from '../../core/engine/contracts/tor.ts';
import { ChimeraError } from '../../core/errors.ts';
import type { Clock, Timer } from '../../core/runtime/index.ts';
import { createClaims } from './claims.ts';
import { refusal } from './commands.ts';
import { fingerprintOf } from './event.ts';
import type { Link } from './link.ts';
import type { Reply } from './reply.ts';

export interface Descriptors {
  readonly fetch: TorClient['fetchDescriptor'];
  readonly post: TorClient['postDescriptor'];
}

const defaultTimeoutMs = 30_000;
const maximumWaiting = 1024;
/** After a failure tor may ask another HSDir by itself; it says so at once. */
const anotherRequestMs = 1_000;
/** Reasons of HS_DESC FAILED that only an upload, or only a fetch, can have. */
const uploadReasons = new Set(['UPLOAD_REJECTED']);
const fetchReasons = new Set(['NOT_FOUND', 'BAD_DESC', 'QUERY_REJECTED', 'QUERY_NO_HSDIR', 'QUERY_RATE_LIMITED']);

/** A relay's fingerprint as tor's commands take it. Throws TOR_UNKNOWN_SERVER for what is none. */
function serverName(server: string): string {
  const fingerprint = fingerprintOf(server);
  if (fingerprint === undefined || server.replace(/^\$/, '').length !== 40)
    throw new ChimeraError('TOR_UNKNOWN_SERVER', `"${server.slice(0, 60)}" is no fingerprint of a relay`, {
      remedy: 'Name the HSDir by the 40 hexadecimal characters of its fingerprint.',
    });
  return fingerprint;
}

/** The server that a 552 reply says tor does not know. */
function unknownServer(reply: Reply): string | undefined {
  return reply.code === 552
    ? /^Server "(.*)" not found/.exec(reply.lines.at(-1)?.text ?? '')?.[1]?.toUpperCase()
    : undefined;
}

export function createDescriptors(link: Link, clock: Clock): Descriptors {
  const claims = createClaims(maximumWaiting);
  let listening = false;
  const waiting = new Set<(event: TorEvent) => void>();

  /** Subscribes at the first use and stays: tor would be told twice for every request otherwise. */
  const listen = (): void => {
    if (listening) return;
    listening = true;
    for (const name of ['HS_DESC', 'HS_DESC_CONTENT'])
      link.onEvent(name, (event) => {
        for (const listener of waiting) listener(event);
      });
  };

  /**
   * Sends a request and gives it the events until `settle` is called, the time is over (`late`) or the connection is lost (`lost`).
   */
  const request = <T>(parts: {
    readonly timeoutMs: number;
    readonly onEvent: (event: TorEvent, settle: Settle<T>) => void;
    readonly send: (settle: Settle<T>) => Promise<void>;
    readonly late: (settle: Settle<T>) => void;
    readonly lost: (settle: Settle<T>) => void;
  }): Promise<T> => {
    listen();
    return new Promise<T>((resolve, reject) => {
      let timer: Timer | undefined;
      const stop = (): void => {
        timer?.cancel();
        waiting.delete(listener);
        forget();
      };
      const settle: Settle<T> = {
        resolve: (value) => {
          stop();
          resolve(value);
        },
        reject: (error) => {
          stop();
          reject(error);
        },
      };
      const listener = (event: TorEvent): void => parts.onEvent(event, settle);
      const forget = link.onState((state) => {
        if (state !== 'ready') parts.lost(settle);
      });
      waiting.add(listener);
      timer = clock.after(parts.timeoutMs, () => parts.late(settle));
      parts.send(settle).catch((error: unknown) => settle.reject(error as Error));
    });
  };

  const fetch: Descriptors['fetch'] = async (address, options = {}) => {
    const { timeoutMs = defaultTimeoutMs } = options;
    const server = options.server === undefined ? undefined : serverName(options.server);
    const from = server ?? 'an HSDir of its choice';
    const failure = (reason: string): ChimeraError =>
      new ChimeraError(
        'TOR_FETCH_FAILED',
        `tor ${link.name} got no descriptor of ${address}.onion from ${from}: ${reason}`,
        {
          remedy:
            reason === 'NOT_FOUND'
              ? 'Check that the service is up and publishes, and that this HSDir is responsible for it now.'
              : 'Try again, or ask another HSDir.',
        },
      );
    return claims.run(address, server === undefined ? undefined : [server], () => {
      const asked = new Set<string>();
      let reason = 'TIMEOUT';
      let givingUp: Timer | undefined;
      return request<FetchedDescriptor>({
        timeoutMs,
        send: async (settle) => {
          const command = server === undefined ? `HSFETCH ${address}` : `HSFETCH ${address} SERVER=${server}`;
          const reply = await link.exchange(command);
          if (reply.code === 250) return;
          settle.reject(
            unknownServer(reply) === undefined
              ? refusal(link, 'HSFETCH', reply)
              : new ChimeraError('TOR_UNKNOWN_SERVER', `tor ${link.name} knows no relay ${from}`, {
                  remedy: 'Take the HSDirs from the current consensus.',
                }),
          );
        },
        onEvent: (event, settle) => {
          if (event.name === 'HS_DESC_CONTENT') {
            const [of, , hsdir] = event.words;
            const fingerprint = fingerprintOf(hsdir);
            if (of !== address || fingerprint === undefined || !event.data?.trim()) return;
            if (server !== undefined && server !== fingerprint) return;
            givingUp?.cancel();
            settle.resolve({ text: event.data, fingerprint });
            return;
          }
          const [action, of, , hsdir = ''] = event.words;
          if (of !== address) return;
          const failed = action === 'FAILED' && !uploadReasons.has(event.fields['REASON'] ?? '');
          if (server !== undefined) {
            if (failed && fingerprintOf(hsdir) === server) settle.reject(failure(event.fields['REASON'] ?? 'FAILED'));
            return;
          }
          if (action === 'REQUESTED') {
            asked.add(hsdir);
            givingUp?.cancel();
          } else if (failed) {
            asked.delete(hsdir);
            reason = event.fields['REASON'] ?? 'FAILED';
            givingUp?.cancel();
            if (asked.size === 0) givingUp = clock.after(anotherRequestMs, () => settle.reject(failure(reason)));
          }
        },
        late: (settle) => {
          givingUp?.cancel();
          settle.reject(failure('TIMEOUT'));
        },
        lost: (settle) => {
          givingUp?.cancel();
          settle.reject(failure('the connection to tor was lost'));
        },
      });
    });
  };

  const post: Descriptors['post'] = async (address, descriptor, servers, options = {}) => {
    const { timeoutMs = defaultTimeoutMs } = options;
    const wanted = [...new Set(servers.map(serverName))];
    if (wanted.length === 0) return [];
    return claims.run(address, wanted, () => {
      const results = new Map<string, HsdirUpload>();
      const open = new Set(wanted);
      const note = (fingerprint: string, reason: string | undefined): void => {
        if (!open.delete(fingerprint)) return;
        results.set(fingerprint, {
          fingerprint,
          accepted: reason === undefined,
          ...(reason === undefined ? {} : { reason }),
        });
      };
      const finish = (settle: Settle<readonly HsdirUpload[]>): void =>
        settle.resolve(wanted.map((fingerprint) => results.get(fingerprint) as HsdirUpload));
      const finishWith = (reason: string) => (settle: Settle<readonly HsdirUpload[]>) => {
        for (const fingerprint of open) note(fingerprint, reason);
        finish(settle);
      };
      return request<readonly HsdirUpload[]>({
        timeoutMs,
        // tor refuses the whole command for one server that it does not know, so it is sent again without.
        send: async (settle) => {
          while (open.size > 0) {
            const named = [...open].map((fingerprint) => `SERVER=${fingerprint}`).join(' ');
            const reply = await link.exchange(`HSPOST ${named} HSADDRESS=${address}`, descriptor);
            if (reply.code === 250) return;
            const unknown = fingerprintOf(unknownServer(reply));
            if (unknown === undefined || !open.has(unknown)) {
              settle.reject(refusal(link, 'HSPOST', reply));
              return;
            }
            note(unknown, 'UNKNOWN_SERVER');
          }
          finish(settle);
        },
        onEvent: (event, settle) => {
          const [action, of, , hsdir] = event.words;
          const fingerprint = fingerprintOf(hsdir);
          if (event.name !== 'HS_DESC' || of !== address || fingerprint === undefined) return;
          const reason = event.fields['REASON'] ?? 'FAILED';
          if (action === 'UPLOADED') note(fingerprint, undefined);
          else if (action === 'FAILED' && !fetchReasons.has(reason)) note(fingerprint, reason);
          if (open.size === 0) finish(settle);
        },
        late: finishWith('TIMEOUT'),
        lost: finishWith('LOST'),
      });
    });
  };

  return { fetch, post };
}

interface Settle<T> {
  resolve(value: T): void;
  reject(error: Error): void;
}
