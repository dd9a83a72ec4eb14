/** The short form of `npm run soak:cluster`: four nodes on machines of their own, over WireGuard with real tor, one fault of each kind. */
import { expect, test } from 'vitest';
import { systemRuntime } from '../../../core/runtime/index.ts';
import { describeReal } from '../require.ts';
import { runCampaign } from './campaign.ts';

const packages = ['tor', 'curl', 'iproute2', 'nftables', 'redis-server', 'wireguard-go', 'wireguard-tools'] as const;

describeReal('a cluster on machines of its own', packages, () => {
  test(
    'the service goes on through every fault, and no deposed publisher publishes',
    { timeout: 420_000 },
    async () => {
      const said: string[] = [];
      const report = await runCampaign(systemRuntime(), {
        nodes: 4,
        relays: 5,
        faults: ['kill', 'pause', 'one-way', 'partition', 'halves', 'tor', 'offline', 'redis'],
        restSeconds: 2,
        downloadSeconds: 8,
        progress: (text) => said.push(text),
      }).catch((error: unknown) => {
        throw new Error(said.join('\n'), { cause: error });
      });
      const { results } = report;
      expect(results.filter(({ takeoverMs }) => takeoverMs === undefined).map(({ fault }) => fault)).toEqual(['redis']);
      const returned = results.filter(({ stalePublishes }) => stalePublishes !== undefined);
      expect(returned.map(({ fault, stalePublishes }) => [fault, stalePublishes])).toEqual([
        ['pause', 0],
        ['one-way', 0],
        ['partition', 0],
        ['halves', 0],
      ]);
      // A client whose head died loses its streams, and waits until relays tell it; nobody else does.
      const spared = results.filter(
        ({ download: { head }, deadHeads }) => head !== undefined && !deadHeads.includes(head),
      );
      expect(spared.filter(({ download }) => !download.complete)).toEqual([]);
      const answered = report.visits - report.failedVisits;
      expect(answered / (report.visits - report.strandedVisits)).toBeGreaterThan(0.95);
    },
  );
});
