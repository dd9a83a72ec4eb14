/**
 * backends: heads of which only the onion address is known, plain OnionBalance backends on other machines. Their
 * descriptors are fetched from the HSDirs as a client would. With it Chimera takes OnionBalance's place on one machine.
 *
 *   fetch: at the start · when a time period begins or ends · every refresh_interval_secs (±20 %) · sooner after a failure
 */
import * as v from 'valibot';
import { integer, onionAddress } from '../../core/config/schema.ts';
import {
  definePlugin,
  headRegistryContract,
  masterContract,
  torContract,
  type TorClient,
} from '../../core/engine/index.ts';
import { ChimeraError } from '../../core/errors.ts';
import { clientSlot, readOuter, type OnionAddress } from '../../core/onion/index.ts';
import type { Consensus, HeadReport } from '../../core/pipeline/index.ts';
import { jittered, parseEndpoint, type Clock, type Endpoint, type Random } from '../../core/runtime/index.ts';
import { watchBackend } from './watch.ts';

const options = v.strictObject({
  /** The backends' onion addresses. Each must be an OnionBalance instance of the master address. */
  addresses: v.pipe(v.array(onionAddress), v.minLength(1, 'must name at least one backend')),
  refresh_interval_secs: v.optional(integer(5, 7_200), 300),
  /** Without a descriptor for this long, a backend is left out. */
  stale_after_secs: v.optional(integer(60, 86_400), 3_600),
  timeout_ms: v.optional(integer(1_000, 120_000), 30_000),
  /** Connects to each backend again and again on one circuit, to see its death in seconds. Port 0 turns it off. */
  watch_port: v.optional(integer(0, 65_535), 80),
  watch_interval_ms: v.optional(integer(500, 600_000), 2_000),
  watch_timeout_ms: v.optional(integer(500, 120_000), 5_000),
  watch_failures: v.optional(integer(1, 10), 3),
});
type Options = v.InferOutput<typeof options>;

const retryMs = 5_000;

interface Backend {
  readonly address: OnionAddress;
  readonly head: string;
  report: HeadReport | undefined;
  /** The highest revision counter seen, and the blinded key that it is of. */
  newest: { readonly period: string; readonly revision: bigint } | undefined;
  /** False while the watch finds it dead. */
  up: boolean;
  seenAtMs: number;
  dueAtMs: number;
}

interface Tools {
  readonly tor: TorClient;
  readonly clock: Clock;
  readonly random: Random;
  readonly node: string;
  readonly options: Options;
}

/** Fetches one backend's descriptor; true when what is known of it changed. Rejects when it cannot be had. */
async function refresh(backend: Backend, { tor, clock, random, node, options }: Tools): Promise<boolean> {
  backend.dueAtMs = clock.monotonic() + jittered(random, retryMs, 0.2);
  const { text } = await tor.fetchDescriptor(backend.address, { timeoutMs: options.timeout_ms });
  const { blindedKey, revision } = readOuter(text);
  backend.dueAtMs = clock.monotonic() + jittered(random, options.refresh_interval_secs * 1_000, 0.2);
  backend.seenAtMs = clock.monotonic();
  if (backend.report?.descriptor === text) return false;
  const period = Buffer.from(blindedKey).toString('hex');
  // HSDirs do not all get a new descriptor at once, and one may keep an old one.
  if (backend.report !== undefined && backend.newest?.period === period && revision < backend.newest.revision)
    return false;
  backend.newest = { period, revision };
  backend.report = {
    head: backend.head,
    node,
    address: backend.address,
    descriptor: text,
    provenance: 'hsdir',
    observedAt: clock.now(),
  };
  return true;
}

/** The first SOCKS port that tor listens on. */
async function socksPortOf(tor: TorClient): Promise<Endpoint | undefined> {
  const listeners = await tor.getInfo('net/listeners/socks');
  const first = /"([^"]+)"/.exec(listeners)?.[1] ?? listeners.split(' ')[0] ?? '';
  return parseEndpoint(first);
}

