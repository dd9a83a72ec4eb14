/** The faults that a cluster meets, each with what is measured of it. Each begins and ends with one publisher that all follow. */
import type { Runtime } from '../../../core/runtime/index.ts';
import type { Cluster, ClusterNode } from './cluster.ts';
import {
  firstLine,
  isPublication,
  isTurn,
  publisherOf,
  refusals,
  revisionsAtHsdirs,
  staleAt,
  until,
  uploadsInGoodFaith,
  viewOf,
} from './observer.ts';

export const faultNames = ['kill', 'pause', 'partition', 'halves', 'one-way', 'tor', 'offline', 'redis'] as const;
export type FaultName = (typeof faultNames)[number];

export interface FaultResult {
  readonly fault: FaultName;
  /** When it began, by the monotonic clock of this process. */
  readonly sinceMs: number;
  /** From the fault to another node's being elected; undefined where the publisher stays. */
  readonly takeoverMs: number | undefined;
  /** From the fault to that node's first confirmed publication. */
  readonly publishedMs: number | undefined;
  /**
   * Publications of a deposed publisher from its return on, by its own word and by what HSDirs took or refused; undefined where no
   * deposed publisher comes back: it was started anew, lost its tor, or was never deposed.
   */
  readonly stalePublishes: number | undefined;
  /** From the end of the fault to one publisher that all follow. */
  readonly settledMs: number;
  /** Nodes whose heads died of it. */
  readonly deadHeads: readonly string[];
}

/** Longer than `repair` waits before it takes a tor for cut off. */
const takeoverLimitMs = 45_000;
const publishLimitMs = 60_000;
const settleLimitMs = 60_000;
/** How long a node stays stopped, or cut off, after another has taken over. */
const awayMs = 4_000;
/** How long a node that is back is watched for what it publishes. */
const watchMs = 8_000;

/** Waits for one publisher that all nodes follow. */
export async function settled(runtime: Runtime, nodes: readonly ClusterNode[]): Promise<ClusterNode> {
  const { value } = await until(runtime, 'one publisher that all follow', settleLimitMs, () => publisherOf(nodes));
  return value;
}

/** The next publisher, and when it was elected and had published. */
async function takeover(
  runtime: Runtime,
  others: readonly ClusterNode[],
  sinceMs: number,
): Promise<{ readonly takeoverMs: number; readonly publishedMs: number }> {
  const elected = await firstLine(
    runtime,
    others,
    sinceMs,
    takeoverLimitMs,
    'a takeover',
    (line) => isTurn(line) && line.elected === true,
  );
  const published = await firstLine(
    runtime,
    others,
    elected.line.atMs,
    publishLimitMs,
    'a publication after the takeover',
    isPublication,
  );
  return { takeoverMs: elected.line.atMs - sinceMs, publishedMs: published.line.atMs - sinceMs };
}

const highestEpoch = (nodes: readonly ClusterNode[]): number =>
  Math.max(...nodes.map((one) => viewOf(one)?.epoch ?? 0));

/** Publications of `node` since then in an epoch below the highest that anybody knows. */
function staleSince(node: ClusterNode, nodes: readonly ClusterNode[], sinceMs: number): number {
  const highest = highestEpoch(nodes);
  return node.lines.filter((line) => line.atMs > sinceMs && isPublication(line) && Number(line.epoch) < highest).length;
}

/**
 * Looks at the HSDirs just before `deposed` may publish again. What is given looks once more, and tells how often it has published in
 * a term that was over by then: by its own word, by HSDirs that have taken one, and by HSDirs that have refused one. After a cut that
 * healed at `healedMs`, what it had begun in good faith is not counted as refused.
 */
