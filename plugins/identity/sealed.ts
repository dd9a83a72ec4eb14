/**
 * Messages that one node alone can read, and that one node alone can have written: an ephemeral and the sender's static
 * X25519 key with the receiver's, HKDF-SHA-256, ChaCha20-Poly1305 (RFC 8439). The key is used once, so the nonce is zero.
 *
 *   1 byte version · 32 bytes ephemeral key · ciphertext · 16 bytes tag
 */
import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto';
import { nodeIdOf, type NodeIdentity, type NodePublicKeys } from '../../core/engine/index.ts';
import { ChimeraError } from '../../core/errors.ts';
import { agree, agreementPublicKey } from '../../core/onion/key-agreement.ts';
import type { Random } from '../../core/runtime/index.ts';
import { privateKeyOf } from './node-key.ts';

const version = 1;
const keyLength = 32;
const tagLength = 16;
const shortest = 1 + keyLength + tagLength;
/** As an answer over a PeerChannel. */
const longest = 65_536;
const cipher = 'chacha20-poly1305';
const nonce = new Uint8Array(12);

/** What a sealed message is about: both sides must name the same, or it does not open. Public texts. */
export interface SealSubject {
  /** What it is for, as `vault`: a message for one purpose does not open for another. */
  readonly purpose: string;
  /** Cluster, generation, challenge, whatever ties it to its place. */
  readonly about: readonly string[];
}

function associatedData({ purpose, about }: SealSubject, sender: NodePublicKeys, receiver: NodePublicKeys): Buffer {
  const parts = ['chimera-sealed 1', purpose, nodeIdOf(sender.signing), nodeIdOf(receiver.signing), ...about];
  return Buffer.concat(
    parts.map((part) => {
      const bytes = Buffer.from(part, 'utf8');
      const length = Buffer.alloc(4);
      length.writeUInt32BE(bytes.length);
      return Buffer.concat([length, bytes]);
    }),
  );
}

/** Both shared secrets are overwritten. */
function messageKey(shared: readonly Uint8Array[], salt: readonly Uint8Array[]): Buffer {
  const secret = Buffer.concat(shared);
  const key = Buffer.from(hkdfSync('sha256', secret, Buffer.concat(salt), 'chimera-sealed-key 1', keyLength));
  for (const bytes of [secret, ...shared]) bytes.fill(0);
  return key;
}

/** Seals `plaintext` from this node to `receiver`. Throws IDENTITY_KEY for a key that nothing can be agreed with. */
export function sealTo(
  identity: NodeIdentity,
  receiver: NodePublicKeys,
  subject: SealSubject,
  plaintext: Uint8Array,
  random: Random,
): Uint8Array {
  const fromSelf = identity.agree(receiver.agreement);
  const secret = random.bytes(keyLength);
  const ephemeral = privateKeyOf('x25519', secret);
  secret.fill(0);
  const publicKey = agreementPublicKey(ephemeral);
  // The identity has refused a key of low order already.
  const shared = [agree(ephemeral, receiver.agreement) as Buffer, fromSelf];
  const key = messageKey(shared, [publicKey, receiver.agreement, identity.keys.agreement]);
  const sealing = createCipheriv(cipher, key, nonce, { authTagLength: tagLength });
  sealing.setAAD(associatedData(subject, identity.keys, receiver), { plaintextLength: plaintext.length });
  const body = Buffer.concat([sealing.update(plaintext), sealing.final()]);
  key.fill(0);
  return new Uint8Array(Buffer.concat([Buffer.of(version), publicKey, body, sealing.getAuthTag()]));
}

/** Opens what `sender` has sealed to this node about the same. Throws SEALED_REFUSED for anything else, whatever the bytes. */
export function openSealed(
  identity: NodeIdentity,
  sender: NodePublicKeys,
  subject: SealSubject,
  sealed: Uint8Array,
): Uint8Array {
  const refuse = (): ChimeraError =>
    new ChimeraError('SEALED_REFUSED', `a sealed message (${subject.purpose}) does not open`, {
      remedy:
        'if it lasts, compare `chimera peer list` of both nodes: one of them has other keys than the other believes',
    });
  if (sealed.length < shortest || sealed.length > longest || sealed[0] !== version) throw refuse();
  const publicKey = sealed.subarray(1, 1 + keyLength);
  let key: Buffer | undefined;
  try {
    const shared = [identity.agree(publicKey), identity.agree(sender.agreement)];
    key = messageKey(shared, [publicKey, identity.keys.agreement, sender.agreement]);
    const opening = createDecipheriv(cipher, key, nonce, { authTagLength: tagLength });
    const body = sealed.subarray(1 + keyLength, sealed.length - tagLength);
    opening.setAAD(associatedData(subject, sender, identity.keys), { plaintextLength: body.length });
    opening.setAuthTag(sealed.subarray(sealed.length - tagLength));
    const plaintext = opening.update(body);
    opening.final();
    const result = new Uint8Array(plaintext);
    plaintext.fill(0);
    return result;
  } catch {
    throw refuse();
  } finally {
    key?.fill(0);
  }
}