export const backends = definePlugin<Options>({
  name: 'backends',
  summary: 'Takes remote OnionBalance backends, known by address, as heads.',
  needs: [torContract, headRegistryContract],
  wants: [masterContract],
  section: 'backends',
  options,
  apply(host, settings) {
    const { clock, random } = host.runtime;

    host.hooks.start.tap('backends', () => {
      const master = host.want(masterContract)?.address;
      if (settings.addresses.some((address) => address === master)) {
        // It would merge its own publication for ever, dead introduction points and all.
        throw new ChimeraError(
          'CONFIG_INVALID',
          `backends.addresses = ${master}.onion: this is the master’s own address`,
          {
            remedy: 'name the address of each backend, as in the file hostname of its HiddenServiceDir',
          },
        );
      }
      const { primary: tor } = host.need(torContract);
      const registry = host.need(headRegistryContract);
      const tools: Tools = { tor, clock, random, node: host.node, options: settings };
      const all: Backend[] = settings.addresses.map((address) => ({
        address,
        head: `${host.node}/${address.slice(0, 12)}`,
        report: undefined,
        newest: undefined,
        up: true,
        seenAtMs: clock.monotonic(),
        dueAtMs: 0,
      }));
      const tell = (backend: Backend, why: string): void => {
        host.log.info('the backend changed', { head: backend.head, why });
        registry.set(
          all.flatMap(({ report, up }) => (up && report !== undefined ? [report] : [])),
          'backends',
        );
      };

      const look = async (backend: Backend): Promise<void> => {
        try {
          if (await refresh(backend, tools)) tell(backend, 'another descriptor');
        } catch (error) {
          host.log.warn('a backend’s descriptor cannot be fetched', { head: backend.head, error });
          const staleMs = clock.monotonic() - backend.seenAtMs;
          if (backend.report !== undefined && staleMs > settings.stale_after_secs * 1_000) {
            backend.report = undefined;
            tell(backend, `no descriptor for ${Math.round(staleMs / 1_000)} s`);
          }
        }
      };

      const watch = async (backend: Backend, socks: Endpoint, signal: AbortSignal): Promise<void> =>
        watchBackend({
          host: `${backend.address}.onion`,
          port: settings.watch_port,
          socks,
          intervalMs: settings.watch_interval_ms,
          timeoutMs: settings.watch_timeout_ms,
          failures: settings.watch_failures,
          runtime: host.runtime,
          signal,
          onChange: (up, why) => {
            backend.up = up;
            // After a restart it has other introduction points.
            if (up) backend.dueAtMs = 0;
            tell(backend, why);
          },
        });
      if (settings.watch_port > 0) {
        host.background(async (signal) => {
          while (!signal.aborted) {
            try {
              await tor.ready(Number.MAX_SAFE_INTEGER);
              const socks = await socksPortOf(tor);
              if (socks === undefined) host.log.warn('backends are not watched: tor has no SocksPort');
              else await Promise.all(all.map((backend) => watch(backend, socks, signal)));
              return;
            } catch (error) {
              // tor went away between two questions; it will be back.
              host.log.debug('the watch of backends waits for tor', { error });
              await clock.sleep(retryMs, signal).catch(() => undefined);
            }
          }
        });
      }

      let wake: () => void = () => undefined;
      let period: string | undefined;
      const onConsensus = (consensus: Consensus): void => {
        const slot = clientSlot(consensus.times, consensus.rules, consensus.sharedRandom);
        const next = `${slot.period.number}/${slot.period.lengthMinutes}`;
        // Clients now use the backends' other descriptor, with other introduction points.
        if (period !== undefined && period !== next) for (const backend of all) backend.dueAtMs = 0;
        period = next;
        wake();
      };
      host.defer(tor.onConsensus(onConsensus));
      host.background(async (signal) => {
        await tor.ready(Number.MAX_SAFE_INTEGER).catch(() => undefined);
        await tor.consensus().then(onConsensus, () => undefined);
        while (!signal.aborted) {
          const now = clock.monotonic();
          const due = tor.state === 'ready' ? all.filter(({ dueAtMs }) => dueAtMs <= now) : [];
          await Promise.all(due.map(look));
          const next = Math.min(...all.map(({ dueAtMs }) => dueAtMs), clock.monotonic() + retryMs);
          const pause = new AbortController();
          const stop = (): void => pause.abort();
          wake = stop;
          signal.addEventListener('abort', stop, { once: true });
          await clock.sleep(Math.max(100, next - clock.monotonic()), pause.signal).catch(() => undefined);
          signal.removeEventListener('abort', stop);
        }
      });
    });
  },
});
export default backends;
