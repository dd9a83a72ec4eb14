/**
 * What goes over a channel: version 1, the length of the sender's name, the name, the datagram. Pure. Anybody who may write
 * to Redis may name any sender; the mesh's sessions find out.
 */
import { datagramBytes } from '../common.ts';

const version = 1;
const nodeName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

/** True for a node's id, as the configuration takes it. */
export function isNodeName(name: string): boolean {
  return nodeName.test(name);
}

export function encodeFrame(sender: string, bytes: Uint8Array): Uint8Array {
  const name = Buffer.from(sender, 'latin1');
  return Buffer.concat([Uint8Array.of(version, name.length), name, bytes]);
}

/** The sender's name and the datagram; undefined for what is no frame. */
export function decodeFrame(frame: Uint8Array): { readonly sender: string; readonly bytes: Uint8Array } | undefined {
  const start = 2 + (frame[1] ?? 0);
  if (frame[0] !== version || frame.length <= start || frame.length > start + datagramBytes) return undefined;
  const sender = Buffer.from(frame.subarray(2, start)).toString('latin1');
  return isNodeName(sender) ? { sender, bytes: Uint8Array.from(frame.subarray(start)) } : undefined;
}
