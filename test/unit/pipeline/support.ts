/** What the pipeline's tests share: a consensus, real backend descriptors, and a cycle on bare hooks. */
import {
  addressOfKey,
  blindedKey,
  clientPublicKey,
  createMaterial,
  defaultRingRules,
  descriptorSlots,
  encodeDescriptor,
  introPointId,
  linkSpecifiersOfRelay,
  masterKeyFromSeed,
  openDescriptor,
  revisionKey,
  signBlinded,
  subcredential,
  type Descriptor,
  type IntroPoint,
  type MasterKey,
  type OnionAddress,
  type ServiceFeatures,
  type SlotName,
} from '../../../core/onion/index.ts';
import {
  createCycleMemory,
  createHooks,
  createSealer,
  createVerifier,
  defaultDeadlinesMs,
  runCycle,
  storedRevisions,
  type Confirmation,
  type Consensus,
  type CycleDependencies,
  type CycleMemory,
  type CycleResult,
  type Fault,
  type HeadReport,
  type Hooks,
  type Sealed,
  type Signer,
  type Upload,
} from '../../../core/pipeline/index.ts';
import { silentLog, type Log, type Random } from '../../../core/runtime/index.ts';
import { createMemoryStore, type MemoryStore } from '../../kit/sim/memory-store.ts';
import { createSeededRandom } from '../../kit/sim/seeded-random.ts';
import { createVirtualClock, type VirtualClock } from '../../kit/sim/virtual-clock.ts';

/** Unix seconds: 18:00 UTC, when clients use the second descriptor. */
export const evening = 1_795_197_600;
/** 06:00 UTC of the next day, when clients use the first. */
export const morning = evening + 12 * 3600;

export const features: ServiceFeatures = {
  singleOnionService: false,
  flowControl: { versions: '1-2', sendmeIncrement: 31 },
};

export function makeConsensus(validAfter = evening, options: { relays?: number; seed?: string } = {}): Consensus {
  const random = createSeededRandom(options.seed ?? 'consensus');
  return {
    times: { validAfter, freshUntil: validAfter + 3600 },
    rules: { testingNetwork: false },
    ringRules: defaultRingRules,
    sharedRandom: { current: random.bytes(32), previous: random.bytes(32) },
    hsdirs: Array.from({ length: options.relays ?? 24 }, () => ({
      fingerprint: Buffer.from(random.bytes(20)).toString('hex').toUpperCase(),
      ed25519: random.bytes(32),
    })),
    sendmeIncrement: 31,
  };
}

export function makeIntroPoints(count: number, random: Random): IntroPoint[] {
  return Array.from({ length: count }, () => ({
    linkSpecifiers: linkSpecifiersOfRelay({
      ipv4: random.bytes(4).join('.'),
      port: 9001,
      fingerprint: Buffer.from(random.bytes(20)).toString('hex').toUpperCase(),
      ed25519: random.bytes(32),
    }),
    onionKey: clientPublicKey(random.bytes(32)),
    authKey: masterKeyFromSeed(random.bytes(32)).publicKey,
    encKey: clientPublicKey(random.bytes(32)),
  }));
}

export interface Backend {
  readonly address: OnionAddress;
  readonly report: HeadReport;
  readonly introPoints: readonly IntroPoint[];
  readonly ids: readonly string[];
}

export interface BackendOptions {
  readonly points?: number;
  readonly seed?: string;
  readonly features?: ServiceFeatures;
  readonly revision?: bigint;
  /** Which of its descriptors; the one that clients use without it. */
  readonly slot?: SlotName;
}

/** A head with a genuine descriptor for `consensus`. The same head and seed give the same service. */
export async function makeBackend(head: string, consensus: Consensus, options: BackendOptions = {}): Promise<Backend> {
  const random = createSeededRandom(`backend ${head} ${options.seed ?? ''}`);
  const master = masterKeyFromSeed(random.bytes(32));
  const slots = descriptorSlots(consensus.times, consensus.rules, consensus.sharedRandom);
  const { period } = slots[options.slot ?? slots.clientUses];
  const blinded = blindedKey(master, period);
  const now = consensus.times.validAfter;
  const introPoints = makeIntroPoints(options.points ?? 3, random);
  const material = await createMaterial({
    random,
    blindedPublicKey: blinded.publicKey,
    now,
    sign: async (body) => signBlinded(blinded, body),
  });
  const descriptor = encodeDescriptor(material, {
    subcredential: subcredential(master.publicKey, blinded.publicKey),
    revision: options.revision ?? 1n,
    introPoints,
    features: options.features ?? features,
    now,
    random,
  });
  const address = addressOfKey(master.publicKey);
  return {
    address,
    introPoints,
    ids: introPoints.map(introPointId),
    report: {
      head,
      node: head.split('/')[0] ?? head,
      address,
      descriptor,
      provenance: 'service',
      observedAt: now * 1000,
    },
  };
}

export function signerOf(master: MasterKey): Signer {
  return {
    publicKey: master.publicKey,
    sign: async (period, message) => signBlinded(blindedKey(master, period), message),
    revisionKey: async (period) => revisionKey(blindedKey(master, period)),
  };
}

