import { describe, expect, test } from 'vitest';
import {
  addressOfKey,
  blindedPublicKey,
  buildRing,
  clientPublicKey,
  defaultRingRules,
  introPointId,
  masterKeyFromSeed,
  opeLimit,
  readOuter,
  responsibleHsdirs,
  type ServiceFeatures,
} from '../../../core/onion/index.ts';
import {
  commonFeatures,
  createSealer,
  volatileRevisions,
  type Candidate,
  type Consensus,
  type Sealer,
  type Signer,
} from '../../../core/pipeline/index.ts';
import { createSeededRandom } from '../../kit/sim/seeded-random.ts';
import { evening, features, makeConsensus, makeIntroPoints, morning, openSealed, signerOf } from './support.ts';

const random = createSeededRandom('seal');
const master = masterKeyFromSeed(random.bytes(32));

function candidates(count: number, own: ServiceFeatures = features): Candidate[] {
  return makeIntroPoints(count, random).map((introPoint) => ({
    id: introPointId(introPoint),
    head: 'a/1',
    node: 'a',
    provenance: 'service',
    introPoint,
    features: own,
  }));
}
const some = candidates(3);

function sealer(signer: Signer = signerOf(master)): Sealer {
  return createSealer({ signer, revisions: volatileRevisions(), random });
}
interface SealOptions {
  readonly sets?: readonly (readonly Candidate[])[];
  readonly consensus?: Consensus;
  readonly now?: number;
  readonly epoch?: number;
  readonly clients?: readonly Uint8Array[];
}
function seal(
  made: Sealer,
  { sets = [some], consensus = makeConsensus(), now = evening, epoch = 0, clients = [] }: SealOptions,
) {
  const placement = made.place(consensus, sets.length);
  return made.seal({ merged: { sets }, placement, consensus, epoch, now, clients });
}

describe.each([
  ['18:00 UTC, when clients use the second', evening, 'second'],
  ['06:00 UTC, when clients use the first', morning, 'first'],
] as const)('at %s', (_name, validAfter, clientUses) => {
  const consensus = makeConsensus(validAfter);

  test('both descriptors are of the master, for neighbouring periods, and open', async () => {
    const { sealed } = await seal(sealer(), { consensus, now: validAfter });
    expect(sealed.address).toBe(addressOfKey(master.publicKey));
    expect(sealed.slots.clientUses).toBe(clientUses);
    const [first, second] = sealed.descriptors;
    expect([first?.slot, second?.slot]).toEqual(['first', 'second']);
    expect((second?.period.number ?? 0) - (first?.period.number ?? 0)).toBe(1);
    for (const slot of ['first', 'second'] as const) {
      const opened = openSealed(sealed, slot, 0, undefined, validAfter);
      expect(opened.introPoints.map(introPointId)).toEqual(some.map(({ id }) => id));
      expect(opened.features).toEqual(features);
    }
  });

  test('they go to the relays that the ring names, and clients fetch from the ones so marked', async () => {
    const { sealed } = await seal(sealer(), { consensus, now: validAfter });
    for (const { slot, period, blindedKey, targets } of sealed.descriptors) {
      expect(blindedKey).toEqual(blindedPublicKey(master.publicKey, period));
      const ring = buildRing(consensus.hsdirs, sealed.slots[slot].srv, period);
      const stores = responsibleHsdirs(ring, blindedKey, period, defaultRingRules, 'store');
      expect(targets.map(({ relay }) => relay.fingerprint)).toEqual(stores.map(({ fingerprint }) => fingerprint));
      const asked = responsibleHsdirs(ring, blindedKey, period, defaultRingRules, 'fetch');
      const marked = targets.filter((target) => target.fetched).map(({ relay }) => relay.fingerprint);
      expect(marked.sort()).toEqual(asked.map(({ fingerprint }) => fingerprint).sort());
    }
  });
});

test('what clients may ask is marked, even where one replica takes relays of the other', () => {
  // Of few relays the replicas share most: tor's client skips in the second what the first has, by its own spread.
  const wrong: number[] = [];
  for (let relays = 1; relays <= 24; relays++) {
    const consensus = makeConsensus(evening, { relays });
    const placement = sealer().place(consensus, 1);
    const { srv, period } = placement.slots.second;
    const ring = buildRing(consensus.hsdirs, srv, period);
    const asked = responsibleHsdirs(ring, placement.blindedKeys.second, period, defaultRingRules, 'fetch');
    const marked = placement.targets.second.filter(({ fetched }) => fetched).map(({ relay }) => relay);
    if (asked.some((relay) => !marked.includes(relay))) wrong.push(relays);
  }
  expect(wrong).toEqual([]);
});

