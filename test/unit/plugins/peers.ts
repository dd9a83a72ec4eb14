/**
 * Members that can ask each other, without a mesh: a roster that spreads by itself, and questions that take a while. What a
 * node's own view says counts for it, as it will over a real network.
 */
import {
  clusterSecretsContract,
  nodeIdentityContract,
  peerChannelContract,
  rosterContract,
  type AdmittedNode,
  type ClusterSecret,
  type ClusterSecrets,
  type NodeIdentity,
  type PeerChannel,
  type Roster,
} from '../../../core/engine/index.ts';
import { createClusterSecrets, identityOfSeed } from '../../../plugins/identity/index.ts';
import { createSeededRandom } from '../../kit/sim/seeded-random.ts';
import type { VirtualClock } from '../../kit/sim/virtual-clock.ts';
import type { BareHost } from './support.ts';

type Handler = (from: string, question: Uint8Array) => Promise<Uint8Array>;

export interface Peer {
  readonly identity: NodeIdentity;
  readonly secrets: ClusterSecrets;
  readonly roster: Roster;
  readonly channel: PeerChannel;
  online: boolean;
  diskFull: boolean;
  /** The secrets that its next process finds. */
  disk: readonly ClusterSecret[];
  /** It hears only those on the same side of a cut. */
  side: string;
  /** Every answer that it gave, as it went over the wire. */
  readonly answers: Uint8Array[];
  /** Puts the contracts where a plugin finds them. */
  provideTo(bare: BareHost): void;
  /** Asks its handler of a topic without a session between, as whoever has broken one could. */
  handle(topic: string, from: string, question: Uint8Array): Promise<Uint8Array>;
  /** Forgets the handlers, and all secrets that are not on the disk: its process is another one now. */
  restart(): void;
}

export interface Peers {
  /** A new member, admitted by everybody who is online. */
  add(name: string): Peer;
  readonly all: readonly Peer[];
}

const latencyMs = 20;

export function createPeers(clock: VirtualClock, first: ClusterSecret): Peers {
  const all: (Peer & {
    tombstones: Set<string>;
    known: Map<string, AdmittedNode>;
    tell(): void;
    handlers: Map<string, Handler>;
  })[] = [];
  const alike = (one: ClusterSecrets, other: ClusterSecrets): boolean =>
    one.current().some((mine) => other.current().some((its) => Buffer.compare(mine.secret, its.secret) === 0));

  const hear = (one: Peer, other: Peer): boolean => one.online && other.online && one.side === other.side;

  /** Rosters of those who are online and hear each other become one. */
  const spread = (): void => {
    for (const one of all.filter(({ online }) => online)) {
      const before = JSON.stringify([[...one.known.keys()].sort(), [...one.tombstones].sort()]);
      for (const other of all.filter((its) => hear(one, its) && alike(one.secrets, its.secrets))) {
        if (one.tombstones.has(other.identity.node)) continue;
        for (const node of other.tombstones) one.tombstones.add(node);
        for (const [node, admitted] of other.known) one.known.set(node, admitted);
      }
      if (JSON.stringify([[...one.known.keys()].sort(), [...one.tombstones].sort()]) !== before) one.tell();
    }
  };
  const spreadAlways = (): void => {
    spread();
    clock.after(200, spreadAlways);
  };
  clock.after(200, spreadAlways);

  const add = (name: string): Peer => {
    const identity = identityOfSeed(createSeededRandom(`peer ${name}`).bytes(32));
    const { node, keys } = identity;
    const listeners = new Set<() => void>();
    const sponsor = all.find(({ online }) => online);
    const start = (): ClusterSecrets =>
      createClusterSecrets(
        () => peer.disk,
        async (written) => {
          if (peer.diskFull) throw new Error('ENOSPC');
          peer.disk = written;
        },
        (retry) => void clock.after(5_000, retry),
      );
    let secrets = start();
    const self: AdmittedNode = { node, keys, endpoints: [], admittedBy: sponsor?.identity.node ?? node };
    const known = new Map([...(sponsor?.known ?? []), [node, self] as const]);
    const tombstones = new Set(sponsor?.tombstones);
    const handlers = new Map<string, Handler>();
    const answers: Uint8Array[] = [];
    const roster: Roster = {
      get founder() {
        return all[0]?.identity.node;
      },
      removed: () => [...tombstones].sort(),
      entries: () => new Uint8Array(),
      learn: () => undefined,
      admitted: () =>
        [...known.values()].filter((each) => !tombstones.has(each.node)).sort((a, b) => (a.node < b.node ? -1 : 1)),
      admit: () => {
        throw new Error('not here');
      },
      remove: (gone) => {
        tombstones.add(gone);
        peer.tell();
      },
      onChange: (listener) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    };
    const channel: PeerChannel = {
      ask: async (to, topic, question, timeoutMs) => {
        const other = all.find(({ identity: its }) => its.node === to);
        const silent = async (): Promise<never> => {
          await clock.sleep(timeoutMs);
          throw new Error('MESH_NO_ANSWER');
        };
        await clock.sleep(latencyMs);
        const handler = other?.handlers.get(topic);
        if (other === undefined || handler === undefined || !hear(peer, other)) return silent();
        // A session needs a common secret, and that each believes in the other.
        if (!alike(secrets, other.secrets) || tombstones.has(to) || other.tombstones.has(node)) return silent();
        const answer = await handler(node, question.slice()).catch(() => undefined);
        await clock.sleep(latencyMs);
        if (answer === undefined || !hear(peer, other)) return silent();
        other.answers.push(answer.slice());
        return answer.slice();
      },
      answer: (topic, handler) => void handlers.set(topic, handler),
    };
    const peer = {
      identity,
      get secrets() {
        return secrets;
      },
      roster,
      channel,
      online: true,
      diskFull: false,
      disk: sponsor?.secrets.current() ?? [first],
      side: '',
      answers,
      known,
      tombstones,
      handlers,
      tell: () => {
        for (const listener of listeners) listener();
      },
      provideTo: (bare: BareHost) => {
        bare.provide(nodeIdentityContract, identity);
        bare.provide(clusterSecretsContract, secrets);
        bare.provide(rosterContract, roster);
        bare.provide(peerChannelContract, channel);
      },
      handle: async (topic: string, from: string, question: Uint8Array) => {
        const handler = handlers.get(topic);
        if (handler === undefined) throw new Error(`nobody answers ${topic}`);
        return handler(from, question);
      },
      restart: () => {
        handlers.clear();
        listeners.clear();
        secrets = start();
      },
    };
    all.push(peer);
    spread();
    return peer;
  };
  return { add, all };
}
