import { describe, expect, test } from 'vitest';
import { torContract, type HsdirUpload } from '../../../core/engine/index.ts';
import { introPointId, masterKeyFromSeed } from '../../../core/onion/index.ts';
import { createSealer, volatileRevisions, type Candidate, type Sealed } from '../../../core/pipeline/index.ts';
import { publish } from '../../../plugins/publish/index.ts';
import { createSeededRandom } from '../../kit/sim/seeded-random.ts';
import { evening, features, makeConsensus, makeIntroPoints, morning, signerOf } from '../pipeline/support.ts';
import { createBareHost, createScriptedTor, torOf } from './support.ts';

const random = createSeededRandom('publish');
const master = masterKeyFromSeed(random.bytes(32));
const candidates = makeIntroPoints(3, random).map((introPoint): Candidate => ({
  id: introPointId(introPoint),
  head: 'a/1',
  node: 'a',
  provenance: 'service',
  introPoint,
  features,
}));

async function seal(validAfter: number, sets: readonly (readonly Candidate[])[] = [candidates]): Promise<Sealed> {
  const consensus = makeConsensus(validAfter);
  const sealer = createSealer({ signer: signerOf(master), revisions: volatileRevisions(), random });
  const placement = sealer.place(consensus, sets.length);
  const options = { merged: { sets }, placement, consensus, epoch: 0, now: validAfter, clients: [] };
  return (await sealer.seal(options)).sealed;
}

function applied(options = {}) {
  const bare = createBareHost();
  const tor = createScriptedTor(makeConsensus());
  bare.provide(torContract, torOf(tor));
  bare.apply(publish, options);
  const abort = new AbortController();
  const term = { current: true };
  return {
    ...bare,
    tor,
    abort,
    term,
    upload: (sealed: Sealed) =>
      bare.clock.runFor(
        bare.hooks.upload.promise({ sealed, signal: abort.signal, current: () => term.current }),
        300_000,
      ),
    confirm: (sealed: Sealed) =>
      bare.clock.runFor(
        bare.hooks.confirm.promise({ sealed, signal: abort.signal, current: () => term.current }),
        300_000,
      ),
  };
}
const slotOf = (sealed: Sealed, text: string) => sealed.descriptors.find(({ texts }) => texts.includes(text))?.slot;

