/**
 * From reports to candidates: opens each head's descriptor strictly before any introduction point is taken. Part of the
 * safety kernel, no plugin can go around it.
 */
import { messageOf } from '../errors.ts';
import { introPointId, openDescriptor, timePeriodAt, type Descriptor, type TimePeriod } from '../onion/index.ts';
import type { Candidate, Consensus, HeadReport, HeadView } from './model.ts';

export interface Rejected {
  readonly report: HeadReport;
  readonly error: Error;
}

export interface Verified {
  readonly heads: readonly HeadView[];
  readonly rejected: readonly Rejected[];
}

/** The periods whose descriptors may be in use somewhere now: the consensus' own and its neighbours. */
export function usablePeriods(consensus: Consensus): TimePeriod[] {
  const now = timePeriodAt(consensus.times, consensus.rules);
  return [now, { ...now, number: now.number - 1 }, { ...now, number: now.number + 1 }];
}

const maximumCached = 256;

/** Opens reports, remembering what it opened: an unchanged descriptor is not verified again. `now` in Unix seconds. */
export function createVerifier(): (reports: readonly HeadReport[], consensus: Consensus, now: number) => Verified {
  const opened = new Map<string, Descriptor>();

  const open = (report: HeadReport, consensus: Consensus, now: number): Descriptor => {
    const key = `${report.address}\n${report.descriptor}`;
    const periods = usablePeriods(consensus);
    const known = opened.get(key);
    if (
      known !== undefined &&
      known.signingKeyExpiresAt > now &&
      periods.some((p) => p.number === known.period.number && p.lengthMinutes === known.period.lengthMinutes)
    )
      return known;
    const descriptor = openDescriptor(report.descriptor, { address: report.address, periods, now });
    opened.set(key, descriptor);
    for (const oldest of opened.keys()) {
      if (opened.size <= maximumCached) break;
      opened.delete(oldest);
    }
    return descriptor;
  };

  return (reports, consensus, now) => {
    const heads = new Map<string, { node: string; candidates: Map<string, Candidate> }>();
    const rejected: Rejected[] = [];
    const taken = new Set<string>();
    for (const report of reports) {
      try {
        const descriptor = open(report, consensus, now);
        const head = heads.get(report.head) ?? { node: report.node, candidates: new Map<string, Candidate>() };
        heads.set(report.head, head);
        for (const introPoint of descriptor.introPoints) {
          const id = introPointId(introPoint);
          // One introduction point counts once, whoever reports it.
          if (taken.has(id)) continue;
          taken.add(id);
          const { node, provenance } = report;
          head.candidates.set(id, {
            id,
            head: report.head,
            node,
            provenance,
            introPoint,
            features: descriptor.features,
          });
        }
      } catch (error) {
        rejected.push({ report, error: error instanceof Error ? error : new Error(messageOf(error)) });
      }
    }
    return {
      heads: [...heads]
        .map(([head, { node, candidates }]) => ({ head, node, candidates: [...candidates.values()], siege: 0 }))
        .sort((a, b) => (a.head < b.head ? -1 : 1)),
      rejected,
    };
  };
}
