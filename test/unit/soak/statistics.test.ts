import { describe, expect, it } from 'vitest';
import type { Request } from '../../real/soak/curl.ts';
import type { SoakReport } from '../../real/soak/soak.ts';
import { summarize } from '../../real/soak/statistics.ts';
import { table } from '../../real/soak/table.ts';

const good = (at: number, head: string, seconds = 0.5): Request => ({ at, seconds, head });
const bad = (at: number, seconds = 10): Request => ({ at, seconds, head: undefined });

describe('summarize', () => {
  it('counts failures and shares, a head that served nothing included', () => {
    const summary = summarize([good(0, 'a'), good(1, 'a', 2), bad(2), good(3, 'b'), good(4, 'a')], ['a', 'b', 'c']);
    expect(summary).toMatchObject({ requests: 5, failed: 1, failedPercent: 20, medianSeconds: 0.5, worstSeconds: 2 });
    expect(summary.sharesPercent).toEqual({ a: 75, b: 25, c: 0 });
  });

  it('measures an outage from its first failure to the next request that succeeds, in order of their start', () => {
    expect(summarize([good(9, 'a'), bad(3), bad(2), good(1, 'a')], []).longestOutageSeconds).toBe(7);
  });

  it('lets an outage at the end last until the last request was given up', () => {
    expect(summarize([good(0, 'a'), bad(1), bad(2)], []).longestOutageSeconds).toBe(11);
  });

  it('takes no request at all', () => {
    expect(summarize([], ['a'])).toMatchObject({ requests: 0, failedPercent: 0, longestOutageSeconds: 0 });
  });
});

describe('table', () => {
  it('has one column a publisher, with what was not measured left open', () => {
    const summary = summarize([good(0, 'a'), bad(1)], ['a']);
    const report: SoakReport = {
      minutes: 1,
      hsdirs: 20,
      machine: { busyPercent: 50, relaysPercent: 20, otherTorsPercent: 10 },
      publishers: [
        {
          name: 'one',
          reachableSeconds: 4.25,
          visits: summary,
          isolated: summary,
          fresh: summary,
          introPoints: { a: 3, unknown: 0 },
          removal: { head: 'a', firstSeconds: undefined, allSeconds: undefined },
          visitsAfterKill: summary,
          uploads: 16,
          cpuSeconds: undefined,
          cpuMillisecondsPerUpload: undefined,
          residentMegabytes: 41.4,
          requests: { visits: [], isolated: [], fresh: [] },
        },
      ],
    };
    const text = table(report);
    expect(text).toMatch(/^first reachable +4\.3 s$/m);
    expect(text).toMatch(/^visits, one a second +1 of 2 failed \(50\.00 %\)$/m);
    expect(text).toMatch(/^introduction points of heads +3, 0$/m);
    expect(text).toMatch(/^killed head out, first HSDir +not seen$/m);
    expect(text).toMatch(/^publisher, CPU +–$/m);
    expect(text).toMatch(/machine 50 % busy/);
  });
});
