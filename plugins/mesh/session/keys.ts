/** Keys that derive from the cluster's secret, one set a generation. Every label is in docs/mesh-wire.md. */
import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import type { ClusterSecret } from '../../../core/engine/index.ts';
import { ascii } from '../../../core/onion/bytes.ts';
import { macBytes, wireVersion } from './datagram.ts';

export const labels = {
  prologue: 'chimera mesh 2 handshake',
  data: 'chimera mesh 2 data',
  psk: 'chimera mesh 2 psk',
  mac: 'chimera mesh 2 mac',
  cookie: 'chimera mesh 2 cookie',
  introduction: 'chimera mesh 2 introduction',
} as const;

export interface GenerationKeys {
  readonly generation: number;
  /** The handshake's pre-shared key. */
  readonly psk: Uint8Array;
  /** Of the first mac: who lacks it cannot make a node do any public-key work. */
  readonly mac: Uint8Array;
  /** Seals cookies and introductions. */
  readonly cookie: Uint8Array;
}

/** HKDF-SHA256 of the secret; salt: the cluster's name; info: the label, a zero byte, the generation in four bytes. */
export function generationKeys(cluster: string, { generation, secret }: ClusterSecret): GenerationKeys {
  const derive = (label: string): Uint8Array => {
    const info = Buffer.concat([ascii(`${label}\0`), Buffer.alloc(4)]);
    info.writeUInt32BE(generation, info.length - 4);
    return new Uint8Array(hkdfSync('sha256', secret, ascii(cluster), info, 32));
  };
  return { generation, psk: derive(labels.psk), mac: derive(labels.mac), cookie: derive(labels.cookie) };
}

/** Of all, the newest first, those to try with: the newest, and in a last try, which has a number, one before: the peer may not know the newest. */
export function keysOfTry(
  [newest, ...older]: readonly GenerationKeys[],
  lastTry: number | undefined,
): GenerationKeys | undefined {
  return (lastTry === undefined ? undefined : older[lastTry % older.length]) ?? newest;
}

/** What both sides of a handshake must agree on before it begins: version, cluster, and who answers. */
export function prologueOf(cluster: string, responder: string): Buffer {
  return Buffer.concat([ascii(`${labels.prologue}\0`), Buffer.of(wireVersion), ascii(cluster + responder)]);
}

/** HMAC-SHA256 over the receiver's id and the bytes, cut to 16 bytes. */
export function macOf(key: Uint8Array, receiver: string, bytes: Uint8Array): Buffer {
  return createHmac('sha256', key).update(ascii(receiver)).update(bytes).digest().subarray(0, macBytes);
}

export function sameMac(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && timingSafeEqual(left, right);
}