describe('several sets', () => {
  const sets = [some, candidates(2), candidates(1)];

  test('each HSDir gets one of them, and each that clients may ask is one of all', async () => {
    const { sealed } = await seal(sealer(), { sets });
    for (const { slot, targets, texts, revision } of sealed.descriptors) {
      expect(texts).toHaveLength(3);
      const asked = targets.filter(({ fetched }) => fetched).map(({ text }) => text);
      expect(new Set(asked)).toEqual(new Set([0, 1, 2]));
      expect(targets.every(({ text }) => text >= 0 && text < 3)).toBe(true);
      for (const [index, set] of sets.entries()) {
        expect(openSealed(sealed, slot, index).introPoints.map(introPointId)).toEqual(set.map(({ id }) => id));
        expect(readOuter(texts[index] ?? '').revision).toBe(revision);
      }
    }
  });

  test('have signing keys of their own: nobody sees that two texts are of one service by more than the blinded key', async () => {
    const { sealed } = await seal(sealer(), { sets });
    const keys = sealed.descriptors.flatMap(({ texts }) =>
      texts.map((text) => Buffer.from(readOuter(text).certificate.certifiedKey).toString('hex')),
    );
    expect(new Set(keys).size).toBe(6);
  });
});

describe('the placement text', () => {
  test('stays while the same HSDirs hold the same blinded keys', () => {
    const made = sealer();
    const consensus = makeConsensus();
    const nextHour = { ...consensus, times: { validAfter: evening + 3600, freshUntil: evening + 7200 } };
    expect(made.place(nextHour, 1).text).toBe(made.place(consensus, 1).text);
  });

  test('changes with the period, with a shared random value and with a responsible HSDir', () => {
    const made = sealer();
    const consensus = makeConsensus();
    const { text, targets } = made.place(consensus, 1);
    const gone = targets.first[0]?.relay;
    const others = {
      morning: makeConsensus(morning),
      srv: { ...consensus, sharedRandom: { ...consensus.sharedRandom, current: new Uint8Array(32) } },
      hsdir: { ...consensus, hsdirs: consensus.hsdirs.filter((relay) => relay !== gone) },
    };
    for (const [name, other] of Object.entries(others))
      expect([name, made.place(other, 1).text === text]).toEqual([name, false]);
  });

  test('a missing shared random value is the disaster value, not a failure', async () => {
    const { sealed } = await seal(sealer(), { consensus: { ...makeConsensus(), sharedRandom: {} } });
    expect(sealed.descriptors.map(({ targets }) => targets.length)).toEqual([8, 8]);
  });
});

describe('the signer', () => {
  function counting(): { signer: Signer; calls: number[] } {
    const real = signerOf(master);
    const calls: number[] = [];
    return {
      calls,
      signer: {
        ...real,
        sign: (period, message) => {
          calls.push(period.number);
          return real.sign(period, message);
        },
      },
    };
  }
  const certificateOf = (text: string | undefined) => readOuter(text ?? '').certificate;

  test('is asked once a descriptor and hour, and the signing key stays', async () => {
    const { signer, calls } = counting();
    const made = sealer(signer);
    const hour = evening - (evening % 3600);
    const one = await seal(made, { now: hour + 10 });
    expect(calls).toHaveLength(2);
    const two = await seal(made, { now: hour + 3590, sets: [candidates(5)] });
    expect(calls).toHaveLength(2);
    const three = await seal(made, { now: hour + 3610 });
    expect(calls).toHaveLength(4);
    const [a, b, c] = [one, two, three].map(({ sealed }) => certificateOf(sealed.descriptors[0]?.texts[0]));
    expect(b).toEqual(a);
    expect(c?.certifiedKey).toEqual(a?.certifiedKey);
    expect((c?.expiresAt ?? 0) - (a?.expiresAt ?? 0)).toBe(3600);
    expect(one.certificatesExpireAt).toBe(a?.expiresAt);
  });

  test('the next period gets a signing key of its own, and what is over is forgotten', async () => {
    const { signer, calls } = counting();
    const made = sealer(signer);
    await seal(made, {});
    const tomorrow = makeConsensus(evening + 86_400);
    await seal(made, { consensus: tomorrow, now: evening + 86_400 });
    // The second descriptor of today is the first of tomorrow: its certificate is renewed, not its key.
    expect(calls).toHaveLength(4);
    await seal(made, {});
    expect(calls).toHaveLength(6);
  });

  test('a wrong signature is refused', async () => {
    const liar: Signer = { ...signerOf(masterKeyFromSeed(new Uint8Array(32))), publicKey: master.publicKey };
    await expect(seal(sealer(liar), {})).rejects.toMatchObject({ code: 'ONION_SIGNATURE' });
  });
});