async function watchReturn(
  runtime: Runtime,
  cluster: Cluster,
  deposed: ClusterNode,
): Promise<(healedMs?: number) => Promise<number>> {
  const { nodes } = cluster;
  const epoch = highestEpoch(nodes.filter((node) => node !== deposed));
  const before = await revisionsAtHsdirs(cluster);
  const sinceMs = runtime.clock.monotonic();
  const refusedBefore = await refusals(runtime, cluster);
  return async (healedMs) => {
    const taken = staleAt(before, await revisionsAtHsdirs(cluster), epoch).length;
    const refused = (await refusals(runtime, cluster)) - refusedBefore;
    const excused = healedMs === undefined ? 0 : uploadsInGoodFaith(deposed.lines, sinceMs, healedMs);
    return staleSince(deposed, nodes, sinceMs) + taken + Math.max(0, refused - excused);
  };
}

export async function inflict(runtime: Runtime, cluster: Cluster, fault: FaultName): Promise<FaultResult> {
  const { clock } = runtime;
  const { nodes, machines } = cluster;
  const publisher = await settled(runtime, nodes);
  const others = nodes.filter((node) => node !== publisher);
  const sinceMs = clock.monotonic();
  const none = { sinceMs, takeoverMs: undefined, publishedMs: undefined, stalePublishes: undefined, deadHeads: [] };
  const end = async (rest: Partial<FaultResult>): Promise<FaultResult> => {
    const endedMs = clock.monotonic();
    await settled(runtime, nodes);
    return { ...none, fault, ...rest, settledMs: clock.monotonic() - endedMs };
  };

  if (fault === 'kill') {
    await publisher.signal('SIGKILL');
    const times = await takeover(runtime, others, sinceMs);
    publisher.start();
    await until(runtime, 'the killed node to be back', settleLimitMs, () => viewOf(publisher)?.publisher);
    return end(times);
  }
  if (fault === 'pause') {
    await publisher.signal('SIGSTOP');
    const times = await takeover(runtime, others, sinceMs);
    await clock.sleep(awayMs);
    const stalePublishes = await watchReturn(runtime, cluster, publisher);
    await publisher.signal('SIGCONT');
    await clock.sleep(watchMs);
    return end({ ...times, stalePublishes: await stalePublishes() });
  }
  if (fault === 'partition' || fault === 'halves' || fault === 'one-way') {
    // Redis would bridge the cut: its socket is not on the bridge.
    await cluster.redis.kill('SIGKILL');
    const cutMs = clock.monotonic();
    // The publisher alone, or with as many as make a half.
    const along = fault === 'halves' ? Math.floor(nodes.length / 2) - 1 : 0;
    const far = others.slice(along);
    for (const near of [publisher, ...others.slice(0, along)])
      for (const other of far) machines.cut(near.name, other.name, fault === 'one-way');
    const times = await takeover(runtime, far, cutMs);
    await clock.sleep(awayMs);
    const stalePublishes = await watchReturn(runtime, cluster, publisher);
    machines.heal();
    const healedMs = clock.monotonic();
    await cluster.redis.start();
    const result = await end(times);
    await clock.sleep(watchMs);
    return { ...result, stalePublishes: await stalePublishes(healedMs) };
  }
  if (fault === 'tor') {
    await publisher.tor.kill('SIGKILL');
    const times = await takeover(runtime, others, sinceMs);
    await publisher.tor.restart();
    await publisher.tor.bootstrapped();
    return end({ ...times, deadHeads: [publisher.name] });
  }
  if (fault === 'offline') {
    await publisher.tor.ask('SETCONF DisableNetwork=1');
    const times = await takeover(runtime, others, sinceMs);
    await publisher.tor.ask('SETCONF DisableNetwork=0');
    return end({ ...times, deadHeads: [publisher.name] });
  }
  await cluster.redis.kill('SIGKILL');
  await clock.sleep(awayMs);
  await cluster.redis.start();
  const changed = nodes.some((node) => node.lines.some((line) => line.atMs > sinceMs && isTurn(line)));
  if (changed) throw new Error('the publisher changed when Redis was killed');
  return end({});
}
