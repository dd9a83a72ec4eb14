/**
 * The handshake Noise_IKpsk2_25519_ChaChaPoly_SHA256 (The Noise Protocol Framework, revision 34), by node:crypto. Pure but for the
 * static key, which never leaves its holder.
 *
 *   ← s
 *   …
 *   → e, es, s, ss      initiate() ─ message ─► receive()
 *   ← e, ee, se, psk    finish()   ◄─ message ─ answer()
 */
import { createCipheriv, createDecipheriv, createHmac, hash } from 'node:crypto';
import { agree, agreementKey, agreementPublicKey } from '../../../core/onion/key-agreement.ts';
import { ascii } from '../../../core/onion/bytes.ts';

export const protocolName = 'Noise_IKpsk2_25519_ChaChaPoly_SHA256';
const keyBytes = 32;
export const tagBytes = 16;
/** A handshake message is this much longer than its payload. */
export const initiationOverhead = keyBytes + keyBytes + tagBytes + tagBytes;
export const responseOverhead = keyBytes + tagBytes;

/** This side's static key. */
export interface StaticKey {
  readonly publicKey: Uint8Array;
  /** X25519; throws for a key of low order. */
  agree(publicKey: Uint8Array): Uint8Array;
}

/** What both sides share after the handshake. */
export interface Secrets {
  readonly sending: Uint8Array;
  readonly receiving: Uint8Array;
  /** The handshake hash: the same on both sides, and of no other handshake. */
  readonly hash: Uint8Array;
}

const cipher = 'chacha20-poly1305';

/** The counter as ChaChaPoly takes it (section 12.3): 32 zero bits, then 64 bits little-endian. */
function nonceOf(counter: number): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeUInt32LE(counter % 0x1_0000_0000, 4);
  nonce.writeUInt32LE(Math.floor(counter / 0x1_0000_0000), 8);
  return nonce;
}

interface Sealed {
  readonly key: Uint8Array;
  readonly counter: number;
  readonly associated: Uint8Array;
  readonly sealed: Uint8Array;
  readonly plain: Uint8Array;
}
/** What was sealed last, each in the place that its tag says. */
let sealedLast: (Sealed | undefined)[] = [];
let sealing: typeof sealNow = sealNow;

/**
 * From now on about the last `count` texts that this process has sealed are remembered, and opened without work when they come back
 * unchanged. None is by default. For a simulation, where one process holds all nodes; it may bring a way to seal of its own, which
 * must come to the same bytes.
 */
export function rememberSealed(count: number, seals: typeof sealNow = sealNow): void {
  sealedLast = Array.from({ length: count === 0 ? 0 : 2 ** Math.ceil(Math.log2(count)) });
  sealing = seals;
}

/** By the tag's last bytes, which are as good as random. */
function placeOf(sealed: Uint8Array): number {
  const { length } = sealed;
  return (
    (((sealed[length - 1] as number) << 16) | ((sealed[length - 2] as number) << 8) | (sealed[length - 3] as number)) &
    (sealedLast.length - 1)
  );
}
const equal = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

/** Ciphertext and tag. A counter is used once for a key. */
export function seal(key: Uint8Array, counter: number, associated: Uint8Array, plain: Uint8Array): Buffer {
  const sealed = sealing(key, counter, associated, plain);
  if (sealedLast.length > 0) {
    // Copies: a session forgets its keys, and uses the room for the associated data again.
    sealedLast[placeOf(sealed)] = {
      key: Buffer.from(key),
      counter,
      associated: Buffer.from(associated),
      sealed,
      plain,
    };
  }
  return sealed;
}

function sealNow(key: Uint8Array, counter: number, associated: Uint8Array, plain: Uint8Array): Buffer {
  const sealing = createCipheriv(cipher, key, nonceOf(counter), { authTagLength: tagBytes });
  sealing.setAAD(associated, { plaintextLength: plain.length });
  const body = sealing.update(plain);
  sealing.final();
  return Buffer.concat([body, sealing.getAuthTag()]);
}

