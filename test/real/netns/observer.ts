/** Who publishes, by what the nodes say; and what the HSDirs have. */
import { epochOfRevision, readOuter } from '../../../core/onion/index.ts';
import type { Runtime } from '../../../core/runtime/index.ts';
import type { Cluster, ClusterNode } from './cluster.ts';
import type { NodeLine } from './node-process.ts';

/** The last thing that a node said of the publisher. */
interface View {
  readonly elected: boolean;
  readonly publisher: string | undefined;
  readonly epoch: number;
}

/** A node's word that it has, or has lost, a publisher. */
export const isTurn = ({ message }: NodeLine): boolean => message === 'the publisher changed';

export function viewOf(node: ClusterNode): View | undefined {
  const line = node.lines.findLast(isTurn);
  if (line === undefined || !node.running) return undefined;
  return {
    elected: line.elected === true,
    publisher: line.publisher as string | undefined,
    epoch: Number(line.epoch),
  };
}

/** The one node that says that it is elected, and whom all running nodes of `among` follow; undefined while there is none. */
export function publisherOf(among: readonly ClusterNode[]): ClusterNode | undefined {
  const elected = among.filter((node) => viewOf(node)?.elected);
  const [one] = elected;
  if (one === undefined || elected.length > 1) return undefined;
  return among.every((node) => !node.running || viewOf(node)?.publisher === one.id) ? one : undefined;
}

export const isPublication = ({ message }: NodeLine): boolean => message.startsWith('published: ');

/** Resolves when `holds` gives something, with the milliseconds that it took; rejects after the limit. */
export async function until<T>(
  { clock }: Runtime,
  what: string,
  limitMs: number,
  holds: () => T | undefined,
): Promise<{ readonly value: T; readonly tookMs: number }> {
  const begunMs = clock.monotonic();
  for (;;) {
    const value = holds();
    const tookMs = clock.monotonic() - begunMs;
    if (value !== undefined) return { value, tookMs };
    if (tookMs > limitMs) throw new Error(`waited ${limitMs / 1_000} s in vain for ${what}`);
    await clock.sleep(20);
  }
}

/** The first line after `sinceMs` that fits, of any of the nodes; rejects after the limit. */
export async function firstLine(
  runtime: Runtime,
  nodes: readonly ClusterNode[],
  sinceMs: number,
  limitMs: number,
  what: string,
  fits: (line: NodeLine) => boolean,
): Promise<{ readonly node: ClusterNode; readonly line: NodeLine }> {
  const { value } = await until(runtime, what, limitMs, () => {
    const found = nodes.flatMap((node) => {
      const line = node.lines.find((one) => one.atMs > sinceMs && fits(one));
      return line === undefined ? [] : [{ node, line }];
    });
    return found.toSorted((a, b) => a.line.atMs - b.line.atMs)[0];
  });
  return value;
}

/** How many descriptors HSDirs have refused so far because they had one of a higher revision. */
export async function refusals({ store }: Runtime, { hsdirLog }: Cluster): Promise<number> {
  return countRefusals(Buffer.from((await store.read(hsdirLog)) ?? []).toString('latin1'));
}

/** Refusals in an HSDir's log, in C tor's words (hs_cache.c). */
export function countRefusals(log: string): number {
  return log.match(/Descriptor revision counter in our cache is greater or equal/g)?.length ?? 0;
}

/** The ends of cycles that have uploaded, whatever came of it. */
const hasUploaded = ({ message }: NodeLine): boolean =>
  /^published: |^not confirmed: |HSDirs took| during the upload$/.test(message);

/**
 * How many uploads since `sinceMs` are of cycles that a publisher began before it heard who had followed it, at the latest at
 * `healedMs` if it says nothing of that. Cut off from the others and not from Tor it publishes on, and cannot know; that HSDirs refuse
 * what it sends is what epochs are for.
 */
export function uploadsInGoodFaith(lines: readonly NodeLine[], sinceMs: number, healedMs: number): number {
  const copies = Math.max(0, ...lines.map(({ message }) => Number(/ of (\d+) HSDirs/.exec(message)?.[1] ?? 0)));
  const since = lines.filter(({ atMs }) => atMs > sinceMs);
  const heard = since.find((line) => isTurn(line) && line.elected === false && line.publisher !== undefined);
  const untilMs = heard?.atMs ?? healedMs;
  return copies * since.filter((line) => hasUploaded(line) && line.atMs - Number(line.durationMs) < untilMs).length;
}

/** The revision of the master's descriptor at each HSDir that answers, by its fingerprint. */
export async function revisionsAtHsdirs({ prober, master }: Cluster): Promise<ReadonlyMap<string, bigint>> {
  const { hsdirs } = await prober.consensus();
  const found = await Promise.all(
    hsdirs.map(({ fingerprint }) =>
      prober.fetchDescriptor(master, { server: fingerprint, timeoutMs: 5_000 }).then(
        ({ text }) => [[fingerprint, readOuter(text).revision] as const],
        () => [],
      ),
    ),
  );
  return new Map(found.flat());
}

/** HSDirs that have taken a descriptor of an epoch below `epoch` in between. */
export function staleAt(
  before: ReadonlyMap<string, bigint>,
  after: ReadonlyMap<string, bigint>,
  epoch: number,
): readonly string[] {
  return [...after].flatMap(([fingerprint, revision]) =>
    before.get(fingerprint) !== revision && epochOfRevision(revision) < epoch ? [fingerprint] : [],
  );
}
