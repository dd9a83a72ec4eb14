/**
 * The heads of the cluster: this node's own go out as its record `heads`, the peers' come in as theirs. A peer that falls
 * silent keeps its heads for a while: its tors may be well, and what clients can reach is not given up on suspicion.
 */
import * as v from 'valibot';
import type { ClusterRecord, Json, Mesh } from '../../core/engine/index.ts';
import { parseOnionAddress } from '../../core/onion/index.ts';
import type { HeadReport } from '../../core/pipeline/index.ts';
import type { Clock, Log, Timer } from '../../core/runtime/index.ts';
import { maximumRecordBytes } from './record.ts';

export const headsKind = 'heads';

const report = v.strictObject({
  head: v.pipe(v.string(), v.maxLength(128)),
  address: v.pipe(v.string(), v.maxLength(62)),
  descriptor: v.pipe(v.string(), v.maxLength(50_000)),
  provenance: v.picklist(['service', 'hsdir']),
  observedAt: v.number(),
});
const headsRecord = v.pipe(v.array(v.unknown()), v.maxLength(64));

/** A peer's heads: what has the right form and speaks for the peer's own heads. */
function headsOf({ node, value }: ClusterRecord): HeadReport[] {
  const list = v.safeParse(headsRecord, value);
  if (!list.success) return [];
  return list.output.flatMap((item) => {
    const result = v.safeParse(report, item);
    if (!result.success || !result.output.head.startsWith(`${node}/`)) return [];
    try {
      return [{ ...result.output, node, address: parseOnionAddress(result.output.address) }];
    } catch {
      return [];
    }
  });
}

/** The record of own heads, and how many of them did not fit into it. */
export function recordOf(reports: readonly HeadReport[]): { readonly value: Json; readonly left: number } {
  const kept: Json[] = [];
  let bytes = 2;
  for (const { head, address, descriptor, provenance, observedAt } of reports.slice(0, 64)) {
    const item = { head, address, descriptor, provenance, observedAt };
    bytes += Buffer.byteLength(JSON.stringify(item)) + 1;
    if (bytes > maximumRecordBytes) break;
    kept.push(item);
  }
  return { value: kept, left: reports.length - kept.length };
}

interface Held {
  reports: readonly HeadReport[];
  /** Equal when the same heads have the same descriptors. */
  content: string;
  expiry: Timer | undefined;
}

export interface PeerHeads {
  all(): HeadReport[];
  close(): void;
}

/** Follows the peers' heads in `mesh`; `changed` is called whenever all() answers differently. */
export function followPeerHeads(options: {
  readonly mesh: Mesh;
  readonly self: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly holdMs: number;
  readonly changed: (node: string, why: string) => void;
}): PeerHeads {
  const { mesh, self, clock, log, holdMs, changed } = options;
  const byNode = new Map<string, Held>();

  const take = (node: string, reports: readonly HeadReport[]): void => {
    const content = reports
      .map(({ head, address, descriptor }) => `${head} ${address} ${descriptor}`)
      .sort()
      .join('\n');
    const known = byNode.get(node);
    known?.expiry?.cancel();
    byNode.set(node, { reports, content, expiry: undefined });
    if ((known?.content ?? '') === content) return;
    changed(node, reports.length === 0 ? 'it has no heads any more' : `its ${reports.length} heads changed`);
  };

  const hold = (node: string, held: Held): void => {
    if (held.reports.length === 0 || held.expiry !== undefined) return;
    log.info('the heads of a silent node are held', { member: node, heads: held.reports.length, holdMs });
    held.expiry = clock.after(holdMs, () => {
      byNode.delete(node);
      changed(node, `its ${held.reports.length} heads are given up`);
    });
  };

  const look = (node: string): void => {
    const record = mesh.record(headsKind, node);
    const held = byNode.get(node);
    if (record !== undefined) take(node, headsOf(record));
    else if (held !== undefined) hold(node, held);
  };

  const unsubscribe = mesh.onChange((change) => {
    if (change.node !== self && (change.what === 'state' || change.kind === headsKind)) look(change.node);
  });
  return {
    all: () => [...byNode.values()].flatMap(({ reports }) => reports),
    close: () => {
      unsubscribe();
      for (const { expiry } of byNode.values()) expiry?.cancel();
    },
  };
}
