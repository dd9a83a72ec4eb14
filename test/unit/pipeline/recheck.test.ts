/** A recheck: what a cycle does instead of sealing anew when the last publication stands and some HSDirs may lack it. */
import { describe, expect, test } from 'vitest';
import type { Confirmation, Recheck, ReviewContext, Sealed, Upload } from '../../../core/pipeline/index.ts';
import { mostRefusals } from '../../../core/pipeline/publication.ts';
import type { LogLine } from '../plugins/support.ts';
import { recordingLog } from '../plugins/support.ts';
import { acceptAll, confirmAll, createBench, evening, makeBackend, makeConsensus, type Bench } from './support.ts';

const consensus = makeConsensus();
const backends = await Promise.all(['a/1', 'b/1'].map((head) => makeBackend(head, consensus)));
const otherSet = await makeBackend('a/1', consensus, { seed: 'other points' });

interface RecheckBench extends Bench {
  /** What `review` heard last. */
  readonly asked: () => ReviewContext | undefined;
  /** HSDirs that were asked for the descriptor, cycle by cycle. */
  readonly looks: string[][];
  readonly lines: LogLine[];
  /** HSDirs that refuse, and what is fetched back from some instead of what was sent. */
  readonly refusing: Set<string>;
  readonly found: Map<string, Partial<Confirmation>>;
}

async function bench(): Promise<RecheckBench> {
  const lines: LogLine[] = [];
  const b = await createBench({ consensus, log: recordingLog(lines) });
  b.world.reports = backends.map(({ report }) => report);
  let asked: ReviewContext | undefined;
  const answer: Recheck = { outcome: 'recheck', why: 'the test wants it' };
  b.hooks.review.tap('test', (context) => {
    asked = context;
    return context.reasons.includes('recheck') ? answer : undefined;
  });
  const refusing = new Set<string>();
  const found = new Map<string, Partial<Confirmation>>();
  const looks: string[][] = [];
  b.world.answerUpload = (sealed): Upload[] =>
    acceptAll(sealed).map((upload) =>
      refusing.has(upload.fingerprint) ? { ...upload, accepted: false, reason: 'UPLOAD_REJECTED' } : upload,
    );
  b.world.answerConfirm = (sealed) => {
    const all = confirmAll(sealed);
    looks.push(all.map(({ fingerprint }) => fingerprint));
    return all.map((one): Confirmation => {
      const instead = found.get(one.fingerprint) ?? (refusing.has(one.fingerprint) ? { revision: 1n } : undefined);
      return instead === undefined ? one : { fingerprint: one.fingerprint, confirmed: false, ...instead };
    });
  };
  return { ...b, asked: () => asked, looks, lines, refusing, found };
}

/** HSDirs of the descriptor that clients use: those that they ask, and the others. */
function places(sealed: Sealed | undefined): { readonly asked: string[]; readonly unasked: string[] } {
  const targets = sealed?.descriptors.find(({ slot }) => slot === sealed.slots.clientUses)?.targets ?? [];
  const of = (fetched: boolean): string[] =>
    targets.flatMap((target) => (target.fetched === fetched ? [target.relay.fingerprint] : []));
  return { asked: of(true), unasked: of(false) };
}
/** Of the descriptor that clients use. */
const revisionOf = (sealed: Sealed | undefined): bigint =>
  sealed?.descriptors.find(({ slot }) => slot === sealed.slots.clientUses)?.revision ?? 0n;
const sentTo = (sealed: Sealed | undefined): string[] =>
  sealed?.descriptors.flatMap(({ targets }) => targets.map(({ relay }) => relay.fingerprint)) ?? [];
const textsOf = (sealed: Sealed | undefined): string[] => sealed?.descriptors.flatMap(({ texts }) => texts) ?? [];

