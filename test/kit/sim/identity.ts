/** Node identities and cluster secrets from a seed, for simulations: the same seed gives the same node. Never for a real one. */
import { createPrivateKey, createPublicKey, sign } from 'node:crypto';
import {
  nodeIdOf,
  type ClusterSecret,
  type ClusterSecrets,
  type NodeIdentity,
} from '../../../core/engine/contracts/node.ts';
import { agree, agreementKey, agreementPublicKey } from '../../../core/onion/key-agreement.ts';
import { rememberSigned } from '../../../core/onion/signature.ts';
import type { Random } from '../../../core/runtime/random.ts';
import { isLater, mostGenerations } from '../../../plugins/identity/index.ts';

/** DER of a PKCS #8 Ed25519 key, up to its 32 bytes (RFC 8410). */
const ed25519Prefix = Buffer.from('302e020100300506032b657004220420', 'hex');

export function testIdentity(random: Random): NodeIdentity {
  const signingKey = createPrivateKey({
    key: Buffer.concat([ed25519Prefix, random.bytes(32)]),
    format: 'der',
    type: 'pkcs8',
  });
  const signing = Uint8Array.from(
    Buffer.from(createPublicKey(signingKey).export({ format: 'jwk' }).x as string, 'base64url'),
  );
  const agreement = agreementKey(random.bytes(32));
  return {
    node: nodeIdOf(signing),
    keys: { signing, agreement: agreementPublicKey(agreement) },
    sign: (message) => {
      const signature = Uint8Array.from(sign(null, message, signingKey));
      rememberSigned(signing, message, signature);
      return signature;
    },
    agree: (publicKey) => {
      const shared = agree(agreement, publicKey);
      if (shared === undefined) throw new RangeError('a key of low order');
      return Uint8Array.from(shared);
    },
  };
}

/** Secrets held in memory. With one secret given, of generation 1. */
export function testSecrets(...first: readonly ClusterSecret[]): ClusterSecrets {
  let held = [...first].sort((a, b) => b.generation - a.generation);
  const listeners = new Set<() => void>();
  return {
    current: () => held,
    kept: true,
    learn: async (secret) => {
      if (held[0] !== undefined && !isLater(secret, held[0])) return;
      held = [secret, ...held].slice(0, mostGenerations);
      for (const listener of listeners) listener();
    },
    retire: async () => {
      held = held.slice(0, 1);
      for (const listener of listeners) listener();
    },
    onChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
