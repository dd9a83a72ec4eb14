/** The bare cost below our sides: nothing but OpenSSL's Ed25519, on prepared keys and messages of the real lengths. */
import { generateKeyPairSync, sign, verify } from 'node:crypto';
import { introPointCount } from './fixture.ts';

const certificateBody: Buffer = Buffer.alloc(76, 1);
const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const signature = sign(null, certificateBody, privateKey);

/** Of a publish whose introduction points are all new: two certificates each, and one signature, in both descriptors. */
export const publishSignatures: number = 2 * (2 * introPointCount + 1);
/** Of a descriptor of three introduction points: two certificates each, that of the signing key, the signature. */
export const readVerifications = 8;

/** Signs as often as a publish does; `descriptorBytes` is the length of the signed part of a descriptor. */
export function signBare(descriptorBytes: number): void {
  const descriptor = Buffer.alloc(descriptorBytes, 1);
  for (let count = 2; count < publishSignatures; count++) sign(null, certificateBody, privateKey);
  for (let count = 0; count < 2; count++) sign(null, descriptor, privateKey);
}

/** Verifies as often as reading a descriptor does. */
export function verifyBare(): void {
  for (let count = 0; count < readVerifications; count++) verify(null, certificateBody, publicKey, signature);
}
