/** The relays of the simulated network: their identities, their places as HSDirs and as introduction points. */
import { createHash } from 'node:crypto';
import { encodeBase64Unpadded } from '../../../../core/onion/bytes.ts';
import { agreementKey, agreementPublicKey } from '../../../../core/onion/key-agreement.ts';
import { linkSpecifiersOfRelay, type LinkSpecifier, type Relay } from '../../../../core/onion/index.ts';
import { rawPublicKey, signingKeyOfSeed } from '../../../../core/onion/signature.ts';
import type { Random } from '../../../../core/runtime/index.ts';
import { HsdirStore } from './hsdir.ts';
import type { IntroductionCircuit } from './introduction.ts';

export class SimulatedRelay implements Relay {
  readonly nickname: string;
  readonly fingerprint: string;
  readonly ed25519: Uint8Array;
  /** X25519 public key, 32 bytes. */
  readonly ntorKey: Uint8Array;
  readonly host: string;
  readonly port: number;
  readonly authority: boolean;
  readonly microdescriptor: string;
  /** SHA-256 of the microdescriptor. */
  readonly microdescriptorDigest: Uint8Array;
  readonly hsdir = new HsdirStore();
  /** Circuits of services that wait here for INTRODUCE1, by authentication key in hexadecimal. */
  readonly introductions = new Map<string, IntroductionCircuit>();
  /** False while the relay is down: it is in no new consensus, and nobody reaches it. */
  up = true;

  constructor(random: Random, nickname: string, index: number, authority: boolean) {
    this.nickname = nickname;
    this.authority = authority;
    this.fingerprint = Buffer.from(random.bytes(20)).toString('hex').toUpperCase();
    this.ed25519 = rawPublicKey(signingKeyOfSeed(random.bytes(32)));
    this.ntorKey = agreementPublicKey(agreementKey(random.bytes(32)));
    // Documentation addresses (RFC 5737): nothing is ever sent to them.
    this.host = `198.51.${100 + Math.floor(index / 250)}.${1 + (index % 250)}`;
    this.port = 9001;
    this.microdescriptor =
      `onion-key\nntor-onion-key ${encodeBase64Unpadded(this.ntorKey)}\n` +
      `id ed25519 ${encodeBase64Unpadded(this.ed25519)}\n`;
    this.microdescriptorDigest = createHash('sha256').update(this.microdescriptor).digest();
  }

  /** How tor names it on the control port. */
  get longName(): string {
    return `$${this.fingerprint}~${this.nickname}`;
  }

  get linkSpecifiers(): readonly LinkSpecifier[] {
    return linkSpecifiersOfRelay({
      ipv4: this.host,
      port: this.port,
      fingerprint: this.fingerprint,
      ed25519: this.ed25519,
    });
  }
}

export interface RelayCounts {
  readonly authorities: number;
  /** Beside the authorities. All of them are HSDirs. */
  readonly relays: number;
}

export function createRelays(random: Random, { authorities, relays }: RelayCounts): SimulatedRelay[] {
  return Array.from({ length: authorities + relays }, (_, index) => {
    const authority = index < authorities;
    const nickname = authority ? `auth${index}` : `relay${index - authorities}`;
    return new SimulatedRelay(random, nickname, index, authority);
  });
}