test('the same texts go to those that lack them, and to nobody else; when all have them it is published', async () => {
  const b = await bench();
  // Where a relay is responsible for both descriptors it would be counted twice.
  const probe = await createBench({ consensus });
  probe.world.reports = b.world.reports;
  await probe.run('start');
  const second = new Set(
    probe.sent[0]?.descriptors.find(({ slot }) => slot === 'first')?.targets.map((t) => t.relay.fingerprint),
  );
  const [lacking = '', ...rest] = places(probe.sent[0]).asked.filter((hsdir) => !second.has(hsdir));
  expect(rest.length).toBeGreaterThan(0);

  b.refusing.add(lacking);
  expect(await b.run('start')).toMatchObject({ outcome: 'unconfirmed' });
  const still = await b.run('recheck');
  expect(still).toMatchObject({ outcome: 'unconfirmed', introPoints: 6, live: ['a/1', 'b/1'] });
  expect(still.why).toContain('taken by 15 of 16 HSDirs, fetched back from 5 of 6; sent again to 1 that lacked it');
  b.refusing.clear();
  const done = await b.run('recheck');
  expect(done).toMatchObject({ outcome: 'published' });
  expect(done.uploads).toHaveLength(16);
  expect(done.confirmations).toHaveLength(6);
  expect(b.memory.published).toMatchObject({ confirmed: true });
  expect(b.sent.map((sealed) => sentTo(sealed).length)).toEqual([16, 1, 1]);
  expect([sentTo(b.sent[1]), sentTo(b.sent[2])]).toEqual([[lacking], [lacking]]);
  expect(textsOf(b.sent[2])).toEqual(textsOf(b.sent[0]));
});

test('while all have it nothing is sent, and one HSDir after the other is asked for it', async () => {
  const b = await bench();
  await b.run('start');
  const { asked } = places(b.sent[0]);
  for (let round = 0; round < 12; round++) {
    expect(await b.run('recheck')).toMatchObject({ outcome: 'unchanged', uploads: [] });
  }
  expect(b.sent).toHaveLength(1);
  expect(b.looks.slice(1)).toEqual([...asked, ...asked].map((hsdir) => [hsdir]));
});

test('an HSDir that has lost it gets it again, and no other', async () => {
  const b = await bench();
  await b.run('start');
  const [first = ''] = places(b.sent[0]).asked;
  b.found.set(first, { reason: 'NOT_FOUND' });
  expect(await b.run('recheck')).toMatchObject({ outcome: 'unconfirmed' });
  b.found.clear();
  expect(await b.run('recheck')).toMatchObject({ outcome: 'published' });
  expect(sentTo(b.sent[1])).toEqual([first]);
});

test('one that refuses for good is left alone after a dozen times', async () => {
  const b = await bench();
  await b.run('start');
  const [, lacking = ''] = places(b.sent[0]).asked;
  b.refusing.add(lacking);
  await b.run('tick: anew');
  const before = b.sent.length;
  for (let round = 0; round < 30; round++) await b.run('recheck');
  const times = b.sent.slice(before - 1).filter((sealed) => sentTo(sealed).includes(lacking)).length;
  expect(times).toBe(mostRefusals);
  // The next publication asks it again.
  b.refusing.clear();
  expect(await b.run('tick: anew')).toMatchObject({ outcome: 'published' });
});

test('who refuses because it has it is found out by the fetch-back', async () => {
  const b = await bench();
  const lost = new Set<string>();
  b.world.answerUpload = (sealed) =>
    acceptAll(sealed).map((upload) =>
      upload.slot === sealed.slots.clientUses && lost.size < 1 && lost.add(upload.fingerprint)
        ? { ...upload, accepted: false, reason: 'TIMEOUT' }
        : upload,
    );
  expect(await b.run('start')).toMatchObject({ outcome: 'published' });
});

