/**
 * The outermost layer: what a datagram looks like to somebody without keys. Reading is total and cheap: lengths are fixed, and nothing
 * is allocated. docs/mesh-wire.md has the fields.
 */
import { initiationOverhead, responseOverhead, tagBytes } from './noise.ts';

export const wireVersion = 2;
/** No datagram is larger: it passes any real path in one piece (IPv6's least MTU, less headers). */
export const maximumDatagramBytes = 1_232;

export const datagramTypes = { initiation: 1, response: 2, cookie: 3, data: 4, introduction: 5 } as const;

const prefixBytes = 2;
const indexBytes = 4;
const counterBytes = 8;
export const macBytes = 16;
/** Boot id, incarnation, number of the initiation. */
export const initiationPayloadBytes = 8 + 6 + 4;
/** Status, boot id, incarnation, stamp. */
export const responsePayloadBytes = 1 + 8 + 6 + 6;
export const cookieBytes = 16;
export const cookieNonceBytes = 12;
export const introductionNonceBytes = 12;

const initiationNoiseBytes = initiationOverhead + initiationPayloadBytes;
const responseNoiseBytes = responseOverhead + responsePayloadBytes;
export const initiationBytes = prefixBytes + indexBytes + initiationNoiseBytes + 2 * macBytes;
export const responseBytes = prefixBytes + 2 * indexBytes + responseNoiseBytes + macBytes;
export const cookieReplyBytes = prefixBytes + indexBytes + cookieNonceBytes + cookieBytes + tagBytes;
/** What an introduction has beside the signed admission. */
export const introductionOverhead = prefixBytes + introductionNonceBytes + tagBytes;
export const dataHeaderBytes = prefixBytes + indexBytes + counterBytes;
/** The sender's monotonic clock, before the content. */
export const stampBytes = 6;
/** The largest content of a data datagram. */
export const maximumContentBytes = maximumDatagramBytes - dataHeaderBytes - stampBytes - tagBytes;

/** The type of a datagram of a right length; undefined for anything else. */
export function typeOf(bytes: Uint8Array): keyof typeof datagramTypes | undefined {
  if (bytes[0] !== wireVersion || bytes.length > maximumDatagramBytes) return undefined;
  const { length } = bytes;
  if (bytes[1] === datagramTypes.data) return length >= dataHeaderBytes + tagBytes ? 'data' : undefined;
  if (bytes[1] === datagramTypes.initiation) return length === initiationBytes ? 'initiation' : undefined;
  if (bytes[1] === datagramTypes.response) return length === responseBytes ? 'response' : undefined;
  if (bytes[1] === datagramTypes.cookie) return length === cookieReplyBytes ? 'cookie' : undefined;
  if (bytes[1] === datagramTypes.introduction) return length > introductionOverhead ? 'introduction' : undefined;
  return undefined;
}

const u32 = (bytes: Uint8Array, at: number): number =>
  (((bytes[at] as number) << 24) |
    ((bytes[at + 1] as number) << 16) |
    ((bytes[at + 2] as number) << 8) |
    (bytes[at + 3] as number)) >>>
  0;

/** The first index: the receiver's in `data` and `cookie`, the sender's in the others. */
export const indexOf = (bytes: Uint8Array): number => u32(bytes, prefixBytes);
/** In a response: the index that the initiator gave itself. */
export const responseReceiver = (bytes: Uint8Array): number => u32(bytes, prefixBytes + indexBytes);

/** Undefined beyond 2^53, which no session reaches. */
export function counterOf(bytes: Uint8Array): number | undefined {
  const high = u32(bytes, prefixBytes + indexBytes);
  return high < 2 ** 21 ? high * 0x1_0000_0000 + u32(bytes, prefixBytes + indexBytes + 4) : undefined;
}

export const initiationNoise = (bytes: Uint8Array): Uint8Array =>
  bytes.subarray(prefixBytes + indexBytes, prefixBytes + indexBytes + initiationNoiseBytes);
export const responseNoise = (bytes: Uint8Array): Uint8Array =>
  bytes.subarray(prefixBytes + 2 * indexBytes, prefixBytes + 2 * indexBytes + responseNoiseBytes);
/** What the first mac covers, and itself. */
export const initiationMac1At = initiationBytes - 2 * macBytes;
export const initiationMac2At = initiationBytes - macBytes;
export const responseMac1At = responseBytes - macBytes;

function prefix(type: keyof typeof datagramTypes, ...indexes: readonly number[]): Buffer {
  const bytes = Buffer.alloc(prefixBytes + indexes.length * indexBytes);
  bytes[0] = wireVersion;
  bytes[1] = datagramTypes[type];
  for (const [at, index] of indexes.entries()) bytes.writeUInt32BE(index, prefixBytes + at * indexBytes);
  return bytes;
}

/** Without its macs. */
export const initiationHead = (sender: number, noise: Uint8Array): Buffer =>
  Buffer.concat([prefix('initiation', sender), noise]);
/** Without its mac. */
export const responseHead = (sender: number, receiver: number, noise: Uint8Array): Buffer =>
  Buffer.concat([prefix('response', sender, receiver), noise]);
export const cookieReply = (receiver: number, nonce: Uint8Array, sealed: Uint8Array): Buffer =>
  Buffer.concat([prefix('cookie', receiver), nonce, sealed]);

export const introduction = (nonce: Uint8Array, sealed: Uint8Array): Buffer =>
  Buffer.concat([prefix('introduction'), nonce, sealed]);
export const introductionNonce = (bytes: Uint8Array): Uint8Array =>
  bytes.subarray(prefixBytes, prefixBytes + introductionNonceBytes);
export const introductionSealed = (bytes: Uint8Array): Uint8Array =>
  bytes.subarray(prefixBytes + introductionNonceBytes);

export function dataHeader(receiver: number, counter: number): Buffer {
  const bytes = Buffer.alloc(dataHeaderBytes);
  bytes[0] = wireVersion;
  bytes[1] = datagramTypes.data;
  bytes.writeUInt32BE(receiver, prefixBytes);
  bytes.writeUInt32BE(Math.floor(counter / 0x1_0000_0000), prefixBytes + indexBytes);
  bytes.writeUInt32BE(counter % 0x1_0000_0000, prefixBytes + indexBytes + 4);
  return bytes;
}
