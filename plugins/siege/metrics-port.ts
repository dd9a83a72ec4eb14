/**
 * The MetricsPort of one tor, from this node's side: the operator's, where there is one; else, when the operator wants it
 * so, one that is opened on loopback by SETCONF and closed again at the end. What an operator has set is never changed. A
 * tor that refuses goes without: the other sources count. Enter at `createMetricsPort`.
 */
import type { TorClient, TorSetting } from '../../core/engine/index.ts';
import { ChimeraError, messageOf } from '../../core/errors.ts';
import {
  formatEndpoint,
  withDeadline,
  type Clock,
  type Endpoint,
  type Log,
  type Net,
} from '../../core/runtime/index.ts';
import { metricsEndpoint, readMetrics, type ServiceCounts } from './metrics.ts';

export interface MetricsPort {
  /** tor is there, or there again: looks for its port, and opens one if there is none. Never rejects. */
  find(): Promise<void>;
  /** What tor has counted, by onion address; nothing while it cannot be read. Never rejects. */
  read(): Promise<ReadonlyMap<string, ServiceCounts>>;
  /** Leaves tor as it was. Never rejects. */
  close(): Promise<void>;
}

/** A free port may be taken by somebody else before tor has it. */
const attempts = 3;
const failuresUntilLost = 3;
const lookAgainMs = 60_000;
/** How long tor may take at the stop. */
const closeLimitMs = 800;
const loopback = '127.0.0.1';

async function freePort(net: Net): Promise<Endpoint> {
  const listener = await net.listen({ host: loopback, port: 0 }, (stream) => stream.destroy());
  await listener.close();
  return listener.endpoint;
}

export function createMetricsPort(
  tor: TorClient,
  { net, clock, log }: { readonly net: Net; readonly clock: Clock; readonly log: Log },
  { open }: { readonly open: boolean },
): MetricsPort {
  let endpoint: Endpoint | undefined;
  /** What this node has set, as GETCONF tells it. */
  let own: { readonly value: string; readonly policy: boolean } | undefined;
  let failures = 0;
  let lookAgainAtMs = Infinity;
  let warned = false;
  let finding: Promise<void> | undefined;
  let closed = false;

  const refuse = (why: unknown): void => {
    if (!warned) {
      const error = new ChimeraError('SIEGE_METRICS_PORT', `${tor.name}: ${messageOf(why)}`, {
        remedy: `set MetricsPort and MetricsPortPolicy in its torrc, or siege.open_metrics_port = false`,
        cause: why,
      });
      log.warn('siege goes without a MetricsPort', { error });
    }
    warned = true;
    lookAgainAtMs = clock.monotonic() + lookAgainMs;
  };

  const takeBack = async (): Promise<void> => {
    const [value] = await tor.getConf('MetricsPort');
    const mine = own;
    own = undefined;
    if (mine === undefined || value !== mine.value) return;
    await tor.setConf([['MetricsPort'], ...(mine.policy ? [['MetricsPortPolicy'] as const] : [])]);
  };

  const openOwn = async (): Promise<void> => {
    const policy = (await tor.getConf('MetricsPortPolicy')).length === 0;
    for (let attempt = 1; own === undefined; attempt++) {
      const place = await freePort(net);
      if (closed) return;
      const value = `${formatEndpoint(place)} prometheus`;
      const settings: TorSetting[] = [
        ['MetricsPort', value],
        ...(policy ? ([['MetricsPortPolicy', `accept ${loopback}`]] as const) : []),
      ];
      try {
        await tor.setConf(settings);
        own = { value, policy };
        endpoint = place;
      } catch (error) {
        if (attempt === attempts || !messageOf(error).includes('bind')) throw error;
      }
    }
    try {
      await readMetrics(net, clock, endpoint as Endpoint);
      log.info('tor has a MetricsPort for this node', {
        tor: tor.name,
        endpoint: formatEndpoint(endpoint as Endpoint),
      });
    } catch (error) {
      endpoint = undefined;
      await takeBack();
      throw error;
    }
  };

  const look = async (): Promise<void> => {
    endpoint = undefined;
    failures = 0;
    lookAgainAtMs = Infinity;
    try {
      endpoint = await metricsEndpoint(tor);
      const set = (await tor.getConf('MetricsPort')).length > 0;
      // A tor that has forgotten it has been restarted or reloaded.
      if (!set) own = undefined;
      if (!set && open && !closed) await openOwn();
    } catch (error) {
      if (tor.state === 'ready') refuse(error);
    }
  };
  const find = (): Promise<void> => {
    finding ??= look().finally(() => (finding = undefined));
    return finding;
  };

  return {
    find,
    read: async () => {
      const nothing = new Map<string, ServiceCounts>();
      if (endpoint === undefined) {
        if (clock.monotonic() >= lookAgainAtMs && tor.state === 'ready') void find();
        return nothing;
      }
      try {
        const counts = await readMetrics(net, clock, endpoint);
        failures = 0;
        return counts;
      } catch {
        if (++failures >= failuresUntilLost) {
          endpoint = undefined;
          lookAgainAtMs = clock.monotonic();
        }
        return nothing;
      }
    },
    close: async () => {
      closed = true;
      const late = (): Error => new Error('tor did not answer in time');
      const work = async (): Promise<void> => {
        await finding;
        if (own !== undefined && tor.state === 'ready') await takeBack();
      };
      await withDeadline(clock, closeLimitMs, late, work).catch((error: unknown) =>
        log.debug('tor keeps the MetricsPort', { tor: tor.name, error }),
      );
    },
  };
}
