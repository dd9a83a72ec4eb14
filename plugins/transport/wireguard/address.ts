/**
 * Names in the tunnel. Pure. A node's address derives from its id, so nobody chooses one and nobody can have another's; its
 * endpoint `wireguard:KEY@192.0.2.1:51820` has its WireGuard key (base64url) and where its packets are to be sent first.
 */
import { createHash } from 'node:crypto';
import { formatEndpoint, type InternetEndpoint } from '../../../core/runtime/index.ts';
import { readInternetEndpoint } from '../common.ts';

const scheme = 'wireguard:';
const keyForm = /^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/;

export interface TunnelEndpoint {
  /** As `wg` writes it: 44 characters of base64. */
  readonly key: string;
  /** Undefined for a node that nobody can reach first: behind NAT. */
  readonly outer: InternetEndpoint | undefined;
}

const groupsOf = (bytes: Uint8Array): string[] => Buffer.from(bytes).toString('hex').match(/.{4}/g) ?? [];

/** The 48 bits that a cluster's addresses begin with: a unique local prefix of RFC 4193. */
function prefixBytes(cluster: string): Uint8Array {
  const digest = createHash('sha256').update('chimera-tunnel-prefix\0').update(cluster).digest();
  return Uint8Array.of(0xfd, ...digest.subarray(0, 5));
}

/** A node's address in its cluster's tunnel: the prefix, and 80 bits of a hash of cluster and node. */
export function tunnelAddress(cluster: string, node: string): string {
  const digest = createHash('sha256').update('chimera-tunnel-address\0').update(`${cluster}\0${node}`).digest();
  const groups = groupsOf(Uint8Array.of(...prefixBytes(cluster), ...digest.subarray(0, 10)));
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}

/** The length of the prefix, for the interface's own route. */
export const tunnelPrefixLength = 48;

/** True for an address inside any cluster's tunnel of this prefix. */
export function inTunnel(cluster: string, host: string): boolean {
  const groups = groupsOf(prefixBytes(cluster)).map((group) => group.replace(/^0{1,3}/, ''));
  return host.toLowerCase().startsWith(`${groups.join(':')}:`);
}

export function formatTunnelEndpoint({ key, outer }: TunnelEndpoint): string {
  const name = Buffer.from(key, 'base64').toString('base64url');
  return `${scheme}${name}@${outer === undefined ? '' : formatEndpoint(outer)}`;
}

/** Reads an endpoint; undefined for any other text. */
export function readTunnelEndpoint(text: string): TunnelEndpoint | undefined {
  if (!text.startsWith(scheme) || text.length > 200) return undefined;
  const [name = '', outer, ...rest] = text.slice(scheme.length).split('@');
  if (!keyForm.test(name) || outer === undefined || rest.length > 0) return undefined;
  const address = outer === '' ? undefined : readInternetEndpoint(outer);
  if (outer !== '' && address === undefined) return undefined;
  return { key: Buffer.from(name, 'base64url').toString('base64'), outer: address };
}
