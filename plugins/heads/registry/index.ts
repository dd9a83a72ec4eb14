/**
 * heads/registry: keeps what this node's plugins know of heads and tells it to the cycle. For nodes without a mesh; with
 * one, the mesh plugin gives the same contract and tells peers too.
 */
import { definePlugin, headRegistryContract } from '../../../core/engine/index.ts';
import type { HeadReport } from '../../../core/pipeline/index.ts';

/** True when both lists say the same of the same heads, in any order. */
export function sameReports(a: readonly HeadReport[], b: readonly HeadReport[]): boolean {
  const text = (reports: readonly HeadReport[]): string =>
    reports
      .map(({ head, descriptor }) => `${head}\n${descriptor}`)
      .sort()
      .join('\n');
  return a.length === b.length && text(a) === text(b);
}

export const headsRegistry = definePlugin({
  name: 'heads/registry',
  summary: 'Keeps what this node knows of its heads, for nodes without a mesh.',
  gives: [headRegistryContract],
  apply(host) {
    const bySource = new Map<string, readonly HeadReport[]>();
    host.give(headRegistryContract, {
      set: (source, reports, why) => {
        if (sameReports(bySource.get(source) ?? [], reports)) return;
        bySource.set(source, reports);
        host.signal('introPointsChanged', { head: source, why });
      },
    });
    host.hooks.gather.tap('heads/registry', ({ add }) => {
      for (const reports of bySource.values()) for (const report of reports) add(report);
    });
  },
});
export default headsRegistry;
