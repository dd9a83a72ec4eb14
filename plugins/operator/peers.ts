/** The commands on the cluster's members: `peer-list` and `peer-remove`. */
import {
  meshContract,
  secretRotationContract,
  type Admin,
  type AdmittedNode,
  type Host,
  type Json,
  type Roster,
} from '../../core/engine/index.ts';
import { ChimeraError } from '../../core/errors.ts';

/** Fewer characters of an id name nobody. */
const shortestPrefix = 4;

/** The one admitted node whose id begins with `text`. Throws PEER_UNKNOWN. */
function findPeer(roster: Roster, text: unknown): AdmittedNode {
  const wanted = typeof text === 'string' ? text.toLowerCase() : '';
  const unknown = (what: string): ChimeraError =>
    new ChimeraError('PEER_UNKNOWN', what, { remedy: 'take the id from "chimera peer list"; its first characters do' });
  if (!/^[a-z0-9._-]{1,64}$/.test(wanted)) throw unknown('a node is named by its id');
  if (wanted.length < shortestPrefix) throw unknown(`"${wanted}" is too short to name a node`);
  const found = roster.admitted().filter(({ node }) => node === wanted || node.startsWith(wanted));
  const [one] = found;
  if (one === undefined) throw unknown(`no member’s id begins with "${wanted}"`);
  if (found.length > 1) throw unknown(`${found.length} members’ ids begin with "${wanted}"`);
  return one;
}

export function offerPeerCommands(host: Host, admin: Admin, roster: Roster): void {
  const { clock } = host.runtime;

  admin.command({
    name: 'peer-list',
    summary: 'The members of the cluster.',
    run: async (): Promise<Json> => {
      const states = new Map(
        host
          .want(meshContract)
          ?.members()
          .map((member) => [member.node, member]),
      );
      return {
        cluster: roster.founder ?? null,
        members: roster.admitted().map(({ node, endpoints, admittedBy }) => {
          const member = states.get(node);
          return {
            node,
            self: node === host.node,
            state: node === host.node ? 'alive' : (member?.state ?? null),
            silentMs: member === undefined ? null : Math.round(clock.monotonic() - member.heardAtMs),
            endpoints,
            admittedBy,
          };
        }),
      };
    },
  });

  admin.command({
    name: 'peer-remove',
    summary: 'Removes a member for good.',
    run: async ({ node, why }, say): Promise<Json> => {
      const peer = findPeer(roster, node);
      if (peer.node === host.node) {
        throw new ChimeraError('PEER_UNKNOWN', `${peer.node} is this node itself`, {
          remedy: 'remove it from another member, or just stop it',
        });
      }
      roster.remove(peer.node, typeof why === 'string' && why !== '' ? why.slice(0, 200) : 'removed by the operator');
      say(`${peer.node} is removed; the others hear of it now`);
      const rotation = host.want(secretRotationContract);
      if (rotation === undefined) return { removed: peer.node };
      say('the cluster’s secret is replaced');
      const { generation, confirmed, waiting } = await rotation.rotate(`${peer.node} was removed`);
      return { removed: peer.node, generation, confirmed, waiting };
    },
  });
}
