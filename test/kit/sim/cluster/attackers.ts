/** Those who wish the cluster ill: strangers on the network, a member that lies, a machine that was copied. */
import type { ClusterRecord, Json } from '../../../../core/engine/index.ts';
import { typeOf } from '../../../../plugins/mesh/session/datagram.ts';
import type { SeededRandom } from '../seeded-random.ts';
import type { Datagram } from './bus.ts';
import { makeDaemon, type Daemon } from './node.ts';
import { versionOf } from './observe.ts';
import type { SimulatedNode, World } from './world.ts';

/** Values as texts: the mesh gives the same object until its owner says something else. */
const texts = new WeakMap<object, string>();

function textOf(value: Json): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  let text = texts.get(value);
  if (text === undefined) texts.set(value, (text = JSON.stringify(value)));
  return text;
}

/** What a node believes of the others, as texts. Nothing that it has not been told by them may change it. */
function beliefs({ daemon }: SimulatedNode): readonly string[] {
  if (daemon === undefined) return [];
  const { mesh, election, roster } = daemon;
  const records = ['election', 'heads'].flatMap((kind) =>
    mesh
      .records(kind)
      .flatMap(({ node, incarnation, version, value }) => [`${node} ${kind} ${incarnation} ${version}`, textOf(value)]),
  );
  const admitted = roster?.admitted().map(({ node, endpoints }) => [node, endpoints]) ?? [];
  const members = mesh
    .members()
    .map(({ node, state, heardAtMs }) => [node, state, node === daemon.engine.node ? 0 : heardAtMs]);
  const own = [election.publisher, election.epoch, election.elected];
  return [JSON.stringify(members), ...records, JSON.stringify(admitted), JSON.stringify(own)];
}

const same = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((text, at) => text === b[at]);

/** Called with each forged datagram that changed what its receiver believes, or was not dropped. */
export type OnBelieved = (how: string, node: SimulatedNode, before: string, after: string) => void;

/** Every forged datagram of a session must be dropped, and be counted. Handshakes may be answered. */
const mustDrop = ({ bytes }: Datagram): boolean => typeOf(bytes) === 'data';

const onBelieved: WeakMap<World, OnBelieved> = new WeakMap();
export function watchForgeries(world: World, listener: OnBelieved): void {
  onBelieved.set(world, listener);
}

function changed(bytes: Uint8Array, random: SeededRandom): Uint8Array {
  const copy = bytes.slice();
  if (copy.length === 0) return copy;
  for (let times = 1 + random.int(3); times > 0; times--) {
    const at = random.int(copy.length);
    copy[at] = (copy[at] ?? 0) ^ (1 << random.int(8));
  }
  return copy;
}

/** Sends a burst of what nobody of the cluster has sent, and compares what each receiver believes before and after. */
export function forge(world: World, random: SeededRandom, burst: number): void {
  const { arrived } = world.bus;
  const one = <T>(items: readonly T[]): T | undefined => items[random.int(Math.max(1, items.length))];
  for (let count = 0; count < burst; count++) {
    const old = one(arrived);
    const node = one(world.awake());
    if (node === undefined) return;
    const other = one(world.nodes) ?? node;
    const to = node.id;
    const kind = random.int(old === undefined ? 1 : 6);
    let how = 'noise';
    let datagram: Datagram = { from: other.id, to, bytes: random.bytes(random.int(1_232)) };
    if (old !== undefined && kind === 1) {
      how = 'a changed copy';
      datagram = { ...old, to, bytes: changed(old.bytes, random) };
    } else if (old !== undefined && kind === 2) {
      how = 'a copy cut short';
      datagram = { ...old, bytes: old.bytes.slice(0, random.int(old.bytes.length + 1)) };
    } else if (old !== undefined && kind === 3) {
      how = 'a replay';
      datagram = old;
    } else if (old !== undefined && kind === 4) {
      how = 'a replay from somewhere else';
      datagram = { ...old, from: other.id === old.from ? 'stranger' : other.id };
    } else if (old !== undefined && kind === 5 && old.to !== to) {
      how = 'a replay to another node';
      datagram = { ...old, to };
    }
    const receiver = world.node(datagram.to);
    if (receiver?.daemon?.running !== true || receiver.daemon.life.state !== 'up') continue;
    const before = beliefs(receiver);
    const { mesh } = receiver.daemon;
    const { dropped } = mesh;
    world.bus.inject(datagram);
    const after = beliefs(receiver);
    if (mustDrop(datagram) && mesh.dropped === dropped)
      onBelieved.get(world)?.(how, receiver, 'not yet taken', 'taken');
    world.trace.line(`forged: ${how} of ${datagram.bytes.length} bytes to ${receiver.name}`);
    if (!same(before, after)) onBelieved.get(world)?.(how, receiver, before.join(' '), after.join(' '));
  }
}

