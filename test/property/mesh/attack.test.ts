/**
 * A mesh under attack, in process: forged, wrongly signed, replayed and reordered datagrams, and none changes anything, nor
 * makes the attacked hold more. CHIMERA_ATTACK_SCALE multiplies the counts; 1000 gives 10⁷ forged, 10⁶ wrongly signed and
 * 10⁷ replayed: `CHIMERA_ATTACK_SCALE=1000 npx vitest run --reporter verbose test/property/mesh/attack.test.ts` says what it took.
 */
import { randomFillSync } from 'node:crypto';
import { expect, test } from 'vitest';
import { encodeMessage, type Message } from '../../../plugins/mesh/message.ts';
import { hashOf, signRecord, verifyRecord } from '../../../plugins/mesh/record.ts';
import { maximumDatagramBytes, typeOf } from '../../../plugins/mesh/session/datagram.ts';
import { heldBytes } from '../../kit/held-memory.ts';
import { createSeededRandom, type SeededRandom } from '../../kit/sim/seeded-random.ts';
import { testIdentity } from '../../kit/sim/identity.ts';
import { admitAll, makeSessions, network } from '../../unit/mesh/support.ts';
import { testMesh, type TestMeshNode } from '../../unit/mesh/mesh-node.ts';

const scale = Number(process.env['CHIMERA_ATTACK_SCALE'] ?? 1);
const counts = { forged: 10_000 * scale, wronglySigned: 1_000 * scale, replayed: 10_000 * scale };
const limitMs = 20_000 + 2_000 * scale;
/** What collecting leaves to chance: compiled code, the virtual clock's timers, the tables that test runners keep. */
const slackBytes = 4 * 1_048_576;
const mebibytes = (bytes: number): string => `${(bytes / 1_048_576).toFixed(1)} MiB`;

/** All that a node holds and shows. */
const stateOf = ({ mesh, roster }: TestMeshNode): string =>
  JSON.stringify([
    mesh.members().map(({ node, state, life }) => [node, state, life]),
    mesh.records('load'),
    mesh.records('node'),
    roster.encode().toString('hex'),
    mesh.figures.entries,
  ]);

const attackers = Array.from({ length: 6 }, (_none, at) => `attacker ${at}`);
const flipped = (random: SeededRandom, genuine: Uint8Array): Uint8Array => {
  const at = random.int(genuine.length);
  genuine[at] = (genuine[at] as number) ^ (1 + random.int(255));
  return genuine;
};
/** What somebody without keys can make of a genuine datagram. */
const forgeries: readonly ((random: SeededRandom, genuine: Uint8Array) => Uint8Array)[] = [
  flipped,
  // Noise behind a header that is right.
  (_random, genuine) => {
    randomFillSync(genuine, Math.min(14, genuine.length));
    return genuine;
  },
  // Cut, or longer than it was.
  (random, genuine) => genuine.subarray(0, 1 + random.int(genuine.length - 1)),
  (random, genuine) => Buffer.concat([genuine, Buffer.alloc(1 + random.int(maximumDatagramBytes))]),
  // Another counter: a later one would move the window, if it were believed.
  (random, genuine) => {
    if (typeOf(genuine) !== 'data') return flipped(random, genuine);
    genuine.set(random.bytes(4), 10);
    return genuine;
  },
];

