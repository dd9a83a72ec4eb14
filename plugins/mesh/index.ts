/**
 * mesh: knows which nodes are there and what each says of itself, by beacons over whatever transport there is. It carries
 * the nodes' heads to the publisher: each head as its own signed descriptor, which the pipeline verifies, so that a member
 * cannot make up introduction points of another's head.
 */
import * as v from 'valibot';
import { integer } from '../../core/config/schema.ts';
import {
  definePlugin,
  headRegistryContract,
  meshContract,
  transportContract,
  type ClusterRecord,
  type Json,
  type MeshChange,
} from '../../core/engine/index.ts';
import { ChimeraError } from '../../core/errors.ts';
import { parseOnionAddress } from '../../core/onion/index.ts';
import type { HeadReport } from '../../core/pipeline/index.ts';
import { jittered } from '../../core/runtime/index.ts';
import { Membership } from './membership.ts';
import { decodeMessage, encodeMessage, maximumKinds, type Message } from './message.ts';

const options = v.strictObject({
  /** How often each node says that it is there. */
  beacon_interval_ms: v.optional(integer(50, 60_000), 500),
  /** Silent for this long: suspect, still counted. */
  suspect_after_ms: v.optional(integer(100, 600_000), 2_000),
  /** Silent for this long: dead, its heads and its claim no longer count. */
  dead_after_ms: v.optional(integer(200, 600_000), 4_000),
});

const forgetMs = 600_000;
const maximumMembers = 1_024;
const maximumRecordBytes = 200_000;
const headsKind = 'heads';
/** Beacons are sent at their interval plus or minus this share, so that nodes do not fall into step. */
const beaconJitter = 0.1;

const headRecord = v.pipe(
  v.array(
    v.strictObject({
      head: v.pipe(v.string(), v.maxLength(128)),
      address: v.pipe(v.string(), v.maxLength(62)),
      descriptor: v.pipe(v.string(), v.maxLength(50_000)),
      provenance: v.picklist(['service', 'hsdir']),
      observedAt: v.number(),
    }),
  ),
  v.maxLength(16),
);

/** A peer's heads; nothing when the record is not of the right form, or speaks for another node's heads. */
export function headsOf({ node, value }: ClusterRecord): HeadReport[] {
  const result = v.safeParse(headRecord, value);
  if (!result.success) return [];
  return result.output.flatMap((report) => {
    if (!report.head.startsWith(`${node}/`)) return [];
    try {
      return [{ ...report, node, address: parseOnionAddress(report.address) }];
    } catch {
      return [];
    }
  });
}

export const mesh = definePlugin<v.InferOutput<typeof options>>({
  name: 'mesh',
  summary: 'Knows which nodes are there, and carries their heads to the publisher.',
  needs: [transportContract],
  gives: [meshContract, headRegistryContract],
  section: 'mesh',
  options,
  apply(host, { beacon_interval_ms, suspect_after_ms, dead_after_ms }) {
    const { clock, random } = host.runtime;
    const transport = host.need(transportContract);
    const membership = new Membership({
      suspectMs: suspect_after_ms,
      deadMs: dead_after_ms,
      forgetMs,
      maximumMembers,
    });
    const own = new Map<string, ClusterRecord>();
    const bySource = new Map<string, readonly HeadReport[]>();
    const listeners = new Set<(change: MeshChange) => void>();
    // A later start has a larger number: this clock only tells one node's lives apart.
    const incarnation = clock.now();

    const send = (to: string, message: Message): void => transport.send(to, encodeMessage(message));
    const beacon = (): void => {
      const versions = Object.fromEntries([...own].map(([kind, { version }]) => [kind, version]));
      send('*', { type: 'beacon', incarnation, versions });
    };
    const tell = (changes: readonly MeshChange[]): void => {
      for (const change of changes) {
        for (const listener of listeners) listener(change);
        if (change.node === host.node) continue;
        if (change.what === 'state') {
          host.log.info('a member changed', { member: change.node, state: change.state, why: change.why });
          host.signal('peerChanged', { node: change.node, why: change.why });
        } else if (change.kind === headsKind) {
          host.signal('peerChanged', { node: change.node, why: `${change.node} has other heads` });
        }
      }
    };
    const publish = (kind: string, value: Json): void => {
      if (!own.has(kind) && own.size >= maximumKinds) {
        throw new ChimeraError('MESH_TOO_LARGE', `more than ${maximumKinds} kinds of records`);
      }
      const size = JSON.stringify(value).length;
      if (size > maximumRecordBytes) {
        throw new ChimeraError(
          'MESH_TOO_LARGE',
          `the record ${kind} has ${size} bytes; ${maximumRecordBytes} are the most`,
        );
      }
      const version = (own.get(kind)?.version ?? -1) + 1;
      own.set(kind, { node: host.node, kind, incarnation, version, value });
      beacon();
      tell([{ node: host.node, what: 'record', kind }]);
    };

    const receive = (from: string, bytes: Uint8Array): void => {
      const message = decodeMessage(bytes, maximumRecordBytes + 1_024);
      if (message === undefined || from === host.node) return;
      const now = clock.monotonic();
      if (message.type === 'beacon') {
        const fresh = membership.heard(from, message.incarnation, now);
        tell(fresh);
        const kinds = membership.missing(from, message.versions);
        if (kinds.length > 0) send(from, { type: 'want', kinds });
        // A newcomer does not wait a whole interval to hear of us.
        if (fresh.length > 0) beacon();
      } else if (message.type === 'want') {
        for (const kind of message.kinds) {
          const record = own.get(kind);
          if (record !== undefined) {
            send(from, { type: 'record', incarnation, kind, version: record.version, value: record.value });
          }
        }
      } else if (message.type === 'record') {
        tell(membership.heard(from, message.incarnation, now));
        tell(membership.learn(from, message.incarnation, message.kind, message.version, message.value));
      } else tell(membership.left(from, message.incarnation));
    };

    host.give(meshContract, {
      members: () =>
        [...membership.members(), { node: host.node, state: 'alive' as const, heardAtMs: clock.monotonic() }].sort(
          (a, b) => (a.node < b.node ? -1 : 1),
        ),
      publish,
      records: (kind) => {
        const mine = own.get(kind);
        return [...membership.records(kind), ...(mine === undefined ? [] : [mine])].sort((a, b) =>
          a.node < b.node ? -1 : 1,
        );
      },
      onChange: (listener) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    });
    host.give(headRegistryContract, {
      set: (reports, source = '') => {
        bySource.set(source, reports);
        const all = [...bySource.values()].flat();
        publish(
          headsKind,
          all.map(({ head, address, descriptor, provenance, observedAt }) => ({
            head,
            address,
            descriptor,
            provenance,
            observedAt,
          })),
        );
        host.signal('introPointsChanged', { head: host.node, why: `${all.length} heads of ${host.node}` });
      },
    });

    host.hooks.gather.tap('mesh', ({ add }) => {
      for (const reports of bySource.values()) for (const report of reports) add(report);
      for (const record of membership.records(headsKind)) for (const report of headsOf(record)) add(report);
    });

    host.hooks.start.tap('mesh', () => {
      host.defer(() => send('*', { type: 'leave', incarnation }));
      host.defer(transport.onMessage(receive));
      host.background(async (signal) => {
        while (!signal.aborted) {
          beacon();
          tell(membership.tick(clock.monotonic()));
          await clock.sleep(jittered(random, beacon_interval_ms, beaconJitter), signal).catch(() => undefined);
        }
      });
    });
  },
});
export default mesh;