/** Those that misbehave already: the truth of a second lie would be the first. */
const liars = new WeakSet<Daemon>();

/** A member says what it may not. Gives what stops it. */
export function misbehave(world: World, node: SimulatedNode, random: SeededRandom): () => void {
  const { daemon } = node;
  if (daemon === undefined || liars.has(daemon)) return () => undefined;
  liars.add(daemon);
  const victim = world.nodes.find((other) => other !== node);
  const text = (length: number): string => Buffer.from(random.bytes(length)).toString('base64');
  const junk = (): Json => {
    const head = { address: text(42).slice(0, 56), descriptor: text(300), provenance: 'service', observedAt: 0 };
    const lies: readonly Json[] = [
      null,
      'heads',
      [1, 2, 3],
      [{ ...head, head: `${node.id}/1` }],
      [{ ...head, head: `${victim?.id}/1` }],
      [{ ...head, head: `${node.id}/1`, descriptor: text(30_000) }],
      Array.from({ length: 70 }, (_none, index) => ({ ...head, head: `${node.id}/${index}` })),
    ];
    return lies[random.int(lies.length)] ?? null;
  };
  const own = (): ClusterRecord | undefined => daemon.mesh.record('heads', node.id);
  const said = (): string | undefined => {
    const record = own();
    return record && versionOf(record);
  };
  // What it would say honestly, also when that changes meanwhile.
  let truth = own()?.value;
  let lying = false;
  const unsubscribe = daemon.mesh.onChange((change) => {
    if (!lying && change.node === node.id && change.what === 'record' && change.kind === 'heads') truth = own()?.value;
  });
  let going = true;
  const lie = (): void => {
    if (!going || daemon.life.state === 'dead') return;
    try {
      const wasHonest = daemon.pen.honest;
      daemon.pen.honest = random.float() < 0.6;
      // A publisher whose claim bears no signature is no publisher to the others.
      if (daemon.election.elected && !(wasHonest && daemon.pen.honest)) node.changedAtMs = world.nowMs;
      const before = said();
      lying = true;
      daemon.mesh.publish('heads', junk());
      lying = false;
      const now = said();
      // It signs again, under the same version, when it tells the others.
      if (daemon.pen.honest && now !== undefined) world.observations.unsigned.delete(now);
      else if (now !== before && now !== undefined) world.observations.unsigned.add(now);
      if (random.float() < 0.5) {
        // A publisher that does not say any more that it publishes is replaced at once.
        if (daemon.election.elected) node.changedAtMs = world.nowMs;
        daemon.mesh.publish('election', { merit: text(6), ready: 1, published: -1 });
      }
    } catch (error) {
      lying = false;
      // Its own mesh may refuse what is too large.
      world.trace.line(`${node.name} cannot say that: ${String(error)}`);
    }
    world.clock.after(2_000 + 4_000 * random.float(), lie);
  };
  lie();
  return () => {
    going = false;
    unsubscribe();
    liars.delete(daemon);
    const honest = truth;
    daemon.life.run(() => {
      // Not before: one that stands still signs its last lie again when it wakes, and that would be a signature.
      daemon.pen.honest = true;
      if (honest === undefined) return;
      // Another version in any case: the last one may bear no signature.
      daemon.mesh.publish('heads', []);
      daemon.mesh.publish('heads', honest);
    });
  };
}

/** Starts a copy of the node's machine: the same keys, the same files. Gives what ends it. */
export async function cloneOf(world: World, node: SimulatedNode): Promise<() => void> {
  const directory = `${node.parts.directory}-clone`;
  await world.store.makeDirectory(directory);
  for (const path of world.store.files().filter((known) => known.startsWith(`${node.parts.directory}/`))) {
    const bytes = await world.store.read(path);
    if (bytes !== undefined) await world.store.write(path.replace(node.parts.directory, directory), bytes);
  }
  const machine = { ...node.parts.machine, name: `${node.name}-clone`, diskFull: false };
  const life = world.life(machine, `${node.name}-clone/${node.lives++}`, node.id);
  const parts = { ...node.parts, machine, directory, tor: world.spare, passphrase: () => undefined };
  const daemon = await makeDaemon(parts, life, world.bus, world.entries, () => undefined);
  daemon.engine.start().catch((error: unknown) => world.trace.line(`the clone does not start: ${String(error)}`));
  return () => {
    life.kill();
    void world.store.remove(directory);
  };
}
