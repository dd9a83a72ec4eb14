/**
 * Noise_NNpsk0_25519_ChaChaPoly_SHA256 (The Noise Protocol Framework, revision 34): two messages, keyed by the invitation's
 * token, so that either side knows that the other has it, and neither sends it. The second message may be longer than
 * Noise's 65,535 bytes: it is not a datagram, and its length is bounded by who reads it.
 *
 *   → psk, e    knock() ─ message ─► openKnock()
 *   ← e, ee     finish() ◄─ message ─ answer()
 */
import { createCipheriv, createDecipheriv, createHash, createHmac, hkdfSync } from 'node:crypto';
import { ascii } from '../../core/onion/bytes.ts';
import { agree, agreementKey, agreementPublicKey } from '../../core/onion/key-agreement.ts';
import type { Random } from '../../core/runtime/index.ts';

const protocolName = ascii('Noise_NNpsk0_25519_ChaChaPoly_SHA256');
const keyBytes = 32;
const tagBytes = 16;
/** What a message has beside its payload. */
const handshakeOverhead = keyBytes + tagBytes;

const sha256 = (...parts: readonly Uint8Array[]): Buffer => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};

/** Noise's HKDF: `count` outputs of 32 bytes. */
function expand(chaining: Uint8Array, material: Uint8Array, count: 2 | 3): readonly Buffer[] {
  const key = createHmac('sha256', chaining).update(material).digest();
  const outputs: Buffer[] = [];
  for (let at = 1; at <= count; at++) {
    outputs.push(
      createHmac('sha256', key)
        .update(outputs.at(-1) ?? Buffer.alloc(0))
        .update(Buffer.of(at))
        .digest(),
    );
  }
  return outputs;
}

/** Noise's SymmetricState (section 5.2). */
class Symmetric {
  #hash: Buffer;
  #chaining: Buffer;
  #key: Buffer = Buffer.alloc(keyBytes);
  #counter = 0;

  constructor(prologue: Uint8Array) {
    this.#hash = protocolName.length > 32 ? sha256(protocolName) : Buffer.concat([protocolName], 32);
    this.#chaining = this.#hash;
    this.mixHash(prologue);
  }

  mixHash(data: Uint8Array): void {
    this.#hash = sha256(this.#hash, data);
  }

  mixKey(material: Uint8Array): void {
    const [chaining, key] = expand(this.#chaining, material, 2) as [Buffer, Buffer];
    this.#chaining = chaining;
    this.#key = key;
    this.#counter = 0;
  }

  mixKeyAndHash(material: Uint8Array): void {
    const [chaining, hash, key] = expand(this.#chaining, material, 3) as [Buffer, Buffer, Buffer];
    this.#chaining = chaining;
    this.mixHash(hash);
    this.#key = key;
    this.#counter = 0;
  }

  #nonce(): Buffer {
    const nonce = Buffer.alloc(12);
    nonce.writeUInt32LE(this.#counter++, 4);
    return nonce;
  }

  seal(plaintext: Uint8Array): Buffer {
    const cipher = createCipheriv('chacha20-poly1305', this.#key, this.#nonce(), { authTagLength: tagBytes });
    cipher.setAAD(this.#hash, { plaintextLength: plaintext.length });
    const sealed = Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
    this.mixHash(sealed);
    return sealed;
  }

  /** Undefined when it does not open. */
  open(sealed: Uint8Array): Uint8Array | undefined {
    const body = sealed.subarray(0, sealed.length - tagBytes);
    const decipher = createDecipheriv('chacha20-poly1305', this.#key, this.#nonce(), { authTagLength: tagBytes });
    decipher.setAAD(this.#hash, { plaintextLength: body.length });
    decipher.setAuthTag(sealed.subarray(sealed.length - tagBytes));
    const plaintext = decipher.update(body);
    try {
      decipher.final();
    } catch {
      return undefined;
    }
    this.mixHash(sealed);
    return new Uint8Array(plaintext);
  }
}

/** The pre-shared key of a token. */
function pskOf(token: Uint8Array): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', token, new Uint8Array(0), 'chimera join 1 psk', keyBytes));
}

/** What both sides have beforehand. */
interface Shared {
  readonly prologue: Uint8Array;
  /** 32 bytes. Secret. */
  readonly psk: Uint8Array;
}

const sharedBy = (token: Uint8Array, selector: string): Shared => ({
  prologue: Buffer.from(`chimera join 1\0${selector}`),
  psk: pskOf(token),
});

function begin({ prologue, psk }: Shared): Symmetric {
  const state = new Symmetric(prologue);
  state.mixKeyAndHash(psk);
  return state;
}

/** The joiner's side, between its message and the answer. */
export interface Knock {
  readonly message: Uint8Array;
  /** The payload of the answer; undefined when it is not of somebody who has the token. */
  finish(answer: Uint8Array): Uint8Array | undefined;
}

/** `payload` is given the ephemeral key, for a signature over it. */
export function knock(
  token: Uint8Array,
  selector: string,
  random: Random,
  payload: (ephemeral: Uint8Array) => Uint8Array,
): Knock {
  return initiate(sharedBy(token, selector), random, payload);
}

export function initiate(shared: Shared, random: Random, payload: (ephemeral: Uint8Array) => Uint8Array): Knock {
  const state = begin(shared);
  const own = agreementKey(random.bytes(keyBytes));
  const ephemeral = agreementPublicKey(own);
  state.mixHash(ephemeral);
  state.mixKey(ephemeral);
  const sealed = state.seal(payload(ephemeral));
  return {
    message: Buffer.concat([ephemeral, sealed]),
    finish: (answer) => {
      if (answer.length < handshakeOverhead) return undefined;
      const theirs = answer.subarray(0, keyBytes);
      state.mixHash(theirs);
      state.mixKey(theirs);
      const agreed = agree(own, theirs);
      if (agreed === undefined) return undefined;
      state.mixKey(agreed);
      return state.open(answer.subarray(keyBytes));
    },
  };
}

/** The member's side, between the joiner's message and its answer. */
export interface Opened {
  readonly ephemeral: Uint8Array;
  readonly payload: Uint8Array;
  /** Undefined when the joiner's ephemeral key is of low order. */
  answer(payload: Uint8Array, random: Random): Uint8Array | undefined;
}

/**
 * Undefined when the message is not of somebody who has the token. The work is the same for any message of at least
 * `handshakeOverhead` bytes, and a shorter one is worked on as one of zeros.
 */
export function openKnock(token: Uint8Array, selector: string, message: Uint8Array): Opened | undefined {
  return respond(sharedBy(token, selector), message);
}

export function respond(shared: Shared, message: Uint8Array): Opened | undefined {
  const whole = message.length >= handshakeOverhead ? message : new Uint8Array(handshakeOverhead);
  const state = begin(shared);
  const ephemeral = whole.slice(0, keyBytes);
  state.mixHash(ephemeral);
  state.mixKey(ephemeral);
  const payload = state.open(whole.subarray(keyBytes));
  if (payload === undefined) return undefined;
  return {
    ephemeral,
    payload,
    answer: (reply, random) => {
      const own = agreementKey(random.bytes(keyBytes));
      const publicKey = agreementPublicKey(own);
      state.mixHash(publicKey);
      state.mixKey(publicKey);
      const agreed = agree(own, ephemeral);
      if (agreed === undefined) return undefined;
      state.mixKey(agreed);
      return Buffer.concat([publicKey, state.seal(reply)]);
    },
  };
}