test(
  'forged and replayed datagrams',
  async ({ annotate }) => {
    const { clock, bus, join } = testMesh(['a', 'b', 'c']);
    const [a, b, c] = [join('a'), join('b'), join('c')];
    const recorded: Uint8Array[] = [];
    let attacked = false;
    bus.tap((_from, to, bytes) => {
      if (to === 'b' && !attacked && recorded.length < 2_000) recorded.push(Uint8Array.from(bytes));
    });
    for (const { mesh, name } of [a, b, c]) mesh.publish('load', name);
    a.mesh.lead(true);
    await clock.advance(60_000);
    attacked = true;
    const attacker = createSeededRandom('attacker');
    for (const source of attackers) bus.join(source, () => undefined);
    // Also as if from where the peers are.
    const sources = [...attackers, 'a', 'c'];
    const before = stateOf(b);
    const sent = { ...bus.sent };
    const dropped = b.mesh.dropped;
    const heldBefore = heldBytes();
    const startedAtMs = performance.now();
    let given = 0;
    const give = async (bytes: Uint8Array): Promise<void> => {
      bus.send(sources[given % sources.length] as string, 'memory:b', bytes);
      if (++given % 1_000 === 0) await clock.advance(20);
    };
    for (let count = 0; count < counts.forged; count++) {
      const genuine = Uint8Array.from(recorded[attacker.int(recorded.length)] as Uint8Array);
      await give(forgeries[count % forgeries.length]!(attacker, genuine));
    }
    for (let count = 0; count < counts.replayed; count++) {
      await give(recorded[attacker.int(recorded.length)] as Uint8Array);
    }
    await clock.advance(50);
    const [tookMs, grownBytes] = [performance.now() - startedAtMs, heldBytes() - heldBefore];
    await annotate(
      `${counts.forged} forged, ${counts.replayed} replayed in ${(tookMs / 1_000).toFixed(1)} s; held ${mebibytes(grownBytes)} more, resident ${mebibytes(process.memoryUsage().rss)}`,
    );
    expect(grownBytes).toBeLessThan(slackBytes);
    expect(stateOf(b)).toBe(before);
    expect(b.mesh.dropped - dropped).toBeGreaterThanOrEqual(given * 0.99);
    // What it costs the attacked: cookies at most, no more than it was sent.
    expect(bus.sent.bytes - sent.bytes).toBeLessThan(2 * 1_232 * given);
    expect(b.mesh.figures.sessions).toBeLessThanOrEqual(8);
    expect(b.mesh.figures.pending).toBeLessThanOrEqual(4);
    await clock.advance(10_000);
    expect(b.states()).toEqual(['a alive', 'b alive', 'c alive']);
  },
  limitMs,
);

test(
  'a member that signs for others, or wrongly, changes nothing of theirs',
  async ({ annotate }) => {
    const { clock, bus, join, members } = testMesh(['a', 'b', 'z']);
    const [a, b] = [join('a'), join('b')];
    a.mesh.publish('load', 'mine');
    await clock.advance(3_000);
    const before = JSON.stringify([a, b].map((node) => node.values('load')));
    // A member that has left its own mind, with sessions that are genuine.
    const liar = makeSessions(clock, bus, 'z', {
      identity: members.identity('z'),
      secrets: members.secrets(),
      cluster: a.roster.cluster,
    });
    liar.meet(b.node, b.identity.keys, 'b');
    const random = createSeededRandom('liar');
    const stranger = testIdentity(random);
    const heldBefore = heldBytes();
    const startedAtMs = performance.now();
    for (let count = 0; count < counts.wronglySigned; count++) {
      const value = Buffer.from(JSON.stringify(`lie ${count}`));
      const fields = {
        node: a.node,
        kind: 'load',
        incarnation: 2 ** 47 - 1,
        version: count + 1,
        length: value.length,
        hash: hashOf(value),
      };
      const signer = [members.identity('z'), stranger][count % 2] as typeof stranger;
      const record = signRecord(signer, a.roster.cluster, fields);
      expect(verifyRecord(a.roster.cluster, a.identity.keys.signing, record)).toBe(false);
      const message: Message = { type: 'record', record, value };
      liar.sessions.send(b.node, encodeMessage(message));
      if (count % 100 === 0) await clock.advance(20);
    }
    await clock.advance(5_000);
    const [tookMs, grownBytes] = [performance.now() - startedAtMs, heldBytes() - heldBefore];
    await annotate(
      `${counts.wronglySigned} wrongly signed in ${(tookMs / 1_000).toFixed(1)} s; held ${mebibytes(grownBytes)} more, resident ${mebibytes(process.memoryUsage().rss)}`,
    );
    expect(grownBytes).toBeLessThan(slackBytes);
    expect(JSON.stringify([a, b].map((node) => node.values('load')))).toBe(before);
  },
  limitMs,
);

test('in any order, each datagram once', async () => {
  const { clock, bus } = network({ delayMs: { minimum: 0, maximum: 400 } });
  const [a, b] = admitAll(makeSessions(clock, bus, 'a'), makeSessions(clock, bus, 'b'));
  a.say(b, 'first');
  await clock.advance(3_000);
  for (let count = 0; count < 900; count++) a.say(b, String(count));
  await clock.advance(1_000);
  expect(new Set(b.heard).size).toBe(901);
  expect(b.heard.length).toBe(901);
});