/** Opens what was sealed as a client would. */
export function openSealed(
  sealed: Sealed,
  slot: SlotName,
  text = 0,
  clientKey?: Uint8Array,
  now = evening,
): Descriptor {
  const descriptor = sealed.descriptors.find((one) => one.slot === slot);
  if (descriptor === undefined) throw new Error(`no ${slot} descriptor`);
  return openDescriptor(descriptor.texts[text] ?? '', {
    address: sealed.address,
    periods: [descriptor.period],
    now,
    clientKey,
  });
}

export interface Bench {
  readonly clock: VirtualClock;
  readonly random: Random;
  readonly store: MemoryStore;
  readonly hooks: Hooks;
  readonly master: MasterKey;
  readonly memory: CycleMemory;
  readonly settled: CycleResult[];
  /** What the hook `fault` was told. */
  readonly faults: Fault[];
  /** What was uploaded, cycle by cycle. */
  readonly sent: Sealed[];
  /** Set these to change what the next cycle meets. */
  readonly world: {
    consensus: Consensus;
    reports: HeadReport[];
    epoch: number;
    elected: boolean;
    clients: Uint8Array[];
    signer: Signer;
    answerUpload(sealed: Sealed): readonly Upload[];
    answerConfirm(sealed: Sealed): readonly Confirmation[];
  };
  run(...reasons: string[]): Promise<CycleResult>;
}

export function acceptAll(sealed: Sealed): Upload[] {
  return sealed.descriptors.flatMap(({ slot, targets }) =>
    targets.map(({ relay }) => ({ slot, fingerprint: relay.fingerprint, accepted: true })),
  );
}

export function confirmAll(sealed: Sealed): Confirmation[] {
  return sealed.descriptors
    .filter(({ slot }) => slot === sealed.slots.clientUses)
    .flatMap(({ targets, revision }) =>
      targets
        .filter(({ fetched }) => fetched)
        .map(({ relay }) => ({ fingerprint: relay.fingerprint, confirmed: true, revision })),
    );
}

/**
 * A cycle on bare hooks, with the plainest answers: everything live, the first that fit, accepted and confirmed.
 * Time runs by itself: a cycle that waits is moved on by the virtual clock.
 */
export async function createBench(
  options: { maximumIntroPoints?: number; consensus?: Consensus; seed?: string; log?: Log } = {},
): Promise<Bench> {
  const random = createSeededRandom(options.seed ?? 'bench');
  const consensus = options.consensus ?? makeConsensus();
  const clock = createVirtualClock(consensus.times.validAfter * 1000);
  const store = createMemoryStore();
  await store.makeDirectory('/state');
  const hooks = createHooks();
  const master = masterKeyFromSeed(random.bytes(32));
  const memory = createCycleMemory();
  const settled: CycleResult[] = [];
  const faults: Fault[] = [];
  const sent: Sealed[] = [];
  const world: Bench['world'] = {
    consensus,
    reports: [],
    epoch: 0,
    elected: true,
    clients: [],
    signer: signerOf(master),
    answerUpload: acceptAll,
    answerConfirm: confirmAll,
  };
  const signer: Signer = {
    publicKey: master.publicKey,
    sign: (period, message) => world.signer.sign(period, message),
    revisionKey: (period) => world.signer.revisionKey(period),
  };
  const dependencies: CycleDependencies = {
    hooks,
    settings: { maximumIntroPoints: options.maximumIntroPoints ?? 20, deadlinesMs: defaultDeadlinesMs },
    clock,
    random,
    log: options.log ?? silentLog,
    address: addressOfKey(master.publicKey),
    sealer: createSealer({ signer, revisions: await storedRevisions(store, '/state/revisions.json'), random }),
    verify: createVerifier(),
    consensus: async () => world.consensus,
    epoch: () => world.epoch,
    mayPublish: (epoch) => world.elected && world.epoch === epoch,
    clients: () => world.clients,
  };
  hooks.gather.tap('bench', ({ add }) => {
    for (const report of world.reports) add(report);
  });
  hooks.rotate.tap('bench', (view) => ({
    live: view.heads.flatMap(({ candidates }) => candidates.map(({ id }) => id)),
    why: 'all are live',
  }));
  hooks.merge.tap('bench', ({ candidates, view }) => ({ sets: [candidates.slice(0, view.maximumIntroPoints)] }));
  hooks.upload.tap('bench', ({ sealed }) => {
    sent.push(sealed);
    return world.answerUpload(sealed);
  });
  hooks.confirm.tap('bench', ({ sealed }) => world.answerConfirm(sealed));
  // Bare hooks do not isolate taps from each other: this one comes first.
  hooks.settled.tap({ name: 'bench', stage: -2000 }, (result) => void settled.push(result));
  hooks.fault.tap('bench', (fault) => void faults.push(fault));
  return {
    clock,
    random,
    store,
    hooks,
    master,
    memory,
    settled,
    faults,
    sent,
    world,
    run: (...reasons) => clock.runFor(runCycle(dependencies, memory, reasons), 600_000),
  };
}
