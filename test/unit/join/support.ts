/** What the tests of joining share: members with real keys, a roster of the simplest kind, and one channel between them. */
import {
  nodeIdOf,
  type AdmittedNode,
  type ClusterSecret,
  type NodeIdentity,
  type PeerChannel,
  type Roster,
} from '../../../core/engine/index.ts';
import { ChimeraError } from '../../../core/errors.ts';
import { silentLog, type Clock } from '../../../core/runtime/index.ts';
import { createClusterSecrets, identityOfSeed } from '../../../plugins/identity/index.ts';
import { createBook, type InvitationBook } from '../../../plugins/join/index.ts';
import { knock } from '../../../plugins/join/handshake.ts';
import {
  encodeInvitation,
  parseInvitation,
  selectorFor,
  tokenOf,
  type Invitation,
} from '../../../plugins/join/invitation.ts';
import { answerMember, createDoorAnswer, type MemberSide } from '../../../plugins/join/member.ts';
import { encodeRequest } from '../../../plugins/join/messages.ts';
import { createMemoryStore, type MemoryStore } from '../../kit/sim/memory-store.ts';
import { createSeededRandom } from '../../kit/sim/seeded-random.ts';

export const address = 'q7yb4tpajt3nueyz5njldpz4qabz3goppud5aa5rfznercrody5so5qd.onion';
export const epoch = 42;
export const random = createSeededRandom('join');

export const newIdentity = (): NodeIdentity => identityOfSeed(random.bytes(32));

export interface TestCluster {
  readonly members: readonly TestMember[];
  /** Admissions in order, by node. */
  readonly admissions: string[];
  remove(node: string): void;
  secrets: readonly ClusterSecret[];
}

export interface TestMember {
  readonly identity: NodeIdentity;
  readonly book: InvitationBook;
  readonly store: MemoryStore;
  readonly answer: ReturnType<typeof createDoorAnswer>;
  away: boolean;
  invite(lifeMs?: number): Promise<string>;
}

export async function createCluster(clock: Clock, size = 1): Promise<TestCluster> {
  const identities = Array.from({ length: size }, newIdentity);
  const nodes = new Map<string, AdmittedNode>();
  const removed = new Set<string>();
  const admissions: string[] = [];
  const founder = (identities[0] as NodeIdentity).node;
  for (const { node, keys } of identities) nodes.set(node, { node, keys, endpoints: [], admittedBy: founder });
  const roster: Roster = {
    founder,
    admitted: () => [...nodes.values()],
    admit: (keys, endpoints) => {
      const node = nodeIdOf(keys.signing);
      if (removed.has(node)) throw new ChimeraError('PEER_UNKNOWN', 'it was removed');
      const admitted = { node, keys, endpoints, admittedBy: founder };
      nodes.set(node, admitted);
      admissions.push(node);
      return admitted;
    },
    remove: (node) => {
      nodes.delete(node);
      removed.add(node);
    },
    removed: () => [],
    entries: () => Buffer.from([...nodes.keys()].join()),
    learn: () => undefined,
    onChange: () => () => undefined,
  };
  const cluster: { secrets: readonly ClusterSecret[] } = { secrets: [{ generation: 1, secret: random.bytes(32) }] };
  const members: TestMember[] = [];
  for (const identity of identities) {
    const store = createMemoryStore();
    await store.makeDirectory('/state');
    const book = createBook({ clock, random, store, stateDirectory: '/state' });
    const channel: PeerChannel = {
      ask: async (node, _topic, question) => {
        const member = members.find((one) => one.identity.node === node);
        if (member === undefined || member.away) throw new Error('no answer');
        return answerMember(member.book, question);
      },
      answer: () => undefined,
    };
    const shared = createClusterSecrets(
      () => cluster.secrets,
      async () => undefined,
    );
    const secrets = { ...shared, current: () => cluster.secrets };
    const side: MemberSide = {
      identity,
      secrets,
      roster,
      channel,
      book,
      random,
      log: silentLog,
      address: () => address,
      epoch: () => epoch,
    };
    members.push({
      identity,
      book,
      store,
      away: false,
      answer: createDoorAnswer(side),
      invite: async (lifeMs = 3_600_000) => {
        const selector = selectorFor(await book.make(lifeMs), identity.node);
        return encodeInvitation({ selector, token: tokenOf(cluster.secrets[0] as ClusterSecret, selector) });
      },
    });
  }
  return Object.assign(cluster, { members, admissions, remove: (node: string) => roster.remove(node, 'test') });
}

/** An invitation by which somebody has come in. */
export async function usedInvitation(member: TestMember): Promise<Invitation> {
  const used = parseInvitation(await member.invite());
  const guest = newIdentity();
  const { message } = knock(used.token, used.selector, random, (ephemeral) =>
    encodeRequest(guest, used.selector, ephemeral, []),
  );
  if ((await member.answer(used.selector, message, new AbortController().signal)) === undefined) {
    throw new Error('the member let nobody in by its own invitation');
  }
  return used;
}
