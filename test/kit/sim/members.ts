/** Members of a cluster for simulations: identities by name, one secret, and a roster in which the first has admitted all others. */
import {
  clusterSecretsContract,
  definePlugin,
  nodeIdentityContract,
  rosterContract,
  type AnyPlugin,
  type ClusterSecrets,
  type NodeIdentity,
} from '../../../core/engine/index.ts';
import { admitInto, foundRoster } from '../../../plugins/mesh/roster.ts';
import { testIdentity, testSecrets } from './identity.ts';
import type { SeededRandom } from './seeded-random.ts';

export interface TestMembers {
  readonly names: readonly string[];
  /** The identity of a name; the same one each time. */
  identity(name: string): NodeIdentity;
  /** The name of a node id, or the id itself if it is nobody's. */
  nameOf(node: string | undefined): string | undefined;
  /** The signed roster, as Roster.learn takes it. */
  readonly entries: Uint8Array;
  /** The cluster's secret, generation 1, in a holder of its own. */
  secrets(): ClusterSecrets;
  /** Plugins that make a node this member: its keys, the secret, and the roster. */
  plugins(name: string): AnyPlugin[];
}

export function testMembers(
  names: readonly string[],
  random: SeededRandom,
  endpoint: (name: string, node: string) => string = (name) => `memory:${name}`,
): TestMembers {
  const drawn = names.map((name) => testIdentity(random.fork(`identity ${name}`)));
  // Ids are in the order of the names, so that what goes by the id can be told by the name.
  const inOrder = drawn.sort((a, b) => (a.node < b.node ? -1 : 1));
  const identities = new Map([...names].sort().map((name, at) => [name, inOrder[at] as NodeIdentity]));
  const byNode = new Map([...identities].map(([name, { node }]) => [node, name]));
  const secret = random.fork('secret').bytes(32);
  const identity = (name: string): NodeIdentity => {
    const known = identities.get(name);
    if (known === undefined) throw new RangeError(`${name} is no member of this test`);
    return known;
  };
  const at = (name: string): string[] => [endpoint(name, identity(name).node)];
  const founder = identity(names[0] as string);
  const roster = foundRoster(founder, at(names[0] as string));
  for (const name of names.slice(1)) admitInto(roster, founder, identity(name).keys, at(name));
  const entries = roster.encode();
  const secrets = (): ClusterSecrets => testSecrets({ generation: 1, secret });
  return {
    names,
    identity,
    nameOf: (node) => (node === undefined ? undefined : (byNode.get(node) ?? node)),
    entries,
    secrets,
    plugins: (name) => [
      definePlugin({
        name: 'test-identity',
        summary: 'Keys from a seed.',
        gives: [nodeIdentityContract, clusterSecretsContract],
        apply(host) {
          host.give(nodeIdentityContract, identity(name));
          host.give(clusterSecretsContract, secrets());
        },
      }),
      definePlugin({
        name: 'test-roster',
        summary: 'A roster that was made beforehand.',
        needs: [rosterContract],
        apply: (host) => host.need(rosterContract).learn(entries),
      }),
    ],
  };
}
