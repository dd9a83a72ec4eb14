/**
 * Invitations: what an operator gives to whoever sets up another node. The text names an entry in the book of the member that
 * made it, and holds a token that every member can derive from the cluster's secret, so that a joiner may be met by any of
 * them. The token itself is never sent: it keys a handshake.
 *
 *   invite- base32( 1 byte version · 10 bytes id · 5 bytes of the inviter's id · 16 bytes token · 3 bytes check )
 */
import { createHash, hkdfSync } from 'node:crypto';
import type { ClusterSecret } from '../../core/engine/index.ts';
import { ChimeraError } from '../../core/errors.ts';
import { decodeBase32, encodeBase32 } from '../../core/onion/bytes.ts';

const version = 1;
export const idBytes = 10;
const inviterBytes = 5;
const tokenBytes = 16;
const checkBytes = 3;
const prefix = 'invite-';
const textLength = 56;
/** Characters of a node's id that an invitation carries. */
const inviterLength = 8;

export interface Invitation {
  /** 24 characters: the id and the inviter. Public: it stands in the path of the request. */
  readonly selector: string;
  /** Secret. */
  readonly token: Uint8Array;
}

export interface Selector {
  readonly id: string;
  /** The first characters of the inviter's id. */
  readonly inviter: string;
}

const idLength = 16;

/** Both parts in base32: 10 bytes are 16 characters, 5 bytes are 8. */
export function splitSelector(selector: string): Selector {
  return { id: selector.slice(0, idLength), inviter: selector.slice(idLength) };
}

export function selectorFor(id: Uint8Array, inviter: string): string {
  return encodeBase32(id) + inviter.slice(0, inviterLength);
}

/** The token of a selector in one generation: HKDF-SHA-256 of the cluster's secret. Secret. */
export function tokenOf({ secret, generation }: ClusterSecret, selector: string): Uint8Array {
  const info = `chimera join 1 token\0${generation}`;
  return new Uint8Array(hkdfSync('sha256', secret, Buffer.from(selector), info, tokenBytes));
}

function check(bytes: Uint8Array): Buffer {
  return createHash('sha256').update('chimera join 1 check\0').update(bytes).digest().subarray(0, checkBytes);
}

/** Secret. */
export function encodeInvitation({ selector, token }: Invitation): string {
  const body = Buffer.concat([Buffer.of(version), decodeBase32(selector) ?? Buffer.alloc(0), token]);
  return prefix + encodeBase32(Buffer.concat([body, check(body)]));
}

/** Throws JOIN_INVITATION, which never repeats the text. */
export function parseInvitation(text: string): Invitation {
  const refuse = (what: string): ChimeraError =>
    new ChimeraError('JOIN_INVITATION', what, {
      remedy: 'copy the whole invitation, from "invite-" on, as `chimera peer invite` printed it',
    });
  const bare = text.length > 200 ? '' : text.trim().toLowerCase();
  if (!bare.startsWith(prefix)) throw refuse(`an invitation begins with "${prefix}"`);
  const encoded = bare.slice(prefix.length);
  if (encoded.length !== textLength) {
    throw refuse(`an invitation has ${textLength} characters after "${prefix}"; this one has ${encoded.length}`);
  }
  const bytes = decodeBase32(encoded);
  if (bytes === undefined) throw refuse('the invitation has characters other than a–z and 2–7');
  const body = bytes.subarray(0, bytes.length - checkBytes);
  if (!check(body).equals(bytes.subarray(bytes.length - checkBytes))) {
    throw refuse('the invitation is mistyped: its check does not fit');
  }
  if (body[0] !== version) throw refuse('the invitation is of a later version of Chimera');
  return {
    selector: encodeBase32(body.subarray(1, 1 + idBytes + inviterBytes)),
    token: Uint8Array.from(body.subarray(1 + idBytes + inviterBytes)),
  };
}
