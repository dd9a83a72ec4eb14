/** What the onion tests share: hexadecimal, coded refusals, and a service that publishes. */
import { expect } from 'vitest';
import { ChimeraError } from '../../../core/errors.ts';
import type { ErrorCode } from '../../../core/errors.ts';
import {
  addressOfKey,
  blindedKey,
  clientPublicKey,
  createMaterial,
  linkSpecifiersOfRelay,
  masterKeyFromSeed,
  signBlinded,
  subcredential,
} from '../../../core/onion/index.ts';
import type {
  BlindedKey,
  DescriptorMaterial,
  IntroPoint,
  MasterKey,
  OnionAddress,
  RandomSource,
  ServiceFeatures,
  TimePeriod,
} from '../../../core/onion/index.ts';
import { createSeededRandom } from '../../kit/sim/seeded-random.ts';

export function hex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'hex'));
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

/** Runs `action`, which must throw a ChimeraError of `code`, and returns it. */
export function expectCode(code: ErrorCode, action: () => unknown): ChimeraError {
  try {
    action();
  } catch (error) {
    expect(error).toBeInstanceOf(ChimeraError);
    expect((error as ChimeraError).code).toBe(code);
    return error as ChimeraError;
  }
  throw new Error(`nothing was thrown; ${code} was expected`);
}

export const anyPeriod: TimePeriod = { number: 20_777, lengthMinutes: 1440 };
/** Unix seconds within `anyPeriod`. */
export const anyNow = 1_795_200_000;
export const plainFeatures: ServiceFeatures = {
  singleOnionService: false,
  flowControl: { versions: '1-2', sendmeIncrement: 31 },
};

function makeIntroPoint(random: RandomSource, withIpv6 = false): IntroPoint {
  const relay = random.bytes(6);
  return {
    linkSpecifiers: linkSpecifiersOfRelay({
      ipv4: relay.subarray(0, 4).join('.'),
      port: 9001,
      fingerprint: toHex(random.bytes(20)),
      ed25519: random.bytes(32),
      ...(withIpv6 ? { ipv6: { address: random.bytes(16), port: 443 } } : {}),
    }),
    onionKey: clientPublicKey(random.bytes(32)),
    authKey: masterKeyFromSeed(random.bytes(32)).publicKey,
    encKey: clientPublicKey(random.bytes(32)),
  };
}

export function makeIntroPoints(count: number, random: RandomSource, withIpv6 = false): IntroPoint[] {
  return Array.from({ length: count }, () => makeIntroPoint(random, withIpv6));
}

export interface TestService {
  readonly master: MasterKey;
  readonly address: OnionAddress;
  readonly period: TimePeriod;
  readonly blinded: BlindedKey;
  readonly subcredential: Uint8Array;
  readonly material: DescriptorMaterial;
  readonly random: RandomSource;
}

/** A service with material for one period, made at `now`. */
export async function makeService(seed = 1, period: TimePeriod = anyPeriod, now = anyNow): Promise<TestService> {
  const random = createSeededRandom(seed);
  const master = masterKeyFromSeed(random.bytes(32));
  const blinded = blindedKey(master, period);
  return {
    master,
    address: addressOfKey(master.publicKey),
    period,
    blinded,
    subcredential: subcredential(master.publicKey, blinded.publicKey),
    material: await createMaterial({
      random,
      blindedPublicKey: blinded.publicKey,
      now,
      sign: (body) => Promise.resolve(signBlinded(blinded, body)),
    }),
    random,
  };
}
