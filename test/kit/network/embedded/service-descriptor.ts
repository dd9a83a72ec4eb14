/**
 * One of the two descriptors of a service (C tor's hs_service_descriptor_t): its keys for one time period, its own
 * introduction points, and what of it stood in the text when it was last refreshed.
 */
import {
  blindedKey,
  createMaterial,
  encodeDescriptor,
  opeRevision,
  renewMaterial,
  signBlinded,
  subcredential,
  type BlindedKey,
  type DescriptorMaterial,
  type IntroPoint,
  type MasterKey,
  type TimePeriod,
} from '../../../../core/onion/index.ts';
import { agreementKey, agreementPublicKey } from '../../../../core/onion/key-agreement.ts';
import { rawPublicKey, signingKeyOfSeed } from '../../../../core/onion/signature.ts';
import type { Random } from '../../../../core/runtime/index.ts';
import { drawIntroPointLife } from '../rules/intro-point.ts';
import type { Circuit } from './circuits.ts';
import type { SimulatedRelay } from './relay.ts';

/** More launches than this, and an introduction point is given up. */
export const maxCircuitRetries = 3;

/** An introduction point that a service has chosen; its circuit comes and goes. */
export class ServiceIntroPoint {
  readonly relay: SimulatedRelay;
  readonly authKey: Uint8Array;
  readonly authKeyHex: string;
  readonly encKey: Uint8Array;
  readonly onionKey: Uint8Array;
  /** Introductions after which it is replaced. */
  readonly introductionLimit: number;
  /** Unix seconds at which it is replaced. */
  readonly expiresAt: number;
  introductions = 0;
  launches = 0;
  circuit: Circuit | undefined;
  /** Its circuit has been built. */
  opened = false;
  /** The relay has said INTRO_ESTABLISHED. */
  established = false;

  constructor(relay: SimulatedRelay, random: Random, now: number) {
    this.relay = relay;
    this.onionKey = relay.ntorKey;
    this.authKey = rawPublicKey(signingKeyOfSeed(random.bytes(32)));
    this.authKeyHex = Buffer.from(this.authKey).toString('hex');
    this.encKey = agreementPublicKey(agreementKey(random.bytes(32)));
    const { introductionLimit, expiresAt } = drawIntroPointLife(random, now);
    this.introductionLimit = introductionLimit;
    this.expiresAt = expiresAt;
  }

  describe(): IntroPoint {
    return {
      linkSpecifiers: this.relay.linkSpecifiers,
      onionKey: this.onionKey,
      authKey: this.authKey,
      encKey: this.encKey,
    };
  }
}

export class ServiceDescriptor {
  readonly period: TimePeriod;
  readonly blinded: BlindedKey;
  readonly subcredential: Uint8Array;
  readonly points: ServiceIntroPoint[] = [];
  /** Relays that failed as introduction points → unix seconds of it. */
  readonly failed = new Map<SimulatedRelay, number>();
  /** It could not get as many relays as it wanted. */
  missingPoints = false;
  /** Unix seconds. */
  nextUploadAt = 0;
  previousHsdirs = new Set<string>();
  /** Counts refreshes, so that an upload under way can see that it is overtaken. */
  generation = 0;
  #material: DescriptorMaterial;
  #published: readonly IntroPoint[] = [];
  #revision = 0n;

  private constructor(master: MasterKey, period: TimePeriod, blinded: BlindedKey, material: DescriptorMaterial) {
    this.period = period;
    this.blinded = blinded;
    this.subcredential = subcredential(master.publicKey, blinded.publicKey);
    this.#material = material;
  }

  static async build(master: MasterKey, period: TimePeriod, random: Random, now: number): Promise<ServiceDescriptor> {
    const blinded = blindedKey(master, period);
    const material = await createMaterial({
      random,
      blindedPublicKey: blinded.publicKey,
      now,
      sign: async (body) => signBlinded(blinded, body),
    });
    return new ServiceDescriptor(master, period, blinded, material);
  }

  /** Blinded key as events name it. */
  get id(): string {
    return Buffer.from(this.blinded.publicKey).toString('base64').replace(/=+$/, '');
  }

  get established(): readonly ServiceIntroPoint[] {
    return this.points.filter((point) => point.established);
  }

  /** What tor does just before an upload: a new certificate, the points that have a circuit now, a new revision. */
  async refresh(now: number, revisionStart: number): Promise<void> {
    this.#published = this.established.map((point) => point.describe());
    this.#revision = opeRevision(this.blinded, now - revisionStart);
    this.generation += 1;
    this.#material = await renewMaterial(this.#material, {
      now,
      sign: async (body) => signBlinded(this.blinded, body),
    });
  }

  encode(random: Random, now: number, sendmeIncrement: number, clients: readonly Uint8Array[]): string {
    return encodeDescriptor(this.#material, {
      subcredential: this.subcredential,
      revision: this.#revision,
      introPoints: this.#published,
      features: { flowControl: { versions: '1-2', sendmeIncrement }, singleOnionService: false },
      clients,
      now,
      random,
      allowNoIntroPoints: true,
    });
  }
}
