/** election/priority: the lowest `priority` number comes first. The machine is the family's (../index.ts). */
import * as v from 'valibot';
import { integer } from '../../../core/config/schema.ts';
import { electionPlugin, type ElectionOrder } from '../index.ts';

const largest = 1_000_000;
const priority = integer(0, largest);
/** As the schema has it; of every other node at each look. */
const isPriority = (value: unknown): value is number =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) <= largest;

/** `own`: this node's number; lower comes first. */
export const priorityOrder = (own: number): ElectionOrder<number> => ({
  read: (value) => (isPriority(value) ? value : undefined),
  own: () => own,
  compare: (a, b) => a.merit - b.merit,
});

export const electionPriority = electionPlugin({
  name: 'election/priority',
  summary: 'The lowest priority number publishes, and stays until it cannot.',
  entries: { priority: v.optional(priority, 100) },
  order: (options) => priorityOrder(options.priority),
});
export default electionPriority;
