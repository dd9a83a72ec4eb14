import { expect, test } from 'vitest';
import { createVerifier, type HeadReport } from '../../../core/pipeline/index.ts';
import { evening, makeBackend, makeConsensus } from './support.ts';

const consensus = makeConsensus();

test('genuine descriptors become candidates, heads sorted by name', async () => {
  const b = await makeBackend('b/1', consensus);
  const a = await makeBackend('a/1', consensus, { points: 2 });
  const { heads, rejected } = createVerifier()([b.report, a.report], consensus, evening);
  expect(rejected).toEqual([]);
  expect(heads.map(({ head, node, siege }) => ({ head, node, siege }))).toEqual([
    { head: 'a/1', node: 'a', siege: 0 },
    { head: 'b/1', node: 'b', siege: 0 },
  ]);
  expect(heads[0]?.candidates.map(({ id }) => id)).toEqual(a.ids);
  expect(heads[1]?.candidates.map(({ introPoint }) => introPoint)).toEqual(b.introPoints);
});

test('one introduction point counts once, whoever reports it', async () => {
  const a = await makeBackend('a/1', consensus);
  const thief = { ...a.report, head: 'z/1', node: 'z' };
  const { heads } = createVerifier()([a.report, thief, a.report], consensus, evening);
  expect(heads.map(({ head, candidates }) => [head, candidates.length])).toEqual([
    ['a/1', 3],
    ['z/1', 0],
  ]);
});

test('two descriptors of one head add up', async () => {
  const one = await makeBackend('a/1', consensus);
  const two = await makeBackend('a/1', consensus, { seed: 'other' });
  const { heads } = createVerifier()([one.report, two.report], consensus, evening);
  expect(heads).toHaveLength(1);
  expect(heads[0]?.candidates.map(({ id }) => id)).toEqual([...one.ids, ...two.ids]);
});

const changed = (text: string): string => text.replace(/revision-counter \d+/, 'revision-counter 99');
test.each<[string, string, (a: HeadReport, b: HeadReport) => Partial<HeadReport>]>([
  ['of another service', 'ONION_WRONG_SERVICE', (_a, b) => ({ descriptor: b.descriptor })],
  ['changed on the way', 'ONION_SIGNATURE', (a) => ({ descriptor: changed(a.descriptor) })],
  ['cut', 'ONION_DESCRIPTOR', (a) => ({ descriptor: a.descriptor.slice(0, 400) })],
  ['empty', 'ONION_DESCRIPTOR', () => ({ descriptor: '' })],
])('a descriptor %s is rejected and the others count', async (_name, code, break_) => {
  const a = await makeBackend('a/1', consensus);
  const b = await makeBackend('b/1', consensus);
  const { heads, rejected } = createVerifier()(
    [{ ...a.report, ...break_(a.report, b.report) }, b.report],
    consensus,
    evening,
  );
  expect(heads.map(({ head }) => head)).toEqual(['b/1']);
  expect(rejected).toHaveLength(1);
  expect(rejected[0]).toMatchObject({ report: { head: 'a/1' }, error: { code } });
});

test('the neighbouring periods are taken, farther ones are not', async () => {
  const day = 86_400;
  const verify = createVerifier();
  for (const [days, fits] of [
    [-2, false],
    [-1, true],
    [0, true],
    [1, true],
    [2, false],
  ] as const) {
    const other = makeConsensus(evening + days * day);
    const { report } = await makeBackend('a/1', other);
    // Certificates live for 54 hours: at this moment none of them has expired.
    const { rejected } = verify([report], consensus, Math.min(evening, other.times.validAfter));
    expect([days, rejected.map(({ error }) => (error as { code?: string }).code)]).toEqual([
      days,
      fits ? [] : ['ONION_WRONG_SERVICE'],
    ]);
  }
});

test('what was opened before is refused once its period or its certificate is over', async () => {
  const verify = createVerifier();
  const { report } = await makeBackend('a/1', consensus);
  expect(verify([report], consensus, evening).heads).toHaveLength(1);
  expect(verify([report], consensus, evening + 60 * 3600).rejected[0]?.error).toMatchObject({
    code: 'ONION_CERTIFICATE',
  });
  const later = makeConsensus(evening + 3 * 86_400);
  expect(verify([report], later, evening).rejected[0]?.error).toMatchObject({ code: 'ONION_WRONG_SERVICE' });
});

test('an unchanged descriptor of another address is not taken from memory', async () => {
  const verify = createVerifier();
  const a = await makeBackend('a/1', consensus);
  const b = await makeBackend('b/1', consensus);
  verify([a.report], consensus, evening);
  const { rejected } = verify([{ ...a.report, address: b.address }], consensus, evening);
  expect(rejected[0]?.error).toMatchObject({ code: 'ONION_WRONG_SERVICE' });
});