/** The plaintext; undefined when it was not sealed so. */
export function open(key: Uint8Array, counter: number, associated: Uint8Array, sealed: Uint8Array): Buffer | undefined {
  const length = sealed.length - tagBytes;
  if (length < 0) return undefined;
  const known = sealedLast.length === 0 ? undefined : sealedLast[placeOf(sealed)];
  if (
    known?.counter === counter &&
    equal(known.sealed, sealed) &&
    equal(known.key, key) &&
    equal(known.associated, associated)
  )
    return Buffer.from(known.plain);
  const opening = createDecipheriv(cipher, key, nonceOf(counter), { authTagLength: tagBytes });
  opening.setAAD(associated, { plaintextLength: length });
  opening.setAuthTag(sealed.subarray(length));
  const plain = opening.update(sealed.subarray(0, length));
  // Nobody reads the trace of the error that says no, and recording it costs more than the check itself.
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    opening.final();
    return plain;
  } catch {
    return undefined;
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

function hmac(key: Uint8Array, data: Uint8Array): Buffer {
  return createHmac('sha256', key).update(data).digest();
}

/** HKDF of section 4.3: as many outputs as asked. */
function expand(chainingKey: Uint8Array, input: Uint8Array, outputs: number): Buffer[] {
  const temporary = hmac(chainingKey, input);
  const made: Buffer[] = [];
  for (let number = 1; number <= outputs; number++) {
    made.push(hmac(temporary, Buffer.concat([made.at(-1) ?? Buffer.alloc(0), Buffer.of(number)])));
  }
  return made;
}

const nothing = new Uint8Array();

const initialHash = hash('sha256', ascii(protocolName), 'buffer');

/** SymmetricState of section 5.2. */
class Symmetric {
  #chainingKey: Buffer = initialHash;
  #hash: Buffer = initialHash;
  #key: Buffer | undefined;
  #counter = 0;

  get hash(): Uint8Array {
    return this.#hash;
  }

  /** The same state, to go on with in another way. */
  copy(): Symmetric {
    const copy = new Symmetric();
    copy.#chainingKey = this.#chainingKey;
    copy.#hash = this.#hash;
    copy.#key = this.#key;
    copy.#counter = this.#counter;
    return copy;
  }

  mixHash(data: Uint8Array): void {
    this.#hash = hash('sha256', Buffer.concat([this.#hash, data]), 'buffer');
  }

  mixKey(input: Uint8Array): void {
    [this.#chainingKey, this.#key] = expand(this.#chainingKey, input, 2) as [Buffer, Buffer];
    this.#counter = 0;
  }

  mixKeyAndHash(input: Uint8Array): void {
    const [chainingKey, data, key] = expand(this.#chainingKey, input, 3) as [Buffer, Buffer, Buffer];
    this.#chainingKey = chainingKey;
    this.mixHash(data);
    this.#key = key;
    this.#counter = 0;
  }

  encrypt(plain: Uint8Array): Buffer {
    const sealed = seal(this.#key as Buffer, this.#counter++, this.#hash, plain);
    this.mixHash(sealed);
    return sealed;
  }

  decrypt(sealed: Uint8Array): Buffer | undefined {
    const plain = open(this.#key as Buffer, this.#counter++, this.#hash, sealed);
    this.mixHash(sealed);
    return plain;
  }

  split(): [Buffer, Buffer] {
    return expand(this.#chainingKey, nothing, 2) as [Buffer, Buffer];
  }
}

function begin(prologue: Uint8Array, responder: Uint8Array): Symmetric {
  const state = new Symmetric();
  state.mixHash(prologue);
  state.mixHash(responder);
  return state;
}

/** The public key of an ephemeral secret, mixed as the token `e` of a handshake with a psk (section 9.2). */
function mixEphemeral(state: Symmetric, publicKey: Uint8Array): void {
  state.mixHash(publicKey);
  state.mixKey(publicKey);
}

function mixAgreement(state: Symmetric, make: () => Uint8Array | undefined): boolean {
  try {
    const shared = make();
    if (shared !== undefined) state.mixKey(shared);
    return shared !== undefined;
  } catch {
    return false;
  }
}

/** Both agreements of an initiation; undefined when the responder's key is of low order. */
function ephemeralAndStatic(
  ephemeral: () => Uint8Array | undefined,
  fixed: () => Uint8Array,
): readonly [Uint8Array, Uint8Array] | undefined {
  try {
    const first = ephemeral();
    return first === undefined ? undefined : [first, fixed()];
  } catch {
    return undefined;
  }
}

export interface Initiation {
  readonly message: Uint8Array;
  /** Takes the answer; undefined when it is none. May be tried again with another. */
  finish(message: Uint8Array, psk: Uint8Array): { readonly payload: Uint8Array; readonly secrets: Secrets } | undefined;
}

/** Undefined when the responder's key is of low order. `ephemeral`: 32 random bytes. */
export function initiate(options: {
  readonly prologue: Uint8Array;
  readonly own: StaticKey;
  readonly responder: Uint8Array;
  readonly ephemeral: Uint8Array;
  readonly payload: Uint8Array;
}): Initiation | undefined {
  const { prologue, own, responder, ephemeral, payload } = options;
  const e = agreementKey(ephemeral);
  const ephemeralKey = agreementPublicKey(e);
  const agreed = ephemeralAndStatic(
    () => agree(e, responder),
    () => own.agree(responder),
  );
  if (agreed === undefined) return undefined;
  const begun = begin(prologue, responder);
  mixEphemeral(begun, ephemeralKey);
  begun.mixKey(agreed[0]);
  const sealedStatic = begun.encrypt(own.publicKey);
  begun.mixKey(agreed[1]);
  return {
    message: Buffer.concat([ephemeralKey, sealedStatic, begun.encrypt(payload)]),
    finish: (message, psk) => {
      if (message.length < responseOverhead) return undefined;
      // A forged answer must not spoil the state.
      const state = begun.copy();
      const theirs = message.subarray(0, keyBytes);
      mixEphemeral(state, theirs);
      if (!mixAgreement(state, () => agree(e, theirs)) || !mixAgreement(state, () => own.agree(theirs)))
        return undefined;
      state.mixKeyAndHash(psk);
      const answer = state.decrypt(message.subarray(keyBytes));
      if (answer === undefined) return undefined;
      const [sending, receiving] = state.split();
      return { payload: answer, secrets: { sending, receiving, hash: state.hash } };
    },
  };
}

export interface Received {
  /** The initiator's static key: it has proven to hold it, once it has used the answer. */
  readonly initiator: Uint8Array;
  readonly payload: Uint8Array;
  /** Once only. Undefined when the initiator's ephemeral key is of low order. */
  answer(options: {
    readonly psk: Uint8Array;
    readonly ephemeral: Uint8Array;
    readonly payload: Uint8Array;
  }): { readonly message: Uint8Array; readonly secrets: Secrets } | undefined;
}

/** Reads an initiation; undefined when it is none for this key. */
export function receive(options: {
  readonly prologue: Uint8Array;
  readonly own: StaticKey;
  readonly message: Uint8Array;
}): Received | undefined {
  const { prologue, own, message } = options;
  if (message.length < initiationOverhead) return undefined;
  const state = begin(prologue, own.publicKey);
  const theirs = message.subarray(0, keyBytes);
  mixEphemeral(state, theirs);
  if (!mixAgreement(state, () => own.agree(theirs))) return undefined;
  const staticEnd = keyBytes + keyBytes + tagBytes;
  const initiator = state.decrypt(message.subarray(keyBytes, staticEnd));
  if (initiator === undefined || !mixAgreement(state, () => own.agree(initiator))) return undefined;
  const payload = state.decrypt(message.subarray(staticEnd));
  if (payload === undefined) return undefined;
  return {
    initiator,
    payload,
    answer: ({ psk, ephemeral, payload: reply }) => {
      const e = agreementKey(ephemeral);
      const ephemeralKey = agreementPublicKey(e);
      mixEphemeral(state, ephemeralKey);
      if (!mixAgreement(state, () => agree(e, theirs)) || !mixAgreement(state, () => agree(e, initiator)))
        return undefined;
      state.mixKeyAndHash(psk);
      const sealed = state.encrypt(reply);
      const [receiving, sending] = state.split();
      return { message: Buffer.concat([ephemeralKey, sealed]), secrets: { sending, receiving, hash: state.hash } };
    },
  };
}
