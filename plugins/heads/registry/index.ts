/**
 * heads/registry: keeps what this node's plugins know of heads and tells it to the cycle. For nodes without a mesh; with
 * one, the mesh plugin gives the same contract and tells peers too.
 */
import { definePlugin, headRegistryContract, type HeadRegistry } from '../../../core/engine/index.ts';
import type { HeadReport } from '../../../core/pipeline/index.ts';

export interface HeadSet extends HeadRegistry {
  /** What all sources said last. */
  all(): readonly HeadReport[];
}

/** The heads of one node, by source. `changed` is called for each head that came, went or has another descriptor. */
export function createHeadSet(changed: (head: string, why: string) => void): HeadSet {
  const bySource = new Map<string, readonly HeadReport[]>();
  return {
    all: () => [...bySource.values()].flat(),
    set: (reports, source = '') => {
      const before = new Map((bySource.get(source) ?? []).map((report) => [report.head, report.descriptor]));
      bySource.set(source, [...reports]);
      for (const { head, descriptor } of reports) {
        const known = before.get(head);
        before.delete(head);
        if (known === undefined) changed(head, `${head} is there`);
        else if (known !== descriptor) changed(head, `${head} has others`);
      }
      for (const head of before.keys()) changed(head, `${head} is gone`);
    },
  };
}

export const headsRegistry = definePlugin({
  name: 'heads/registry',
  summary: 'Keeps what this node knows of its heads, for nodes without a mesh.',
  gives: [headRegistryContract],
  apply(host) {
    const heads = createHeadSet((head, why) => host.signal('introPointsChanged', { head, why }));
    host.give(headRegistryContract, heads);
    host.hooks.gather.tap('heads/registry', ({ add }) => {
      for (const report of heads.all()) add(report);
    });
  },
});
export default headsRegistry;
