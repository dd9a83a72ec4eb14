/** A stock client: curl through a stock tor, once a second, and long downloads beside. */
import type { OnionAddress } from '../../../core/onion/index.ts';
import type { Runtime, Timer } from '../../../core/runtime/index.ts';
import type { PrivateTor } from '../../kit/network/private/index.ts';

export interface Visit {
  /** Monotonic clock of this process. */
  readonly atMs: number;
  readonly durationMs: number;
  /** Whose head served it; undefined when it failed. */
  readonly head: string | undefined;
}

export interface Download {
  readonly head: string | undefined;
  readonly complete: boolean;
}

export interface Client {
  /** Once a second, on the circuits of the visits before, as Tor's default isolation has it. */
  readonly visits: readonly Visit[];
  /** Every five seconds on circuits of its own: a draw of its own among the introduction points that the client knows. */
  readonly isolated: readonly Visit[];
  /** Begins to visit. */
  begin(): void;
  /** Ends that; resolves when the last visit has. */
  stop(): Promise<void>;
  /** One visit, on circuits of its own. */
  visit(): Promise<Visit>;
  /** Starts a download of that many seconds on circuits of its own; the first promise settles when its head is known. */
  download(seconds: number): { readonly begun: Promise<string | undefined>; readonly ended: Promise<Download> };
}

const intervalMs = 1_000;
const isolatedEvery = 5;
/** A visit that is not answered within this time has failed. */
const limitSeconds = 10;

export function createClient(runtime: Runtime, tor: PrivateTor, address: OnionAddress, clientName = 'client'): Client {
  const { clock, processes } = runtime;
  const visits: Visit[] = [];
  const isolated: Visit[] = [];
  const open = new Set<Promise<unknown>>();
  let timer: Timer | undefined;
  let serial = 0;
  const { path } = tor.socks as { path: string };
  const proxy = (isolation?: string): string =>
    `socks5h://${isolation === undefined ? '' : `${isolation}:x@`}localhost${path}`;

  const visit = async (isolation?: string): Promise<Visit> => {
    const atMs = clock.monotonic();
    const words = ['-sSf', '-m', String(limitSeconds), '-x', proxy(isolation), `http://${address}.onion/`];
    const curl = await processes.start('curl', words);
    const { code } = await curl.ended;
    return { atMs, durationMs: clock.monotonic() - atMs, head: code === 0 ? curl.output().trim() : undefined };
  };
  const record = async (into: Visit[], isolation?: string): Promise<void> => {
    into.push(await visit(isolation));
  };
  const track = <T>(work: Promise<T>): Promise<T> => {
    open.add(work);
    void work.finally(() => open.delete(work));
    return work;
  };

  return {
    visits,
    isolated,
    begin: () => {
      let dueMs = clock.monotonic();
      let count = 0;
      const next = (): void => {
        dueMs += intervalMs;
        timer = clock.after(dueMs - clock.monotonic(), next);
        void track(record(visits));
        if (count++ % isolatedEvery === 0) void track(record(isolated, `${clientName}-${serial++}`));
      };
      next();
    },
    stop: async () => {
      timer?.cancel();
      await Promise.all(open);
    },
    visit: () => visit(`${clientName}-visit${serial++}`),
    download: (seconds) => {
      const words = ['-sSfN', '-m', String(seconds + 60), '-x', proxy(`${clientName}-download${serial++}`)];
      const started = processes.start('curl', [...words, `http://${address}.onion/slow/${seconds}`]);
      const headIn = (text: string): string | undefined => /^(\w+)\n/.exec(text)?.[1];
      const begun = (async () => {
        const curl = await started;
        let over = false;
        void curl.ended.then(() => (over = true));
        let head: string | undefined;
        while (head === undefined) {
          head = headIn(curl.output());
          if (over) break;
          await clock.sleep(50);
        }
        return head;
      })();
      const ended = track(
        (async () => {
          const head = await begun;
          const curl = await started;
          const { code } = await curl.ended;
          return { head, complete: code === 0 && curl.output().endsWith('end\n') };
        })(),
      );
      return { begun, ended };
    },
  };
}
