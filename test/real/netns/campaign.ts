/** A cluster under a list of faults, with a stock client that visits all the while; what came of it in figures. */
import { messageOf } from '../../../core/errors.ts';
import type { Runtime } from '../../../core/runtime/index.ts';
import { createClient, type Client, type Visit } from './client.ts';
import { startCluster, type Cluster, type ClusterOptions } from './cluster.ts';
import { inflict, settled, type FaultName, type FaultResult } from './faults.ts';
import { isPublication, publisherOf, refusals, until } from './observer.ts';
import { stranded, type HeadDeath } from './stranded.ts';

export interface CampaignOptions extends ClusterOptions {
  readonly faults: readonly FaultName[];
  /** Of undisturbed running between two faults. */
  readonly restSeconds: number;
  /** Of each download; it begins before its fault. */
  readonly downloadSeconds: number;
}

export interface CampaignReport {
  readonly results: readonly (FaultResult & {
    /** Undefined where none could be begun. */
    readonly download: { readonly head: string | undefined; readonly complete: boolean };
  })[];
  readonly visits: number;
  readonly failedVisits: number;
  /** Those of them whose client stood at a head whose tor died. */
  readonly strandedVisits: number;
  /** Of the same client, each on circuits of its own. */
  readonly isolated: number;
  readonly failedIsolated: number;
  readonly minutes: number;
  /** Descriptors that HSDirs refused as older than what they had. */
  readonly refusedByHsdirs: number;
}

/** A download that has not begun by then counts as broken. */
const downloadBeginLimitMs = 10_000;
const reachableLimitMs = 180_000;

/** Starts the nodes, and waits until a client gets an answer. */
async function bringUp(
  runtime: Runtime,
  cluster: Cluster,
  client: Client,
  progress: (text: string) => void,
): Promise<void> {
  for (const node of cluster.nodes) node.start();
  await until(runtime, 'every node to run', reachableLimitMs, () => {
    const gone = cluster.nodes.find(({ running }) => !running);
    if (gone !== undefined) throw new Error(`${gone.name} has ended by itself`);
    return publisherOf(cluster.nodes);
  });
  const publisher = await settled(runtime, cluster.nodes);
  progress(`${publisher.name} is elected`);
  await until(runtime, 'a publication with a head of every node', reachableLimitMs, () => {
    const heads = publisher.lines.findLast(isPublication)?.heads as readonly string[] | undefined;
    return heads?.length === cluster.nodes.length ? true : undefined;
  });
  const endsMs = runtime.clock.monotonic() + reachableLimitMs;
  while ((await client.visit()).head === undefined) {
    if (runtime.clock.monotonic() > endsMs) throw new Error('nobody answers at the master address');
  }
  progress('the service answers');
}

export async function runCampaign(runtime: Runtime, options: CampaignOptions): Promise<CampaignReport> {
  const { progress } = options;
  const cluster = await startCluster(runtime, options);
  const client = createClient(runtime, cluster.client, cluster.master);
  try {
    await bringUp(runtime, cluster, client, progress);
    client.begin();
    const begunMs = runtime.clock.monotonic();
    const results: CampaignReport['results'][number][] = [];
    for (const [index, fault] of options.faults.entries()) {
      await runtime.clock.sleep(options.restSeconds * 1_000);
      const download = client.download(options.downloadSeconds);
      await Promise.race([download.begun, runtime.clock.sleep(downloadBeginLimitMs)]);
      const result = { ...(await inflict(runtime, cluster, fault)), download: await download.ended };
      results.push(result);
      progress(
        `${index + 1}/${options.faults.length} ${fault}: takeover ${seconds(result.takeoverMs)}, published ` +
          `${seconds(result.publishedMs)}, settled ${seconds(result.settledMs)}, stale ${result.stalePublishes ?? '–'}, ` +
          `download ${result.download.complete ? 'whole' : 'broken'} (${result.download.head ?? 'nobody'}), ` +
          `visits failed ${failures(client.visits)}/${client.visits.length}, isolated ` +
          `${failures(client.isolated)}/${client.isolated.length}`,
      );
    }
    await runtime.clock.sleep(options.restSeconds * 1_000);
    await client.stop();
    return {
      results,
      visits: client.visits.length,
      failedVisits: failures(client.visits),
      strandedVisits: stranded(client.visits, deathsOf(results)).length,
      isolated: client.isolated.length,
      failedIsolated: failures(client.isolated),
      minutes: (runtime.clock.monotonic() - begunMs) / 60_000,
      refusedByHsdirs: await refusals(runtime, cluster),
    };
  } catch (error) {
    progress(`failed: ${messageOf(error)}`);
    for (const node of cluster.nodes) progress(`${node.name} said last:\n${node.tail()}`);
    throw error;
  } finally {
    await client.stop();
    if (options.logs !== undefined) await writeVisits(runtime, client, options.logs);
    await cluster.stop();
  }
}

/** Every visit of a client on a line of its own: when by the clock of the logs beside, how long, on what circuits, at whose head. */
async function writeVisits({ clock, store }: Runtime, client: Client, directory: string): Promise<void> {
  const lineOf =
    (circuits: string) =>
    ({ atMs, durationMs, head }: Visit): string =>
      `${new Date(clock.now() - clock.monotonic() + atMs).toISOString()} ${circuits} ${Math.round(durationMs)} ms ${head ?? 'failed'}\n`;
  const lines = [...client.visits.map(lineOf('standing')), ...client.isolated.map(lineOf('isolated'))];
  await store.write(`${directory}/visits.log`, lines.toSorted().join(''));
}

const deathsOf = (results: readonly FaultResult[]): HeadDeath[] =>
  results.flatMap(({ deadHeads, sinceMs }) => deadHeads.map((head) => ({ head, atMs: sinceMs })));

const failures = (visits: readonly Visit[]): number => visits.filter(({ head }) => head === undefined).length;

export function seconds(milliseconds: number | undefined): string {
  return milliseconds === undefined ? '–' : `${(milliseconds / 1_000).toFixed(2)} s`;
}
