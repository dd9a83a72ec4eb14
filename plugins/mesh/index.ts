/**
 * mesh: knows which nodes are there and what each says of itself, by beacons over whatever transport there is. It carries
 * the nodes' heads to the publisher: each head as its own signed descriptor, which the pipeline verifies, so that a member
 * cannot make up introduction points of another's head.
 *
 *   message.ts what goes over the wire · membership.ts who is there · pulls.ts records on their way · node.ts the protocol ·
 *   heads.ts the cluster's heads
 */
import * as v from 'valibot';
import { integer } from '../../core/config/schema.ts';
import { definePlugin, headRegistryContract, meshContract, transportContract } from '../../core/engine/index.ts';
import { createHeadSet } from '../heads/registry/index.ts';
import { followPeerHeads, headsKind, recordOf } from './heads.ts';
import { createMeshNode } from './node.ts';

const options = v.pipe(
  v.strictObject({
    /** How often each node says that it is there. */
    beacon_interval_ms: v.optional(integer(50, 60_000), 500),
    /** Silent for this long: suspect, still counted. */
    suspect_after_ms: v.optional(integer(100, 600_000), 2_000),
    /** Silent for this long: dead. */
    dead_after_ms: v.optional(integer(200, 600_000), 4_000),
    /** How long the heads of a dead node stay published, from its death on. */
    hold_ms: v.optional(integer(0, 3_600_000), 6_000),
  }),
  v.check(
    (value) => value.beacon_interval_ms < value.suspect_after_ms && value.suspect_after_ms < value.dead_after_ms,
    'beacon_interval_ms must be below suspect_after_ms, and that below dead_after_ms',
  ),
);

export const mesh = definePlugin<v.InferOutput<typeof options>>({
  name: 'mesh',
  summary: 'Knows which nodes are there, and carries their heads to the publisher.',
  needs: [transportContract],
  gives: [meshContract, headRegistryContract],
  section: 'mesh',
  options,
  apply(host, { beacon_interval_ms, suspect_after_ms, dead_after_ms, hold_ms }) {
    const { clock, random } = host.runtime;
    const carrier = host.need(transportContract);
    const scheme = carrier.endpoint.slice(0, carrier.endpoint.indexOf(':') + 1);
    const node = createMeshNode({
      transport: {
        self: host.node,
        maximumBytes: carrier.maximumBytes,
        send: (to, bytes) => carrier.send(`${scheme}${to}`, bytes),
        onMessage: (listener) => carrier.onMessage((from, bytes) => listener(from.slice(scheme.length), bytes)),
      },
      clock,
      random,
      log: host.log,
      settings: { beaconIntervalMs: beacon_interval_ms, suspectMs: suspect_after_ms, deadMs: dead_after_ms },
    });
    host.give(meshContract, node);

    const own = createHeadSet((head, why) => host.signal('introPointsChanged', { head, why }));
    host.give(headRegistryContract, {
      set: (reports, source) => {
        own.set(reports, source);
        const { value, left } = recordOf(own.all());
        if (left > 0) host.log.error('the peers do not hear of all heads: the record would be too large', { left });
        node.publish(headsKind, value);
      },
    });
    const peers = followPeerHeads({
      mesh: node,
      self: host.node,
      clock,
      log: host.log,
      holdMs: hold_ms,
      changed: (member, why) => host.signal('peerChanged', { node: member, why: `${member}: ${why}` }),
    });
    host.hooks.gather.tap('mesh', ({ add }) => {
      for (const report of [...own.all(), ...peers.all()]) add(report);
    });

    node.onChange((change) => {
      if (change.node === host.node) return;
      if (change.what === 'state') {
        host.log.info('a member changed', { member: change.node, state: change.state, why: change.why });
        // Suspicion alone changes nothing.
        if (change.state !== 'suspect') host.signal('peerChanged', { node: change.node, why: change.why });
      } else if (change.kind !== headsKind) {
        host.signal('peerChanged', { node: change.node, why: `${change.node} has another record ${change.kind}` });
      }
    });
    host.hooks.start.tap('mesh', () => {
      node.start();
      host.defer(() => {
        node.leave();
        peers.close();
      });
    });
  },
});
export default mesh;
