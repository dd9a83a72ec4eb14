/**
 * One node's side of the mesh: sends beacons, takes what comes, pulls the records that it misses. Enter at `createMeshNode`.
 */
import type { ClusterRecord, Json, Mesh, MeshChange } from '../../core/engine/index.ts';
import { ChimeraError } from '../../core/errors.ts';
import { jittered, shuffled, type Clock, type Log, type Random, type Timer } from '../../core/runtime/index.ts';
import { Membership, newer, type StoredRecord } from './membership.ts';
import {
  decodeMessage,
  decodeValue,
  encodeMessage,
  isKind,
  maximumHeaderBytes,
  maximumHeard,
  maximumKinds,
  maximumRecordBytes,
  maximumSmallBytes,
  maximumSmallTotalBytes,
  type Beacon,
  type Heard,
  type Message,
  type Piece,
  type Pull,
} from './message.ts';
import { Pulls } from './pulls.ts';

/** Datagrams to node ids; '*' is everybody else. */
export interface Carrier {
  readonly self: string;
  readonly maximumBytes: number;
  send(to: string, bytes: Uint8Array): void;
  onMessage(listener: (from: string, bytes: Uint8Array) => void): () => void;
}

export interface MeshSettings {
  readonly beaconIntervalMs: number;
  readonly suspectMs: number;
  readonly deadMs: number;
}

export interface MeshNode extends Mesh {
  /** Joins: beacons from now on. */
  start(): void;
  /** Says good-bye and is silent. */
  leave(): void;
}

const forgetMs = 600_000;
const maximumMembers = 256;
const maximumStoredBytes = 33_554_432;
/** Beacons are sent at their interval plus or minus this share, so that nodes do not fall into step. */
const beaconJitter = 0.1;
/** A change is told this much later, so that several go out together. */
const soonMs = 5;
/** A peer is pinged once it has missed this many beacon intervals. */
const pingAfterIntervals = 2.2;

