/**
 * What members say to each other about the cluster's secret, question and answer alike: which one they have and, when the
 * other lacks it, the secret itself, sealed to the other.
 *
 *   1 byte version · 4 bytes generation · 16 bytes name · 4 bytes removals · the sealed secret, or nothing
 *   sealed: 4 bytes generation · 4 bytes removals · 32 bytes secret
 */
import type { ClusterSecret } from '../../core/engine/index.ts';

const version = 1;
const nameLength = 16;
const headerLength = 1 + 4 + nameLength + 4;
const secretLength = 32;
const offerLength = 8 + secretLength;
/** Beyond what sealing adds to an offer there is nothing to say. */
const longestMessage = 512;

/** Which secret a member has. */
export interface Standing {
  readonly generation: number;
  /** secretName(), 32 hexadecimal characters. */
  readonly name: string;
  /** How many removed nodes it was made without, as far as this member knows. */
  readonly removals: number;
}

export interface Message extends Standing {
  readonly sealed: Uint8Array | undefined;
}

export interface Offer {
  readonly secret: ClusterSecret;
  readonly removals: number;
}

export function encodeMessage({ generation, name, removals }: Standing, sealed?: Uint8Array): Uint8Array {
  const header = Buffer.alloc(headerLength);
  header.writeUInt8(version);
  header.writeUInt32BE(generation, 1);
  header.set(Buffer.from(name, 'hex'), 5);
  header.writeUInt32BE(removals, 5 + nameLength);
  return new Uint8Array(Buffer.concat([header, sealed ?? new Uint8Array()]));
}

/** Undefined for what is no message. */
export function decodeMessage(bytes: Uint8Array): Message | undefined {
  if (bytes.length < headerLength || bytes.length > longestMessage || bytes[0] !== version) return undefined;
  const view = Buffer.from(bytes);
  return {
    generation: view.readUInt32BE(1),
    name: view.toString('hex', 5, 5 + nameLength),
    removals: view.readUInt32BE(5 + nameLength),
    sealed: bytes.length === headerLength ? undefined : bytes.slice(headerLength),
  };
}

/** Secret. */
export function encodeOffer({ secret: { generation, secret }, removals }: Offer): Uint8Array {
  const bytes = new Uint8Array(new ArrayBuffer(offerLength));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, generation);
  view.setUint32(4, removals);
  bytes.set(secret, 8);
  return bytes;
}

/** Undefined for what is no offer. The bytes are overwritten. */
export function decodeOffer(bytes: Uint8Array): Offer | undefined {
  if (bytes.length !== offerLength) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const secret = { generation: view.getUint32(0), secret: bytes.slice(8) };
  const removals = view.getUint32(4);
  bytes.fill(0);
  return { secret, removals };
}
