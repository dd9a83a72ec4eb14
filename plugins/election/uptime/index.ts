/**
 * election/uptime: who is up longest comes first. Uptimes are not measured but counted: a node that starts takes the number
 * after the greatest that it hears of, so that all nodes see the same order whatever their clocks say. The machine is the
 * family's (../index.ts).
 */
import * as v from 'valibot';
import { integer } from '../../../core/config/schema.ts';
import { electionPlugin, type ElectionOrder } from '../index.ts';

/** A member that claims to be the last of so many makes those after it equal, and no more. */
const largest = 1_000_000_000;
const arrival = integer(1, largest);

export const uptimeOrder: ElectionOrder<number> = {
  read: (value) => (v.is(arrival, value) ? value : undefined),
  own: (others, kept) => kept ?? Math.min(largest, 1 + Math.max(0, ...others.map(({ merit }) => merit))),
  compare: (a, b) => a.merit - b.merit,
};

export const electionUptime = electionPlugin({
  name: 'election/uptime',
  summary: 'The node that is up longest publishes, and stays until it cannot.',
  entries: {},
  order: () => uptimeOrder,
});
export default electionUptime;
