/**
 * heads/registry: keeps what this node's plugins know of heads and tells it to the cycle. For nodes without a mesh; with
 * one, the mesh plugin gives the same contract and tells peers too.
 */
import { definePlugin, headRegistryContract } from '../../../core/engine/index.ts';
import type { HeadReport } from '../../../core/pipeline/index.ts';

export const headsRegistry = definePlugin({
  name: 'heads/registry',
  summary: 'Keeps what this node knows of its heads, for nodes without a mesh.',
  gives: [headRegistryContract],
  apply(host) {
    const bySource = new Map<string, readonly HeadReport[]>();
    host.give(headRegistryContract, {
      set: (reports, source = '') => {
        const before = new Map((bySource.get(source) ?? []).map((report) => [report.head, report.descriptor]));
        bySource.set(source, [...reports]);
        for (const { head, descriptor } of reports) {
          const known = before.get(head);
          before.delete(head);
          if (known === undefined) host.signal('introPointsChanged', { head, why: `${head} is there` });
          else if (known !== descriptor) host.signal('introPointsChanged', { head, why: `${head} has others` });
        }
        for (const head of before.keys()) host.signal('introPointsChanged', { head, why: `${head} is gone` });
      },
    });
    host.hooks.gather.tap('heads/registry', ({ add }) => {
      for (const reports of bySource.values()) for (const report of reports) add(report);
    });
  },
});
export default headsRegistry;
