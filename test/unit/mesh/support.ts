/** Sessions without a mesh: nodes on a memory bus that say texts to each other. */
import type { ClusterSecrets, NodeIdentity, NodePublicKeys } from '../../../core/engine/index.ts';
import type { SessionPeer } from '../../../plugins/mesh/session/model.ts';
import { Sessions } from '../../../plugins/mesh/session/sessions.ts';
import {
  createMemoryBus,
  joinMemoryBus,
  type MemoryBus,
  type MemoryBusOptions,
} from '../../../plugins/transport/memory/index.ts';
import { testIdentity, testSecrets } from '../../kit/sim/identity.ts';
import { createSeededRandom } from '../../kit/sim/seeded-random.ts';
import { createVirtualClock, type VirtualClock } from '../../kit/sim/virtual-clock.ts';

export function network(options: Partial<MemoryBusOptions> = {}, seed = 'bus') {
  const clock = createVirtualClock();
  const bus = createMemoryBus({ clock, random: createSeededRandom(seed), ...options });
  return { clock, bus };
}

export interface Speaker {
  readonly name: string;
  readonly node: string;
  readonly identity: NodeIdentity;
  readonly secrets: ClusterSecrets;
  readonly sessions: Sessions;
  readonly heard: string[];
  /** What its transport was told to expect. */
  readonly expected: string[];
  readonly echoes: { readonly node: string; readonly sentAtMs: number; readonly stampMs: number }[];
  incarnation(): number;
  /** How often the static key was used. */
  agreements(): number;
  admit(other: Speaker): void;
  expel(other: Speaker): void;
  say(to: Speaker, text: string): void;
  /** Admits a node that is no speaker. */
  meet(node: string, keys: NodePublicKeys, name: string): void;
  /** Hears every datagram that comes, too. */
  tap(listener: (datagram: Uint8Array) => void): void;
  stop(): void;
}

export function makeSessions(
  clock: VirtualClock,
  bus: MemoryBus,
  name: string,
  options: {
    incarnation?: number;
    secret?: number;
    cluster?: string;
    identity?: NodeIdentity;
    secrets?: ClusterSecrets;
  } = {},
): Speaker {
  const random = createSeededRandom(`speaker ${name}`);
  const genuine = options.identity ?? testIdentity(random);
  let agreed = 0;
  const identity: NodeIdentity = {
    ...genuine,
    agree: (key) => {
      agreed++;
      return genuine.agree(key);
    },
  };
  const secrets =
    options.secrets ?? testSecrets({ generation: 1, secret: new Uint8Array(32).fill(options.secret ?? 1) });
  const { transport, join } = joinMemoryBus(bus, name);
  const known = new Map<string, Speaker>();
  const met = new Map<string, SessionPeer>();
  const heard: string[] = [];
  const expected: string[] = [];
  const echoes: Speaker['echoes'] = [];
  let { incarnation = 1 } = options;
  const sessions = new Sessions({
    cluster: options.cluster ?? 'c'.repeat(20),
    identity,
    secrets,
    transport: { ...transport, expect: (endpoint) => expected.push(endpoint) },
    clock,
    random: random.fork(`life ${incarnation}`),
    incarnation: () => incarnation,
    peer: (node) => {
      const other = known.get(node);
      if (other === undefined) return met.get(node);
      return { node, keys: other.identity.keys, endpoints: () => [`memory:${other.name}`] };
    },
    nodeOf: (key) =>
      [...known.values()].find((other) => Buffer.compare(other.identity.keys.agreement, key) === 0)?.node,
    events: {
      received: (node, content) => {
        if (content.length > 0) heard.push(`${known.get(node)?.name} ${content.toString()}`);
      },
      echoed: (node, _boot, sentAtMs, stampMs) => void echoes.push({ node, sentAtMs, stampMs }),
      outlived: (later) => (incarnation = later + 1),
      dropped: () => undefined,
    },
  });
  secrets.onChange(() => sessions.secretsChanged());
  transport.onMessage((from, bytes) => sessions.take(bytes, from));
  const leave = join();
  return {
    name,
    node: identity.node,
    identity,
    secrets,
    sessions,
    heard,
    expected,
    echoes,
    incarnation: () => incarnation,
    agreements: () => agreed,
    admit: (other) => void known.set(other.node, other),
    expel: (other) => {
      known.delete(other.node);
      sessions.end(other.node);
    },
    meet: (node, keys, peer) => void met.set(node, { node, keys, endpoints: () => [`memory:${peer}`] }),
    say: (to, text) => sessions.send(to.node, Buffer.from(text)),
    tap: (listener) => void transport.onMessage((_from, bytes) => listener(bytes)),
    stop: () => {
      leave();
      sessions.close();
    },
  };
}

/** Each admits the other. */
export function admitAll(a: Speaker, b: Speaker): [Speaker, Speaker] {
  a.admit(b);
  b.admit(a);
  return [a, b];
}

/** The bytes without a few from `at` on. */
export function removeSlice(bytes: Uint8Array, at: number): Uint8Array {
  return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 5)]);
}
