/**
 * election/time-hash: another node publishes each time slot. The slot's number is the epoch, which all nodes agree on anyway,
 * so no clock has to be right: the publisher measures its slot on its own monotonic clock and hands over when it is over, and
 * the hash of (epoch, node id) says who comes first in the next. The machine is the family's (../index.ts).
 */
import { createHash } from 'node:crypto';
import * as v from 'valibot';
import { integer } from '../../../core/config/schema.ts';
import { electionPlugin, type ElectionOrder } from '../index.ts';

/** 48 bits are enough to order nodes; two that are equal are ordered by id. */
function drawn(epoch: number, node: string): number {
  return createHash('sha256').update(`chimera-time-hash\0${epoch}\0${node}`).digest().readUIntBE(0, 6);
}

export const timeHashOrder: ElectionOrder<null> = {
  read: () => null,
  own: () => null,
  compare: (a, b, epoch) => drawn(epoch, a.node) - drawn(epoch, b.node),
};

export const electionTimeHash = electionPlugin({
  name: 'election/time-hash',
  summary: 'Another node publishes each time slot, drawn by a hash; each hands over to the next.',
  entries: {
    /** How long a publisher stays. */
    slot_secs: v.optional(integer(10, 86_400), 600),
    /** `always`, or only while panic mode is on. */
    rotate: v.optional(v.picklist(['always', 'panic'], 'must be "always" or "panic"'), 'always'),
  },
  order: () => timeHashOrder,
  term: ({ slot_secs, rotate }, host) => {
    let panic = false;
    host.hooks.signals.for('panic').tap('election/time-hash', (payload) => {
      panic = (payload as { readonly on: boolean }).on;
    });
    return () => (rotate === 'always' || panic ? slot_secs * 1_000 : undefined);
  },
});
export default electionTimeHash;