describe('upload', () => {
  test.each([
    ['evening', evening, ['second', 'first']],
    ['morning', morning, ['first', 'second']],
  ] as const)(
    'in the %s the descriptor that clients use goes first, each to its HSDirs by name',
    async (_name, at, order) => {
      const { tor, upload } = applied();
      const sealed = await seal(at);
      const posts: { slot: string | undefined; servers: readonly string[] }[] = [];
      tor.onPost = async (address, text, servers) => {
        expect(address).toBe(sealed.address);
        posts.push({ slot: slotOf(sealed, text), servers });
        return servers.map((fingerprint) => ({ fingerprint, accepted: true }));
      };
      const uploads = await upload(sealed);
      expect(posts.map(({ slot }) => slot)).toEqual(order);
      for (const { slot, servers } of posts) {
        const targets = sealed.descriptors.find((one) => one.slot === slot)?.targets ?? [];
        expect(servers).toEqual(targets.map(({ relay }) => relay.fingerprint));
      }
      expect(uploads).toHaveLength(16);
      expect(uploads?.every(({ accepted }) => accepted)).toBe(true);
    },
  );

  test('nothing more is sent once the term is over', async () => {
    const { tor, term, upload } = applied();
    const sealed = await seal(evening);
    const posts: (string | undefined)[] = [];
    tor.onPost = async (_address, text, servers) => {
      posts.push(slotOf(sealed, text));
      term.current = false;
      return servers.map((fingerprint) => ({ fingerprint, accepted: false, reason: 'TIMEOUT' }));
    };
    expect(await upload(sealed)).toHaveLength(8);
    expect(posts).toEqual(['second']);
  });

  test('of several texts each HSDir gets its own', async () => {
    const { tor, upload } = applied();
    const sealed = await seal(evening, [candidates.slice(0, 1), candidates.slice(1)]);
    const got: string[] = [];
    tor.onPost = async (_address, text, servers) => {
      got.push(...servers.map((server) => `${server} ${text}`));
      return servers.map((fingerprint) => ({ fingerprint, accepted: true }));
    };
    await upload(sealed);
    const expected = sealed.descriptors.flatMap(({ targets, texts }) =>
      targets.map(({ relay, text }) => `${relay.fingerprint} ${texts[text]}`),
    );
    expect(got.toSorted()).toEqual(expected.toSorted());
  });

  test('who gave no answer is asked again, who refused is not, and the last word counts', async () => {
    const { tor, upload } = applied({ attempts: 3 });
    const sealed = await seal(evening);
    const tries = new Map<string, number>();
    const [silent, refusing, late] = (sealed.descriptors[1]?.targets ?? []).map(({ relay }) => relay.fingerprint);
    tor.onPost = async (_address, text, servers) =>
      servers.map((fingerprint): HsdirUpload => {
        if (slotOf(sealed, text) === 'first') return { fingerprint, accepted: true };
        const tried = (tries.get(fingerprint) ?? 0) + 1;
        tries.set(fingerprint, tried);
        if (fingerprint === silent) return { fingerprint, accepted: false, reason: 'TIMEOUT' };
        if (fingerprint === refusing) return { fingerprint, accepted: false, reason: 'UPLOAD_REJECTED' };
        if (fingerprint === late && tried < 3) return { fingerprint, accepted: false, reason: 'UNEXPECTED' };
        return { fingerprint, accepted: true };
      });
    const uploads = (await upload(sealed)) ?? [];
    expect([silent, refusing, late].map((one) => tries.get(one ?? ''))).toEqual([3, 1, 3]);
    expect([...tries.values()].filter((count) => count === 1)).toHaveLength(6);
    const second = uploads.filter(({ slot }) => slot === 'second');
    expect(second).toHaveLength(8);
    expect(second.filter(({ accepted }) => !accepted)).toEqual([
      { slot: 'second', fingerprint: silent, accepted: false, reason: 'TIMEOUT' },
      { slot: 'second', fingerprint: refusing, accepted: false, reason: 'UPLOAD_REJECTED' },
    ]);
  });

  test('a tor that refuses the command is an answer for every HSDir, and tried again', async () => {
    const { tor, upload, clock } = applied({ attempts: 2 });
    const sealed = await seal(evening);
    let calls = 0;
    tor.onPost = async () => {
      calls++;
      throw new Error('551 no circuits');
    };
    const begun = clock.monotonic();
    const uploads = (await upload(sealed)) ?? [];
    expect(calls).toBe(4);
    expect(clock.monotonic()).toBeGreaterThan(begun);
    expect(uploads).toHaveLength(16);
    expect(uploads.every(({ accepted, reason }) => !accepted && reason === '551 no circuits')).toBe(true);
  });

  test('one attempt means one', async () => {
    const { tor, upload } = applied({ attempts: 1 });
    tor.onPost = async (_address, _text, servers) =>
      servers.map((fingerprint) => ({ fingerprint, accepted: false, reason: 'TIMEOUT' }));
    await upload(await seal(evening));
    expect(tor.calls).toEqual(['post 8', 'post 8']);
  });

  test('an aborted step sends nothing more', async () => {
    const { tor, upload, abort } = applied();
    tor.onPost = async (_address, _text, servers) => {
      abort.abort(new Error('late'));
      return servers.map((fingerprint) => ({ fingerprint, accepted: false, reason: 'TIMEOUT' }));
    };
    await upload(await seal(evening)).catch(() => undefined);
    expect(tor.calls).toEqual(['post 8']);
  });
});

