/**
 * A node's own key: one 32-byte seed, from which two keys derive by HKDF-SHA-256 (RFC 5869) with a label each, an Ed25519 key
 * that signs and an X25519 key that agrees. The node's id derives from the first, so that nobody can take another's name.
 */
import { createPrivateKey, hkdfSync, sign, type KeyObject } from 'node:crypto';
import { nodeIdOf, type NodeIdentity } from '../../core/engine/index.ts';
import { ChimeraError } from '../../core/errors.ts';
import { encodeBase64Unpadded } from '../../core/onion/bytes.ts';
import { agree, agreementPublicKey } from '../../core/onion/key-agreement.ts';
import { rawPublicKey } from '../../core/onion/signature.ts';
import type { Random, Store } from '../../core/runtime/index.ts';
import { readOwnFile, writeOwnFile } from './own-file.ts';

const seedLength = 32;
const form = /^chimera-node-key 1\nnode ([a-z2-7]{20})\nseed ([A-Za-z0-9+/]{43})\n$/;
const what = 'node key';

/** PKCS #8 (RFC 8410) of a raw private key, up to the key itself. */
const pkcs8 = { ed25519: '302e020100300506032b657004220420', x25519: '302e020100300506032b656e04220420' } as const;

/** A key object of 32 secret bytes. They go through buffers that are overwritten; a JWK would leave them in a text. */
export function privateKeyOf(kind: keyof typeof pkcs8, secret: Uint8Array): KeyObject {
  const der = Buffer.concat([Buffer.from(pkcs8[kind], 'hex'), secret]);
  try {
    return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  } finally {
    der.fill(0);
  }
}

function derived(kind: keyof typeof pkcs8, seed: Uint8Array, label: string): KeyObject {
  const secret = new Uint8Array(hkdfSync('sha256', seed, new Uint8Array(0), label, seedLength));
  try {
    return privateKeyOf(kind, secret);
  } finally {
    secret.fill(0);
  }
}

/** The identity of a 32-byte seed, which is not kept: OpenSSL has the two keys. */
export function identityOfSeed(seed: Uint8Array): NodeIdentity {
  if (seed.length !== seedLength) throw new ChimeraError('IDENTITY_FILE', `a seed has 32 bytes, not ${seed.length}`);
  const signing = derived('ed25519', seed, 'chimera-node-signing 1');
  const agreement = derived('x25519', seed, 'chimera-node-agreement 1');
  const keys = { signing: rawPublicKey(signing), agreement: agreementPublicKey(agreement) };
  return {
    node: nodeIdOf(keys.signing),
    keys,
    sign: (message) => new Uint8Array(sign(null, message, signing)),
    agree: (publicKey) => {
      const shared = publicKey.length === 32 ? agree(agreement, publicKey) : undefined;
      if (shared !== undefined) return new Uint8Array(shared);
      throw new ChimeraError('IDENTITY_KEY', 'a key of another node is none that anything can be agreed with', {
        remedy: 'remove that node and admit it again with keys that `chimera join` made',
      });
    },
  };
}

/** The text of a node key file. Secret. */
export function encodeNodeKey(seed: Uint8Array): string {
  const { node } = identityOfSeed(seed);
  return `chimera-node-key 1\nnode ${node}\nseed ${encodeBase64Unpadded(seed)}\n`;
}

/** The seed in the bytes of a node key file. Throws IDENTITY_FILE, without a byte of the file. */
export function parseNodeKey(bytes: Uint8Array): Uint8Array {
  const match = form.exec(bytes.length > 1_024 ? '' : Buffer.from(bytes).toString('latin1'));
  const seed = match === null ? undefined : new Uint8Array(Buffer.from(match[2] ?? '', 'base64'));
  if (seed === undefined || encodeBase64Unpadded(seed) !== match?.[2] || identityOfSeed(seed).node !== match?.[1]) {
    throw new ChimeraError('IDENTITY_FILE', 'it is not a node key file as Chimera writes it, or it is damaged', {
      remedy: 'restore it from a copy, or make the node anew: `chimera join` with a new invitation',
    });
  }
  return seed;
}

/**
 * Makes a new node key and writes it, mode 0600. Rejects with IDENTITY_EXISTS where a file is already: a node's key is never
 * replaced by accident.
 */
export async function createNodeKey(store: Store, path: string, random: Random): Promise<NodeIdentity> {
  const seed = random.bytes(seedLength);
  try {
    await writeOwnFile(store, path, encodeNodeKey(seed), { what, fresh: true });
    return identityOfSeed(seed);
  } finally {
    seed.fill(0);
  }
}

/** The identity in a node key file. Rejects with IDENTITY_MISSING, IDENTITY_EXPOSED or IDENTITY_FILE. */
export async function readNodeKey(store: Store, path: string): Promise<NodeIdentity> {
  const seed = await readOwnFile(store, path, what, parseNodeKey);
  try {
    return identityOfSeed(seed);
  } finally {
    seed.fill(0);
  }
}