describe('a counter of somebody else', () => {
  const inLaterEpoch = 3n * 2n ** 34n + 5n;

  test('is found by the look, told with its code, and the next cycle seals above it', async () => {
    const b = await bench();
    await b.run('start');
    const own = revisionOf(b.sent[0]);
    const [first = ''] = places(b.sent[0]).asked;
    b.found.set(first, { revision: own + 1000n });
    expect(await b.run('recheck')).toMatchObject({ outcome: 'unconfirmed' });
    const warnings = b.lines.filter(({ message }) => message === 'somebody else has published this address');
    expect(warnings).toMatchObject([
      { level: 'warn', fields: { hsdir: first, error: { code: 'CYCLE_ANOTHER_PUBLISHER' } } },
    ]);

    b.found.clear();
    // Asked to recheck what no HSDir would take, it seals anew.
    expect(await b.run('recheck')).toMatchObject({ outcome: 'published' });
    expect(b.asked()).toMatchObject({ resendable: false });
    expect(revisionOf(b.sent.at(-1))).toBeGreaterThan(own + 1000n);
    expect(sentTo(b.sent.at(-1))).toHaveLength(16);
    expect(b.lines.filter(({ message }) => message === 'somebody else has published this address')).toHaveLength(1);
  });

  test('that is the same as ours, above another text, is one too: no HSDir would take ours again', async () => {
    const b = await bench();
    await b.run('start');
    const own = revisionOf(b.sent[0]);
    const [first = ''] = places(b.sent[0]).asked;
    b.found.set(first, { revision: own, reason: 'another descriptor' });
    expect(await b.run('recheck')).toMatchObject({ outcome: 'unconfirmed' });
    expect(b.lines.filter(({ message }) => message === 'somebody else has published this address')).toHaveLength(1);
    b.found.clear();
    expect(await b.run('recheck')).toMatchObject({ outcome: 'published' });
    expect(b.asked()).toMatchObject({ resendable: false });
    expect(revisionOf(b.sent.at(-1))).toBeGreaterThan(own);
    expect(sentTo(b.sent.at(-1))).toHaveLength(16);
  });

  test('of a later epoch comes with the result, for the election', async () => {
    const b = await bench();
    await b.run('start');
    const [first = ''] = places(b.sent[0]).asked;
    b.found.set(first, { revision: inLaterEpoch });
    const { outcome, confirmations } = await b.run('recheck');
    expect(outcome).toBe('unconfirmed');
    expect(confirmations.some(({ revision }) => revision === inLaterEpoch)).toBe(true);
  });
});

test.each<[string, (b: RecheckBench) => void | Promise<void>]>([
  ['other introduction points', (b) => void (b.world.reports = [otherSet.report])],
  ['another term', (b) => void (b.world.epoch = 1)],
  ['other HSDirs', (b) => void (b.world.consensus = makeConsensus(evening, { relays: 30 }))],
])('%s: not resendable, and a recheck seals anew', async (_name, change) => {
  const b = await bench();
  await b.run('start');
  await change(b);
  await b.run('recheck');
  expect(b.asked()).toMatchObject({ resendable: false });
  expect(b.sent).toHaveLength(2);
  expect(textsOf(b.sent[1])).not.toEqual(textsOf(b.sent[0]));
});

test('the term ends: nothing is sent', async () => {
  const b = await bench();
  await b.run('start');
  const [first = ''] = places(b.sent[0]).asked;
  b.found.set(first, { reason: 'NOT_FOUND' });
  await b.run('recheck');
  b.hooks.review.tap({ name: 'pause', stage: -1 }, () => void (b.world.elected = false) as undefined);
  expect(await b.run('recheck')).toMatchObject({
    outcome: 'standby',
    why: 'the term of epoch 0 ended before the upload',
  });
  expect(b.sent).toHaveLength(1);
});

test('a fetch-back that fails is a fault, and nothing is believed of it', async () => {
  const b = await bench();
  await b.run('start');
  b.world.answerConfirm = () => {
    throw new Error('tor is gone');
  };
  expect(await b.run('recheck')).toMatchObject({ outcome: 'unchanged', faults: [{ step: 'confirm' }] });
  expect(b.memory.published).toMatchObject({ confirmed: true });
});

test('from noon on clients ask for the other descriptor: all of its HSDirs are looked at, once', async () => {
  const b = await bench();
  const morning = { ...consensus, times: { validAfter: evening - 12 * 3600, freshUntil: evening - 11 * 3600 } };
  b.world.consensus = morning;
  expect(await b.run('start')).toMatchObject({ outcome: 'published' });
  b.world.consensus = consensus;
  expect(await b.run('recheck')).toMatchObject({ outcome: 'unchanged' });
  expect(await b.run('recheck')).toMatchObject({ outcome: 'unchanged' });
  expect(b.sent).toHaveLength(1);
  const clientsAsk = (sealed: Sealed | undefined, slot: string): string[] =>
    sealed?.descriptors
      .find((descriptor) => descriptor.slot === slot)
      ?.targets.flatMap(({ relay, fetched }) => (fetched ? [relay.fingerprint] : [])) ?? [];
  const [first, second] = [clientsAsk(b.sent[0], 'first'), clientsAsk(b.sent[0], 'second')];
  expect(b.looks).toEqual([first, second, [second[1]]]);
});
