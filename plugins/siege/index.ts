/**
 * siege: sees a flood at this node's heads, says so to the cluster, and fills `HeadView.siege` with what
 * every node says of its own.
 *
 *   rendezvous.ts what tor's events show · points.ts the same by introduction point · metrics-port.ts, processor.ts, connections.ts what else there is · watched-head.ts one
 *   head · detector.ts the decision, pure · reports.ts what goes to the peers
 */
import * as v from 'valibot';
import { integer } from '../../core/config/schema.ts';
import {
  adminContract,
  definePlugin,
  headControlContract,
  meshContract,
  proxyContract,
  type OwnHead,
  type TorClient,
} from '../../core/engine/index.ts';
import type { DetectorSettings, Verdict } from './detector.ts';
import type { ServiceCounts } from './metrics.ts';
import { createMetricsPort, type MetricsPort } from './metrics-port.ts';
import { watchPoints, type PointWatch } from './points.ts';
import { processorTime } from './processor.ts';
import { watchRendezvous } from './rendezvous.ts';
import { createBeliefs, encodeReports, reportsOf, siegeKind, type SiegeReport } from './reports.ts';
import { WatchedHead, type HeadSettings } from './watched-head.ts';

export { watchRendezvous, type RendezvousListener } from './rendezvous.ts';
export { ConnectionCount } from './connections.ts';
export { createMetricsPort, type MetricsPort } from './metrics-port.ts';
export { IntroductionCount } from './introductions.ts';
export { concentration, PointRates, watchPoints, type PointRate, type PointWatch } from './points.ts';
export { WatchedHead, type HeadSettings } from './watched-head.ts';
export {
  createDetectorState,
  observe,
  thresholdOf,
  type DetectorSettings,
  type DetectorState,
  type Sample,
  type Verdict,
} from './detector.ts';

const number = (minimum: number, maximum: number, what: string) =>
  v.pipe(v.number(what), v.minValue(minimum, what), v.maxValue(maximum, what));

const options = v.strictObject({
  /** How often a head's figures are looked at. */
  sample_interval_ms: v.optional(integer(250, 10_000), 500),
  /** Opens a MetricsPort on loopback in each head's tor that has none, and closes it at the stop. */
  open_metrics_port: v.optional(v.boolean('must be true or false'), false),
  /** Introductions per second below which nothing is a siege. */
  floor_per_second: v.optional(number(0.1, 10_000, 'must be a number from 0.1 to 10,000'), 5),
  /** The same for connections, where a proxy sees them … */
  connection_floor_per_second: v.optional(number(1, 100_000, 'must be a number from 1 to 100,000'), 100),
  /** … and how many of those of one client circuit count. */
  circuit_connections_per_second: v.optional(number(1, 10_000, 'must be a number from 1 to 10,000'), 5),
  /** How many times the usual rate is a siege … */
  factor: v.optional(number(1.5, 1_000, 'must be a number from 1.5 to 1,000'), 4),
  /** … and how many deviations above it. */
  deviations: v.optional(number(1, 100, 'must be a number from 1 to 100'), 8),
  /** Seconds at the threshold after which a drip below it counts. */
  memory_secs: v.optional(integer(10, 3_600), 60),
  /** How long a head must be calm until its siege is over. */
  calm_secs: v.optional(integer(1, 3_600), 60),
  /** After this long a siege is the new normal. */
  adopt_secs: v.optional(integer(60, 604_800), 21_600),
  /** Share of a core above which a tor is busy: then half the threshold is enough. */
  busy_cpu: v.optional(number(0.1, 1, 'must be a number from 0.1 to 1'), 0.9),
  /** A peer's report begins or ends a siege of a head at most once in this time. */
  dwell_secs: v.optional(integer(0, 3_600), 60),
});
export type SiegeOptions = v.InferOutput<typeof options>;