describe('fetch-back', () => {
  const textFor = (sealed: Sealed, server: string | undefined): string => {
    const descriptor = sealed.descriptors.find(({ slot }) => slot === sealed.slots.clientUses);
    const target = descriptor?.targets.find(({ relay }) => relay.fingerprint === server);
    return descriptor?.texts[target?.text ?? 0] ?? '';
  };
  const asked = (sealed: Sealed): string[] =>
    (sealed.descriptors.find(({ slot }) => slot === sealed.slots.clientUses)?.targets ?? [])
      .filter(({ fetched }) => fetched)
      .map(({ relay }) => relay.fingerprint);

  test('every HSDir that clients may ask is asked, and gives what was sent', async () => {
    const { tor, confirm } = applied();
    const sealed = await seal(evening, [candidates.slice(0, 1), candidates.slice(1)]);
    tor.onFetch = async (_address, server) => ({ text: textFor(sealed, server).trimEnd(), fingerprint: server ?? '' });
    const answers = (await confirm(sealed)) ?? [];
    expect(answers.map(({ fingerprint }) => fingerprint).toSorted()).toEqual(asked(sealed).toSorted());
    expect(answers.every(({ confirmed, revision }) => confirmed && revision === sealed.descriptors[1]?.revision)).toBe(
      true,
    );
  });

  test.each([
    ['all', 6],
    ['sample', 2],
    ['none', 0],
  ])('fetch_back = %s asks %i', async (fetch_back, count) => {
    const { tor, confirm } = applied({ fetch_back });
    const sealed = await seal(morning);
    tor.onFetch = async (_address, server) => ({ text: textFor(sealed, server), fingerprint: server ?? '' });
    expect(await confirm(sealed)).toHaveLength(count);
  });

  test('another text is another publisher’s, or an old one: told with its revision, and not asked again', async () => {
    const { tor, confirm } = applied();
    const sealed = await seal(evening);
    const other = textFor(sealed, undefined).replace(/revision-counter \d+/, 'revision-counter 99999999999');
    tor.onFetch = async (_address, server) => ({ text: other, fingerprint: server ?? '' });
    const answers = (await confirm(sealed)) ?? [];
    expect(tor.calls).toHaveLength(6);
    expect(answers.every(({ confirmed, revision }) => !confirmed && revision === 99_999_999_999n)).toBe(true);
    expect(answers[0]?.reason).toContain('it has revision 99999999999');
  });

  test('the same revision with other content is not taken for ours', async () => {
    const { tor, confirm } = applied();
    const sealed = await seal(evening);
    tor.onFetch = async (_address, server) => ({
      text: textFor(sealed, server).replace(/signature .{4}/, 'signature AAAA'),
      fingerprint: server ?? '',
    });
    expect((await confirm(sealed))?.some(({ confirmed }) => confirmed)).toBe(false);
  });

  test('who has nothing is asked once more', async () => {
    const { tor, confirm } = applied();
    const sealed = await seal(evening);
    const [slow, gone] = asked(sealed);
    const tries = new Map<string | undefined, number>();
    tor.onFetch = async (_address, server) => {
      const tried = (tries.get(server) ?? 0) + 1;
      tries.set(server, tried);
      if (server === gone || (server === slow && tried === 1)) throw new Error('NOT_FOUND');
      return { text: textFor(sealed, server), fingerprint: server ?? '' };
    };
    const answers = (await confirm(sealed)) ?? [];
    expect([tries.get(slow), tries.get(gone)]).toEqual([2, 2]);
    expect(answers.filter(({ confirmed }) => !confirmed)).toEqual([
      { fingerprint: gone, confirmed: false, reason: 'NOT_FOUND' },
    ]);
  });

  test.each(['', 'nonsense', 'hs-descriptor 3\n'])('what is no descriptor is not confirmed: %j', async (text) => {
    const { tor, confirm } = applied();
    tor.onFetch = async (_address, server) => ({ text, fingerprint: server ?? '' });
    const answers = (await confirm(await seal(evening))) ?? [];
    expect(answers).toHaveLength(6);
    expect(answers.every(({ confirmed, reason }) => !confirmed && reason !== undefined)).toBe(true);
  });

  test('no more than three are asked at once', async () => {
    const { tor, confirm, clock } = applied();
    const sealed = await seal(evening);
    let now = 0;
    let most = 0;
    tor.onFetch = async (_address, server) => {
      most = Math.max(most, ++now);
      await clock.sleep(100);
      now--;
      return { text: textFor(sealed, server), fingerprint: server ?? '' };
    };
    await confirm(sealed);
    expect(most).toBe(3);
  });
});
