/** election/highest-id: the greatest node id comes first. The machine is the family's (../index.ts). */
import { electionPlugin, type ElectionOrder } from '../index.ts';

export const highestIdOrder: ElectionOrder<null> = {
  read: () => null,
  own: () => null,
  compare: (a, b) => (a.node > b.node ? -1 : Number(a.node < b.node)),
};

export const electionHighestId = electionPlugin({
  name: 'election/highest-id',
  summary: 'The greatest node id publishes, and stays until it cannot.',
  entries: {},
  order: () => highestIdOrder,
});
export default electionHighestId;
