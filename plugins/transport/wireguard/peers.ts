/**
 * Who may be a peer of the interface. Pure. Only an admitted node, with the address that derives from its id; a key or an
 * address that another has is refused, because `wg` would take it from its holder without a word.
 */
import type { AdmittedNode } from '../../../core/engine/index.ts';
import { formatEndpoint } from '../../../core/runtime/index.ts';
import { inTunnel, readTunnelEndpoint, tunnelAddress, type TunnelEndpoint } from './address.ts';

export interface TunnelPeer extends TunnelEndpoint {
  readonly node: string;
  /** Its only allowed IP. */
  readonly address: string;
  /** As the node announced it. */
  readonly endpoint: string;
}

export interface PeerPlan {
  readonly peers: ReadonlyMap<string, TunnelPeer>;
  readonly refused: readonly { readonly node: string; readonly why: string }[];
  /** Members that have told no WireGuard key: through the tunnel nobody reaches them. */
  readonly keyless: readonly string[];
}

/** More peers than this an interface does not get. */
const maximumPeers = 256;

/**
 * The peers by node. Of two nodes with one key, the one that had it in `current` keeps it; if neither had, neither gets it,
 * since nothing tells whose it is.
 */
export function planPeers(
  admitted: readonly AdmittedNode[],
  own: { readonly node: string; readonly key: string; readonly cluster: string },
  current: ReadonlyMap<string, TunnelPeer>,
): PeerPlan {
  const ownAddress = tunnelAddress(own.cluster, own.node);
  const claims = new Map<string, TunnelPeer>();
  const refused: { node: string; why: string }[] = [];
  const keyless: string[] = [];
  for (const { node, endpoints } of admitted) {
    const endpoint = endpoints.find((text) => readTunnelEndpoint(text) !== undefined);
    if (node === own.node || claims.has(node)) continue;
    if (endpoint === undefined) {
      keyless.push(node);
      continue;
    }
    const { key, outer } = readTunnelEndpoint(endpoint) as TunnelEndpoint;
    const address = tunnelAddress(own.cluster, node);
    if (key === own.key) refused.push({ node, why: 'it has the WireGuard key of this node' });
    else if (address === ownAddress) refused.push({ node, why: 'it has the tunnel address of this node' });
    else if (claims.size >= maximumPeers && !current.has(node)) refused.push({ node, why: 'there are too many peers' });
    else {
      // Packets for the tunnel must not go into the tunnel.
      const usable = outer !== undefined && inTunnel(own.cluster, outer.host) ? undefined : outer;
      claims.set(node, { node, key, outer: usable, address, endpoint });
    }
  }
  for (const what of ['key', 'address'] as const) {
    for (const rivals of groupsOf([...claims.values()], what)) {
      const holder = rivals.find(({ node, [what]: value }) => current.get(node)?.[what] === value);
      const others = rivals.map(({ node }) => node).join(', ');
      for (const { node } of rivals) {
        if (node === holder?.node) continue;
        claims.delete(node);
        refused.push({ node, why: `the same ${what} is claimed by ${others}` });
      }
    }
  }
  return { peers: claims, refused, keyless };
}

/** Those that share a key or an address with another. */
function groupsOf(peers: readonly TunnelPeer[], what: 'key' | 'address'): TunnelPeer[][] {
  const groups = new Map<string, TunnelPeer[]>();
  for (const peer of peers) groups.set(peer[what], [...(groups.get(peer[what]) ?? []), peer]);
  return [...groups.values()].filter((group) => group.length > 1);
}

/** What `wg set INTERFACE` is told to come from one set of peers to another: removals first, then who is new or has changed. */
export function peerCommands(
  from: ReadonlyMap<string, TunnelPeer>,
  to: ReadonlyMap<string, TunnelPeer>,
  keepaliveSeconds: number,
): string[][] {
  const kept = new Set([...to.values()].map(({ key }) => key));
  const gone = [...from.values()].filter(({ key }) => !kept.has(key));
  const added = [...to.values()].filter((peer) => {
    const before = from.get(peer.node);
    return before?.key !== peer.key || before.endpoint !== peer.endpoint;
  });
  return [
    ...gone.map(({ key }) => ['peer', key, 'remove']),
    ...added.map(({ key, address, outer }) => [
      'peer',
      key,
      // Where the peer roams to is WireGuard's own knowledge; it is told only what the node announces anew.
      ...(outer === undefined ? [] : ['endpoint', formatEndpoint(outer)]),
      'persistent-keepalive',
      keepaliveSeconds === 0 ? 'off' : String(keepaliveSeconds),
      'allowed-ips',
      `${address}/128`,
    ]),
  ];
}