function headSettingsOf(settings: SiegeOptions): HeadSettings {
  const introductions: DetectorSettings = {
    what: 'introductions',
    floorPerSecond: settings.floor_per_second,
    factor: settings.factor,
    deviations: settings.deviations,
    memorySecs: settings.memory_secs,
    calmMs: settings.calm_secs * 1_000,
    adoptMs: settings.adopt_secs * 1_000,
    busyCpu: settings.busy_cpu,
  };
  return {
    introductions,
    connections: { ...introductions, what: 'connections', floorPerSecond: settings.connection_floor_per_second },
    perCircuitPerSecond: settings.circuit_connections_per_second,
  };
}
/** What a head is watched by where the operator sets nothing; the attack simulator's heads are watched by the same. */
export const usualHeadSettings: HeadSettings = headSettingsOf(v.parse(options, {}));

const name = 'siege';
/** A level is told again when it moved by this factor, and not more often than this. */
const levelFactor = 2;
const levelIntervalMs = 30_000;

interface WatchedTor {
  readonly release: () => void;
  readonly metrics: MetricsPort;
  readonly points: PointWatch;
  cpuSeconds: number | undefined;
  cpuAtMs: number;
}

export const siege = definePlugin<SiegeOptions>({
  name,
  summary: 'Sees floods at this node’s heads and tells the cluster.',
  wants: [headControlContract, proxyContract, meshContract, adminContract],
  section: name,
  options,
  apply(host, settings) {
    const { clock, net, store } = host.runtime;
    const mesh = host.want(meshContract);
    const proxy = host.want(proxyContract);
    const beliefs = createBeliefs(settings.dwell_secs * 1_000);
    const watched = new Map<string, WatchedHead>();
    const tors = new Map<TorClient, WatchedTor>();
    const detectors = headSettingsOf(settings);
    let heads: readonly OwnHead[] = [];

    const headsIn = (tor: TorClient): readonly OwnHead[] => heads.filter((head) => head.tor === tor);
    const watch = (head: OwnHead): void => {
      if (!watched.has(head.head)) {
        watched.set(head.head, new WatchedHead(head.head, detectors, clock.monotonic()));
      }
      const { tor } = head;
      if (tors.has(tor)) return;
      const release = watchRendezvous(
        tor,
        {
          headOf: (address) => headsIn(tor).find((one) => one.address === address)?.head,
          only: () => (headsIn(tor).length === 1 ? headsIn(tor)[0]?.head : undefined),
        },
        { seen: (of) => watched.get(of)?.introductionCount.seen() },
      );
      const metrics = createMetricsPort(tor, { net, clock, log: host.log }, { open: settings.open_metrics_port });
      const points = watchPoints(tor, clock);
      const known: WatchedTor = { release, metrics, points, cpuSeconds: undefined, cpuAtMs: 0 };
      tors.set(tor, known);
      const ask = (): void => {
        if (tor.state !== 'ready') return;
        known.cpuSeconds = undefined;
        void metrics.find();
      };
      host.defer(tor.onState(ask));
      ask();
    };

    const measure = async (
      tor: TorClient,
    ): Promise<{ cpu: number | undefined; counts: ReadonlyMap<string, ServiceCounts> }> => {
      const known = tors.get(tor) as WatchedTor;
      const cpuSeconds = tor.state === 'ready' ? await processorTime(store, tor) : undefined;
      const now = clock.monotonic();
      const cpu =
        cpuSeconds === undefined || known.cpuSeconds === undefined || now <= known.cpuAtMs
          ? undefined
          : Math.min(1, Math.max(0, (1_000 * (cpuSeconds - known.cpuSeconds)) / (now - known.cpuAtMs)));
      known.cpuSeconds = cpuSeconds;
      known.cpuAtMs = now;
      const counts = await known.metrics.read();
      return { cpu, counts };
    };

    const ownReports = (): SiegeReport[] =>
      [...watched.values()].flatMap(({ head, verdict }) =>
        verdict?.besieged === true ? [{ head, level: verdict.level, why: verdict.why }] : [],
      );

    const tell = (one: WatchedHead, verdict: Verdict): boolean => {
      const now = clock.monotonic();
      const flips = one.told.level > 0 !== verdict.besieged;
      const ratio = verdict.level / (one.told.level || 1);
      const moved = (ratio >= levelFactor || ratio <= 1 / levelFactor) && now - one.told.atMs >= levelIntervalMs;
      if (!flips && !(verdict.besieged && moved)) return false;
      one.told = { level: verdict.level, atMs: now };
      if (flips) {
        const level = verdict.besieged ? 'warn' : 'info';
        host.log[level](verdict.besieged ? 'a head is under siege' : 'the siege of a head is over', {
          head: one.head,
          why: verdict.why,
        });
      }
      host.signal('siege', { head: one.head, level: verdict.level, why: verdict.why });
      return true;
    };

    const sample = async (): Promise<void> => {
      heads = host.want(headControlContract)?.heads() ?? [];
      for (const head of heads) watch(head);
      for (const head of watched.keys()) if (!heads.some((own) => own.head === head)) watched.delete(head);
      const measured = new Map(
        await Promise.all([...tors.keys()].map(async (tor) => [tor, await measure(tor)] as const)),
      );
      let told = false;
      for (const { head, tor, address } of heads) {
        const one = watched.get(head);
        if (one === undefined) continue;
        const { cpu, counts } = measured.get(tor) ?? { cpu: undefined, counts: new Map<string, ServiceCounts>() };
        const points = address === undefined ? [] : tors.get(tor)?.points.of(address);
        const verdict = one.sample(
          clock.monotonic(),
          cpu,
          address === undefined ? undefined : counts.get(address),
          points,
        );
        if (verdict === undefined) continue;
        told = tell(one, verdict) || told;
      }
      if (told) mesh?.publish(siegeKind, encodeReports(ownReports()));
    };

    const learn = (node: string): void => {
      const record = mesh?.record(siegeKind, node);
      const before = beliefs.all().length;
      if (record === undefined) beliefs.forget(node);
      else beliefs.take(node, reportsOf(record), clock.monotonic());
      for (const { head, level, why } of beliefs.all()) {
        if (head.startsWith(`${node}/`) && beliefs.all().length > before) {
          host.log.warn('a peer’s head is under siege', { head, level, why });
        }
      }
    };

    host.want(adminContract)?.status(name, () => ({
      heads: [...watched.values()].map(({ head, verdict, figures, points }) => ({
        head,
        besieged: verdict?.besieged ?? false,
        level: Number((verdict?.level ?? 0).toFixed(2)),
        ...figures.introductions,
        ...(proxy === undefined ? {} : { connections: figures.connections }),
        points: points.map(({ relay, perSecond }) => ({ relay, introductionsPerSecond: Number(perSecond.toFixed(1)) })),
      })),
      peers: beliefs.all().map(({ head, level, why }) => ({ head, level, why })),
    }));

    host.hooks.sift.tap(name, (views) => {
      const own = new Map(ownReports().map(({ head, level }) => [head, level]));
      // What was held back by the dwell time may be due by now.
      if (beliefs.dueAtMs !== undefined && beliefs.dueAtMs <= clock.monotonic()) {
        for (const record of mesh?.records(siegeKind) ?? []) {
          if (record.node !== host.node) beliefs.take(record.node, reportsOf(record), clock.monotonic());
        }
      }
      return views.map((view) => ({
        ...view,
        siege: view.node === host.node ? (own.get(view.head) ?? 0) : beliefs.level(view.head),
      }));
    });

    host.hooks.start.tap(name, () => {
      if (mesh !== undefined) {
        host.defer(
          mesh.onChange((change) => {
            if (change.node === host.node) return;
            if (change.what === 'state' || change.kind === siegeKind) learn(change.node);
          }),
        );
      }
      if (proxy !== undefined) {
        host.defer(proxy.onStream((head, circuit) => watched.get(head)?.connectionCount.seen(circuit)));
      }
      host.defer(async () => {
        for (const { release, points } of tors.values()) {
          release();
          points.release();
        }
        await Promise.all([...tors.values()].map(({ metrics }) => metrics.close()));
      });
      host.background(async (signal) => {
        while (!signal.aborted) {
          await clock.sleep(settings.sample_interval_ms, signal).catch(() => undefined);
          if (!signal.aborted) await sample();
        }
      });
    });
  },
});
export default siege;
