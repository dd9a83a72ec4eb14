/**
 * The master key under a passphrase, as a text file: scrypt (RFC 7914) makes a key of the passphrase, ChaCha20-Poly1305
 * (RFC 8439) seals the 64 bytes with every other byte of the file as associated data. The salt is new each time, so the key
 * is used once and the nonce is zero. Why scrypt: docs/decisions/vault-passphrase.md.
 */
import { createCipheriv, createDecipheriv, createHash, scrypt, scryptSync } from 'node:crypto';
import { ChimeraError } from '../../../core/errors.ts';
import { decodeBase64, encodeBase64Unpadded, sameBytes } from '../../../core/onion/bytes.ts';
import { remember } from '../../../core/onion/remembered.ts';
import {
  addressOfKey,
  masterKeyFromExpanded,
  parseOnionAddress,
  publicKeyOf,
  type MasterKey,
  type OnionAddress,
} from '../../../core/onion/index.ts';
import type { Random } from '../../../core/runtime/index.ts';

const secretLength = 64;
const saltLength = 16;
const tagLength = 16;
const cipher = 'chacha20-poly1305';
const nonce = new Uint8Array(12);
/** RFC 7914's r; memory is 128 · r · 2^cost bytes. */
const blockSize = 8;
/** 128 MiB, OWASP's least for scrypt with p = 1. */
const usualCost = 17;
/** 16 MiB … 1 GiB: a file that asks for more is refused before anything is allocated. */
const leastCost = 14;
const greatestCost = 20;

/** The whole file; what precedes the line `sealed` is associated data. */
const form =
  /^(chimera-vault 1\naddress ([a-z2-7]{56})\.onion\nkdf scrypt (\d\d) 8 1 ([A-Za-z0-9+/]{22})\n)sealed ([A-Za-z0-9+/]{107})\n$/;
const largestFile = 1_024;

/** A sealed key as its file says; nothing in it is secret. */
export interface SealedKey {
  readonly address: OnionAddress;
  /** scrypt's N is 2^cost. */
  readonly cost: number;
}

interface Parts extends SealedKey {
  readonly header: string;
  readonly salt: Uint8Array;
  readonly sealed: Uint8Array;
}

function parse(bytes: Uint8Array, where: string): Parts {
  const refuse = (why: string): ChimeraError =>
    new ChimeraError('VAULT_FILE', `${where}: ${why}`, {
      remedy: 'give the file that `chimera vault seal` wrote, or restore it from a copy',
    });
  const match = form.exec(bytes.length > largestFile ? '' : Buffer.from(bytes).toString('latin1'));
  if (match === null) throw refuse('it is not a sealed key as Chimera writes it');
  const [, header = '', host = '', costText = '', saltText = '', sealedText = ''] = match;
  const cost = Number(costText);
  if (cost < leastCost || cost > greatestCost) {
    throw refuse(`its scrypt cost is ${cost}; ${leastCost} to ${greatestCost} are taken`);
  }
  const salt = decodeBase64(saltText);
  const sealed = decodeBase64(sealedText);
  let address: OnionAddress | undefined;
  try {
    address = parseOnionAddress(host);
  } catch {
    address = undefined;
  }
  if (salt?.length !== saltLength || sealed?.length !== secretLength + tagLength || address === undefined) {
    throw refuse('it is damaged');
  }
  return { address, cost, header, salt, sealed };
}

/** What a sealed key file says without the passphrase; `where` it is goes into the message. Throws VAULT_FILE. */
export function readSealedKey(bytes: Uint8Array, where = 'the sealed key'): SealedKey {
  const { address, cost } = parse(bytes, where);
  return { address, cost };
}

/** By passphrase, salt and cost. */
const derived = new Map<string, Buffer>();
let mostDerived = 0;

/**
 * From now on the last `count` keys that this process has made of passphrases are remembered, and each is made at once instead of
 * in a thread beside: for a simulation, whose clock does not wait for threads. None is by default.
 */
export function rememberDerived(count: number): void {
  mostDerived = count;
  if (count === 0) derived.clear();
}

function rememberedKey(passphrase: Uint8Array, salt: Uint8Array, cost: number, settings: object): Buffer {
  const name = `${cost} ${createHash('sha256').update(salt).update(passphrase).digest('hex')}`;
  const known = derived.get(name);
  return Buffer.from(known ?? remember(derived, name, scryptSync(passphrase, salt, 32, settings), mostDerived));
}

async function keyOf(passphrase: Uint8Array, salt: Uint8Array, cost: number): Promise<Buffer> {
  const settings = { N: 2 ** cost, r: blockSize, p: 1, maxmem: 256 * blockSize * 2 ** cost };
  if (mostDerived > 0) return rememberedKey(passphrase, salt, cost, settings);
  return new Promise((resolve, reject) => {
    scrypt(passphrase, salt, 32, settings, (error, key) => {
      if (error === null) resolve(key);
      else reject(error);
    });
  });
}

/** The text of a sealed key file. Neither the key nor the passphrase is kept or overwritten. */
export async function sealMasterKey(
  key: MasterKey,
  passphrase: Uint8Array,
  random: Random,
  cost: number = usualCost,
): Promise<string> {
  const salt = random.bytes(saltLength);
  const host = addressOfKey(key.publicKey);
  const header = `chimera-vault 1\naddress ${host}.onion\nkdf scrypt ${cost} ${blockSize} 1 ${encodeBase64Unpadded(salt)}\n`;
  const sealingKey = await keyOf(passphrase, salt, cost);
  const sealing = createCipheriv(cipher, sealingKey, nonce, { authTagLength: tagLength });
  sealing.setAAD(Buffer.from(header, 'latin1'), { plaintextLength: secretLength });
  const body = Buffer.concat([sealing.update(key.expandedSecret), sealing.final(), sealing.getAuthTag()]);
  sealingKey.fill(0);
  return `${header}sealed ${encodeBase64Unpadded(body)}\n`;
}

/** The key in a sealed key file. Rejects with VAULT_FILE, or VAULT_PASSPHRASE for a wrong passphrase or a changed file. */
export async function openMasterKey(bytes: Uint8Array, passphrase: Uint8Array): Promise<MasterKey> {
  const { address, cost, header, salt, sealed } = parse(bytes, 'the sealed key');
  const refuse = (): ChimeraError =>
    new ChimeraError('VAULT_PASSPHRASE', 'the passphrase does not open the sealed key', {
      remedy: 'type it again; if it is the right one, the file was changed: restore it from a copy',
    });
  const key = await keyOf(passphrase, salt, cost);
  let secret: Uint8Array | undefined;
  try {
    const opening = createDecipheriv(cipher, key, nonce, { authTagLength: tagLength });
    opening.setAAD(Buffer.from(header, 'latin1'), { plaintextLength: secretLength });
    opening.setAuthTag(sealed.subarray(secretLength));
    secret = opening.update(sealed.subarray(0, secretLength));
    opening.final();
    const master = masterKeyFromExpanded(secret);
    if (sameBytes(master.publicKey, publicKeyOf(address))) return master;
    master.expandedSecret.fill(0);
  } catch {
    throw refuse();
  } finally {
    key.fill(0);
    secret?.fill(0);
  }
  throw refuse();
}
