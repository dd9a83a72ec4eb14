/**
 * What both sides of the benchmark work on: one service, 4,000 relays, a consensus at noon, ten backends of two
 * introduction points. Made from a seed, kept as JSON so that a fresh process of either side can load it.
 */
import {
  addressOfKey,
  blindedKey,
  clientPublicKey,
  clientSlot,
  createMaterial,
  encodeDescriptor,
  encodeSecretKeyFile,
  linkSpecifiersOfRelay,
  masterKeyFromSeed,
  revisionCounter,
  signBlinded,
  subcredential,
  type DescriptorMaterial,
  type IntroPoint,
  type OnionAddress,
  type ServiceFeatures,
} from '../../core/onion/index.ts';
import { defaultRingRules } from '../../core/onion/hsdir.ts';
import type { Consensus } from '../../core/pipeline/model.ts';
import { createSeededRandom, type SeededRandom } from '../kit/sim/seeded-random.ts';

/** All bytes in base64; times in Unix seconds. */
export interface Fixture {
  readonly now: number;
  readonly validAfter: number;
  readonly currentSrv: string;
  readonly previousSrv: string;
  readonly relays: readonly { readonly fingerprint: string; readonly ed25519: string }[];
  /** The master key as a 32-byte seed, for the peer, and as Tor's secret key file. */
  readonly seed: string;
  readonly secretKeyFile: string;
  readonly backends: readonly { readonly address: string; readonly descriptor: string }[];
  /** The service whose descriptors are read. */
  readonly readAddress: string;
}

export const relayCount = 4_000;
const backendCount = 10;
const introPointsPerBackend = 2;
export const introPointCount: number = backendCount * introPointsPerBackend;

/** 12:30 UTC, half an hour into a new time period: counters are at the middle of their range. */
const validAfter = 1_795_176_000;
const now: number = validAfter + 1_800;
const hourSeconds = 3_600;

const features: ServiceFeatures = {
  singleOnionService: false,
  flowControl: { versions: '1-2', sendmeIncrement: 31 },
};

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
export const fromBase64 = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'base64'));

/** A fresh introduction point, as C tor would list it: IPv4, both identities. */
function makeIntroPoint(random: SeededRandom): IntroPoint {
  return {
    linkSpecifiers: linkSpecifiersOfRelay({
      ipv4: random.bytes(4).join('.'),
      port: 9001,
      fingerprint: Buffer.from(random.bytes(20)).toString('hex'),
      ed25519: random.bytes(32),
    }),
    onionKey: clientPublicKey(random.bytes(32)),
    authKey: masterKeyFromSeed(random.bytes(32)).publicKey,
    encKey: clientPublicKey(random.bytes(32)),
  };
}

export function makeIntroPoints(count: number, random: SeededRandom): IntroPoint[] {
  return Array.from({ length: count }, () => makeIntroPoint(random));
}

/** The consensus of a fixture, as the pipeline sees it. */
export function consensusOf(fixture: Fixture): Consensus {
  return {
    times: { validAfter: fixture.validAfter, freshUntil: fixture.validAfter + hourSeconds },
    rules: { testingNetwork: false },
    ringRules: defaultRingRules,
    sharedRandom: { current: fromBase64(fixture.currentSrv), previous: fromBase64(fixture.previousSrv) },
    hsdirs: fixture.relays.map(({ fingerprint, ed25519 }) => ({ fingerprint, ed25519: fromBase64(ed25519) })),
    sendmeIncrement: 31,
  };
}

/** A service whose descriptors are read, in the time period of now. */
export interface Backend {
  readonly address: OnionAddress;
  /** Another descriptor, with another signing key. */
  descriptor(introPoints: readonly IntroPoint[]): Promise<string>;
  /** Two descriptors as tor uploads them one after the other: what changes is counter, salts and signature. */
  twoDescriptors(introPoints: readonly IntroPoint[]): Promise<[string, string]>;
}

/** A backend at the consensus of a fixture that is in the making. */
export function createBackend(random: SeededRandom, consensus: Consensus): Backend {
  const master = masterKeyFromSeed(random.bytes(32));
  const slot = clientSlot(consensus.times, consensus.rules, consensus.sharedRandom);
  const blinded = blindedKey(master, slot.period);
  let lastSeen: bigint | undefined;
  const newMaterial = (): Promise<DescriptorMaterial> =>
    createMaterial({
      random,
      blindedPublicKey: blinded.publicKey,
      now,
      sign: async (body) => signBlinded(blinded, body),
    });
  const write = (material: DescriptorMaterial, introPoints: readonly IntroPoint[]): string => {
    lastSeen = revisionCounter({ blinded, epoch: 0, revisionStart: slot.revisionStart, now, lastSeen });
    return encodeDescriptor(material, {
      subcredential: subcredential(master.publicKey, blinded.publicKey),
      revision: lastSeen,
      introPoints,
      features,
      now,
      random,
    });
  };
  return {
    address: addressOfKey(master.publicKey),
    descriptor: async (introPoints) => write(await newMaterial(), introPoints),
    twoDescriptors: async (introPoints) => {
      const material = await newMaterial();
      return [write(material, introPoints), write(material, introPoints)];
    },
  };
}

export interface Inputs {
  readonly fixture: Fixture;
  /** The services behind the fixture's descriptors; they can write others. */
  readonly backends: readonly Backend[];
  /** The service whose descriptors are read. */
  readonly reader: Backend;
  readonly random: SeededRandom;
}

/** New descriptors of all backends: each introduction point is new. */
export async function newDescriptors({
  backends,
  random,
}: Omit<Inputs, 'fixture' | 'reader'>): Promise<Fixture['backends']> {
  const written: { address: string; descriptor: string }[] = [];
  for (const backend of backends) {
    const descriptor = await backend.descriptor(makeIntroPoints(introPointsPerBackend, random));
    written.push({ address: backend.address, descriptor });
  }
  return written;
}

export async function makeInputs(seed: number): Promise<Inputs> {
  const random = createSeededRandom(seed);
  const masterSeed = random.bytes(32);
  const empty: Fixture = {
    now,
    validAfter,
    currentSrv: base64(random.bytes(32)),
    previousSrv: base64(random.bytes(32)),
    relays: Array.from({ length: relayCount }, () => ({
      fingerprint: Buffer.from(random.bytes(20)).toString('hex').toUpperCase(),
      ed25519: base64(random.bytes(32)),
    })),
    seed: base64(masterSeed),
    secretKeyFile: base64(encodeSecretKeyFile(masterKeyFromSeed(masterSeed))),
    backends: [],
    readAddress: '',
  };
  const consensus = consensusOf(empty);
  const backends = Array.from({ length: backendCount }, () => createBackend(random, consensus));
  const reader = createBackend(random, consensus);
  const fixture = {
    ...empty,
    backends: await newDescriptors({ backends, random }),
    readAddress: reader.address,
  };
  return { fixture, backends, reader, random };
}