export function createMeshNode(options: {
  readonly transport: Carrier;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly settings: MeshSettings;
}): MeshNode {
  const { transport, clock, random, log, settings } = options;
  const { self } = transport;
  const limits = { forgetMs, maximumMembers, maximumStoredBytes, maximumKinds };
  const membership = new Membership({ ...limits, suspectMs: settings.suspectMs, deadMs: settings.deadMs });
  const own = new Map<string, StoredRecord>();
  const listeners = new Set<(change: MeshChange) => void>();
  const pulls = new Pulls((to, pull) => send(to, pull), settings.beaconIntervalMs / 2);
  // A later life has a greater number. The clock only orders one node's own lives; a peer that knows better corrects it.
  let incarnation = clock.now();
  let sequence = 0;
  let dropped = 0;
  let running = false;
  let leaving = false;
  let tickTimer: Timer | undefined;
  let soonTimer: Timer | undefined;
  let tickedAtMs = clock.monotonic();
  let unsubscribe: () => void = () => undefined;

  const drop = (from: string, why: string): void => {
    dropped++;
    log.debug('a message was dropped', { from, why });
  };
  const send = (to: string, message: Message): void => transport.send(to, encodeMessage(message));
  const tell = (changes: readonly MeshChange[]): void => {
    for (const change of changes) for (const listener of listeners) listener(change);
  };
  const ownRecord = (record: StoredRecord): StoredRecord => ({ ...record, incarnation });

  /** The values of small records, as many as there is room for. */
  const small = (): Record<string, Json> => {
    let left = maximumSmallTotalBytes;
    const taken: Record<string, Json> = {};
    for (const [kind, { bytes, value }] of own) {
      if (bytes.length > Math.min(left, maximumSmallBytes)) continue;
      left -= bytes.length;
      taken[kind] = value;
    }
    return taken;
  };

  /** The beacon for now. `named` is in it whatever its state, unless it does not fit. */
  const beacon = (named?: string): void => {
    const now = clock.monotonic();
    sequence++;
    const versions = Object.fromEntries([...own].map(([kind, { version }]) => [kind, version]));
    const message: Beacon & { heard: Heard[] } = {
      type: 'beacon',
      incarnation,
      sequence,
      versions,
      small: small(),
      heard: [],
      ...(leaving ? { leaving } : {}),
    };
    const first = named === undefined ? [] : [membership.get(named)];
    const rest = shuffled(
      random,
      membership.peers().filter(({ node, state }) => state !== 'dead' && node !== named),
    );
    let left = transport.maximumBytes - encodeMessage(message).length;
    for (const peer of [...first, ...rest]) {
      if (peer === undefined || message.heard.length >= maximumHeard) continue;
      const entry: Heard = {
        node: peer.node,
        incarnation: peer.incarnation,
        sequence: peer.sequence,
        ageMs: Math.min(3_600_000, Math.max(0, Math.round(now - peer.heardAtMs))),
        // Only what can be pulled here.
        versions: Object.fromEntries(
          [...peer.records]
            .filter(([, record]) => record.incarnation === peer.incarnation)
            .map(([kind, { version }]) => [kind, version]),
        ),
      };
      left -= JSON.stringify(entry).length + 1;
      if (left < 0) break;
      message.heard.push(entry);
    }
    send(named ?? '*', message);
  };

  const beaconSoon = (): void => {
    if (!running) return;
    soonTimer ??= clock.after(soonMs, () => {
      soonTimer = undefined;
      if (running) beacon();
    });
  };

  /** Pulls what `from` has of `node` and is not here. */
  const pullMissing = (
    { node, incarnation: life, versions }: Pick<Heard, 'node' | 'incarnation' | 'versions'>,
    from: string,
    now: number,
  ): void => {
    const peer = membership.get(node);
    if (peer === undefined || peer.incarnation !== life) return;
    for (const [kind, version] of Object.entries(versions)) {
      const wanted = { node, kind, incarnation: life, version };
      if (newer(wanted, peer.records.get(kind))) pulls.want(wanted, from, now);
    }
  };

  const onBeacon = (from: string, message: Beacon, changes: MeshChange[]): void => {
    const now = clock.monotonic();
    const known = membership.get(from);
    if (known !== undefined && message.incarnation < known.incarnation) {
      // It started again with a clock that is behind: tell it, so that it takes a greater number.
      beacon(from);
      return;
    }
    const kinds = Object.keys(message.versions);
    const fresh = membership.heard({ ...message, node: from, kinds, heardAtMs: now }, now, changes);
    if (fresh && known === undefined) beaconSoon();
    for (const [kind, value] of Object.entries(message.small)) {
      const version = message.versions[kind];
      const bytes = Buffer.from(JSON.stringify(value), 'utf8');
      if (version === undefined || bytes.length > maximumSmallBytes) continue;
      membership.learn({ node: from, kind, incarnation: message.incarnation, version, value, bytes }, changes);
    }
    if (message.leaving) {
      // Its last words count before it is gone.
      tell(changes.splice(0));
      if (fresh) membership.left(from, changes);
      return;
    }
    pullMissing({ ...message, node: from }, from, now);
    for (const entry of message.heard) {
      if (entry.node === self) {
        if (entry.incarnation > incarnation) {
          incarnation = entry.incarnation + 1;
          beaconSoon();
        }
      } else if (entry.node !== from) {
        const heardAtMs = now - entry.ageMs;
        membership.heard({ ...entry, kinds: Object.keys(entry.versions), heardAtMs }, now, changes);
        pullMissing(entry, from, now);
      }
    }
  };

  const onPull = (from: string, pull: Pull): void => {
    const { node, kind, offset } = pull;
    const mine = own.get(kind);
    const record =
      node === self ? (mine === undefined ? undefined : ownRecord(mine)) : membership.get(node)?.records.get(kind);
    // Another version than asked for: the next beacon tells which there is.
    if (record?.incarnation !== pull.incarnation || record.version !== pull.version) return;
    const body = record.bytes.subarray(offset, offset + transport.maximumBytes - maximumHeaderBytes);
    if (body.length > 0) send(from, { ...pull, type: 'piece', total: record.bytes.length, body });
  };

  const onPiece = (from: string, piece: Piece, changes: MeshChange[]): void => {
    const complete = pulls.take(piece, from, clock.monotonic());
    if (complete === undefined) return;
    const value = decodeValue(complete.bytes);
    if (value === undefined) drop(from, `the record ${complete.kind} of ${complete.node} is no JSON`);
    else if (!membership.learn({ ...complete, value }, changes)) drop(from, 'no room for another record');
  };

  const receive = (from: string, bytes: Uint8Array): void => {
    if (!running) return;
    const message = from === self ? undefined : decodeMessage(bytes);
    if (message === undefined) {
      drop(from, from === self ? 'it comes from a node of the same id' : 'no message of the mesh');
      return;
    }
    const changes: MeshChange[] = [];
    if (message.type === 'beacon') onBeacon(from, message, changes);
    else if (message.type === 'ping') beacon(from);
    else if (message.type === 'pull') onPull(from, message);
    else onPiece(from, message, changes);
    tell(changes);
  };

  const tick = (): void => {
    const now = clock.monotonic();
    if (now - tickedAtMs >= settings.suspectMs) membership.stoodStill(now);
    tickedAtMs = now;
    beacon();
    const changes: MeshChange[] = [];
    membership.tick(now, changes);
    tell(changes);
    for (const { node, state, heardAtMs } of membership.members()) {
      const silent = now - heardAtMs > pingAfterIntervals * settings.beaconIntervalMs;
      if (silent && state !== 'dead') send(node, { type: 'ping' });
    }
    tickTimer = clock.after(jittered(random, settings.beaconIntervalMs, beaconJitter), tick);
  };

  const sorted = <T extends { readonly node: string }>(items: T[]): T[] =>
    items.sort((a, b) => (a.node < b.node ? -1 : Number(a.node > b.node)));

  return {
    members: () => sorted([...membership.members(), { node: self, state: 'alive', heardAtMs: clock.monotonic() }]),
    publish: (kind, value) => {
      const bytes = Buffer.from(JSON.stringify(value), 'utf8');
      const known = own.get(kind);
      if (!isKind(kind)) throw new ChimeraError('MESH_RECORD', `${JSON.stringify(kind)} is no kind of record`);
      if (known === undefined && own.size >= maximumKinds) {
        throw new ChimeraError('MESH_RECORD', `the record ${kind} is one kind too many; ${maximumKinds} are the most`);
      }
      if (bytes.length > maximumRecordBytes) {
        throw new ChimeraError(
          'MESH_TOO_LARGE',
          `the record ${kind} has ${bytes.length} bytes; ${maximumRecordBytes} are the most`,
        );
      }
      if (known !== undefined && Buffer.compare(known.bytes, bytes) === 0) return;
      const version = (known?.version ?? 0) + 1;
      own.set(kind, { node: self, kind, incarnation, version, value, bytes });
      beaconSoon();
      tell([{ node: self, what: 'record', kind }]);
    },
    records: (kind) => {
      const mine = own.get(kind);
      return sorted<ClusterRecord>([...membership.records(kind), ...(mine === undefined ? [] : [ownRecord(mine)])]);
    },
    onChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    get dropped() {
      return dropped;
    },
    // Every node's signs of life go to everybody.
    lead: () => undefined,
    start: () => {
      running = true;
      tickedAtMs = clock.monotonic();
      unsubscribe = transport.onMessage(receive);
      tick();
    },
    leave: () => {
      if (!running) return;
      leaving = true;
      beacon();
      running = false;
      tickTimer?.cancel();
      soonTimer?.cancel();
      unsubscribe();
    },
  };
}
