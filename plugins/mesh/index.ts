/**
 * mesh: knows which nodes are there and what each says of itself, over whatever transport there is: nodes that were admitted by a
 * member's signature, in sessions that are encrypted and replay-proof, by records that their owners have signed. It carries the
 * nodes' heads to the publisher: each head as its own signed descriptor, which the pipeline verifies, so that a member
 * cannot make up introduction points of another's head.
 *
 *   session/ datagrams and keys · message.ts what members say · record.ts what they sign · roster.ts who is admitted ·
 *   members.ts and prober.ts who is there · exchange.ts how it spreads · node.ts all of it together · heads.ts the cluster's heads
 */
import * as v from 'valibot';
import { integer } from '../../core/config/schema.ts';
import {
  adminContract,
  clusterSecretsContract,
  definePlugin,
  headRegistryContract,
  meshContract,
  nodeIdentityContract,
  peerChannelContract,
  rosterContract,
  transportContract,
} from '../../core/engine/index.ts';
import { createHeadSet } from '../heads/registry/index.ts';
import { joinTransports } from '../transport/several.ts';
import { followPeerHeads, headsKind, recordOf } from './heads.ts';
import type { MeshNode } from './model.ts';
import { createMeshNode } from './node.ts';
import { readRoster, rosterKeeper } from './roster-file.ts';
import { warnOfRemoval } from './roster.ts';
import { createMeshService } from './service.ts';
import { statusOf } from './status.ts';

export { endpointsIn, keepRoster } from './roster-file.ts';

const options = v.strictObject({
  /** How often a leader says that it is there. */
  beacon_interval_ms: v.optional(integer(50, 60_000), 500),
  /** How often each node asks one of its neighbours, in a cluster of ten or more. */
  probe_interval_ms: v.optional(integer(100, 60_000), 1_300),
  /** How long a probe, with all its ways, may take. */
  probe_timeout_ms: v.optional(integer(100, 60_000), 1_000),
  /** How long a suspicion stands before the suspect is dead. */
  suspicion_ms: v.optional(integer(100, 600_000), 2_000),
  /** How long the heads of a dead node stay published, from its death on. */
  hold_ms: v.optional(integer(0, 3_600_000), 6_000),
});

export const mesh = definePlugin<v.InferOutput<typeof options>>({
  name: 'mesh',
  summary: 'Knows which nodes are there, and carries their heads to the publisher.',
  needs: [transportContract, nodeIdentityContract, clusterSecretsContract],
  wants: [adminContract],
  gives: [meshContract, headRegistryContract, rosterContract, peerChannelContract],
  section: 'mesh',
  options,
  apply(host, { beacon_interval_ms, probe_interval_ms, probe_timeout_ms, suspicion_ms, hold_ms }) {
    const { clock, random, store } = host.runtime;
    const { log, stateDirectory } = host;
    const identity = host.need(nodeIdentityContract);
    const secrets = host.need(clusterSecretsContract);
    const transport = joinTransports(host.all(transportContract));
    const service = createMeshService({ identity, transport });
    const keeper = rosterKeeper({ store, stateDirectory, clock, log });
    let node: MeshNode | undefined;
    host.give(meshContract, service.mesh);
    host.give(rosterContract, service.roster);
    host.give(peerChannelContract, service.channel);

    const own = createHeadSet((head, why) => host.signal('introPointsChanged', { head, why }));
    host.give(headRegistryContract, {
      set: (reports, source) => {
        own.set(reports, source);
        const { value, left } = recordOf(own.all());
        if (left > 0) log.error('the peers do not hear of all heads: the record would be too large', { left });
        service.mesh.publish(headsKind, value);
      },
    });
    const peers = followPeerHeads({
      mesh: service.mesh,
      self: identity.node,
      clock,
      log,
      holdMs: hold_ms,
      changed: (member, why) => host.signal('peerChanged', { node: member, why: `${member}: ${why}` }),
    });
    host.hooks.gather.tap('mesh', ({ add }) => {
      for (const report of [...own.all(), ...peers.all()]) add(report);
    });

    service.mesh.onChange((change) => {
      if (change.node === identity.node) return;
      if (change.what === 'state') {
        log.info('a member changed', { member: change.node, state: change.state, why: change.why });
        // Suspicion alone changes nothing.
        if (change.state !== 'suspect') host.signal('peerChanged', { node: change.node, why: change.why });
      } else if (change.kind !== headsKind) {
        host.signal('peerChanged', { node: change.node, why: `${change.node} has another record ${change.kind}` });
      }
    });
    // It would publish its own heads alone, over what the cluster has.
    host.hooks.admit.tap('mesh', () => {
      const by = service.removedBy();
      return by === undefined
        ? undefined
        : { outcome: 'refused', why: `this node was removed from the cluster by ${by}` };
    });
    host.want(adminContract)?.status('mesh', () => statusOf(service, node));

    host.hooks.start.tapPromise('mesh', async () => {
      const kept = stateDirectory === undefined ? undefined : await readRoster(store, stateDirectory);
      const roster = service.settle(kept);
      const removal = roster.removal(identity.node);
      if (removal !== undefined) warnOfRemoval(log, removal);
      const others = (): void => {
        transport.admit?.(service.roster.admitted().filter(({ node: name }) => name !== identity.node));
      };
      node = createMeshNode({
        transport,
        identity,
        secrets,
        roster,
        clock,
        random,
        log,
        settings: {
          beaconIntervalMs: beacon_interval_ms,
          probeIntervalMs: probe_interval_ms,
          probeTimeoutMs: probe_timeout_ms,
          suspicionMs: suspicion_ms,
        },
        onRoster: () => {
          keeper.changed(roster);
          others();
          service.rosterChanged();
        },
      });
      service.run(node);
      keeper.changed(roster);
      others();
      node.start();
      const started = node;
      host.defer(async () => {
        started.leave();
        peers.close();
        await keeper.done();
      });
    });
  },
});
export default mesh;