describe('revision counters', () => {
  const revisionsOf = ({ sealed }: Awaited<ReturnType<Sealer['seal']>>) =>
    sealed.descriptors.map(({ revision }) => revision);

  test('grow from publication to publication, within one second too, and across a later term', async () => {
    const made = sealer();
    const all = [
      revisionsOf(await seal(made, {})),
      revisionsOf(await seal(made, {})),
      revisionsOf(await seal(made, { now: evening + 60 })),
      revisionsOf(await seal(made, { now: evening + 60, epoch: 3 })),
    ];
    for (const [index, later] of all.entries()) {
      const before = all[index - 1];
      for (const [slot, revision] of later.entries()) expect(revision > (before?.[slot] ?? -1n)).toBe(true);
    }
    expect(all.at(-1)?.map((revision) => revision / opeLimit)).toEqual([3n, 3n]);
  });

  test('an earlier term cannot publish over a later one', async () => {
    const made = sealer();
    await seal(made, { epoch: 3 });
    await expect(seal(made, { epoch: 2, now: evening + 60 })).rejects.toMatchObject({ code: 'ONION_REVISION' });
  });

  test('one seen elsewhere is exceeded', async () => {
    const made = sealer();
    const { blindedKeys } = made.place(makeConsensus(), 1);
    await made.sawRevision(blindedKeys.first, 12_345_678_901n);
    expect(revisionsOf(await seal(made, {}))[0]).toBe(12_345_678_902n);
  });

  test('a clock set back does no harm', async () => {
    const made = sealer();
    const [before = 0n] = revisionsOf(await seal(made, {}));
    expect(revisionsOf(await seal(made, { now: evening - 7200 }))[0]).toBe(before + 1n);
  });
});

describe('client authorization', () => {
  const secret = random.bytes(32);

  test('who is authorized opens both, everybody else does not', async () => {
    const { sealed } = await seal(sealer(), { clients: [clientPublicKey(secret), clientPublicKey(random.bytes(32))] });
    for (const slot of ['first', 'second'] as const) {
      expect(openSealed(sealed, slot, 0, secret)).toMatchObject({ restricted: true });
      for (const other of [undefined, random.bytes(32)]) {
        expect(() => openSealed(sealed, slot, 0, other)).toThrow(expect.objectContaining({ code: 'ONION_DECRYPT' }));
      }
    }
  });

  test('a malformed key is refused, and nothing is sealed', async () => {
    await expect(seal(sealer(), { clients: [new Uint8Array(31)] })).rejects.toMatchObject({ code: 'ONION_DESCRIPTOR' });
  });
});

describe('features are promised only when every head keeps them', () => {
  const flow = (versions: string, sendmeIncrement = 31) => ({ versions, sendmeIncrement });
  const of = (...all: ServiceFeatures[]) =>
    commonFeatures(
      all.flatMap((one) => candidates(1, one)),
      makeConsensus(),
    );
  const plain = { singleOnionService: false };

  test.each<[string, ServiceFeatures[], ServiceFeatures]>([
    ['the same everywhere', [features, features], features],
    ['flow control missing in one', [features, plain], plain],
    ['other versions in one', [features, { ...plain, flowControl: flow('1') }], plain],
    ['an increment 1 off the consensus', [{ ...plain, flowControl: flow('1-2', 32) }], features],
    ['an increment the consensus has left', [{ ...plain, flowControl: flow('1-2', 40) }], plain],
    ['single onion in all', [{ ...plain, singleOnionService: true }], { singleOnionService: true }],
    ['single onion in one', [{ ...plain, singleOnionService: true }, plain], plain],
  ])('%s', (_name, all, expected) => {
    expect(of(...all)).toEqual(expected);
  });

  test('an increment that one head has left keeps the whole from promising', () => {
    expect(of(features, { ...plain, flowControl: flow('1-2', 60) })).toEqual(plain);
  });
});
