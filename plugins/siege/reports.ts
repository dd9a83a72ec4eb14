/**
 * What nodes tell each other of sieges: the record `siege` of the mesh, which only its owner changes. A node speaks for its own
 * heads alone, in bounded figures, and changes its mind about a head not faster than `dwellMs`: whoever lies, lies about
 * itself, slowly. What a report may lead to is bounded again by the publisher (plugins/hydra).
 */
import * as v from 'valibot';
import type { ClusterRecord, Json } from '../../core/engine/index.ts';
import { highestLevel } from './detector.ts';

export const siegeKind = 'siege';

export interface SiegeReport {
  readonly head: string;
  readonly level: number;
  readonly why: string;
}

const report = v.strictObject({
  head: v.pipe(v.string(), v.maxLength(128)),
  level: v.pipe(v.number(), v.minValue(0), v.maxValue(highestLevel)),
  why: v.pipe(v.string(), v.maxLength(200)),
});
const list = v.pipe(v.array(v.unknown()), v.maxLength(64));

export function encodeReports(reports: readonly SiegeReport[]): Json {
  return reports
    .slice(0, 64)
    .map(({ head, level, why }) => ({ head, level: Number(level.toFixed(1)), why: why.slice(0, 200) }));
}

/** The reports of a record that have the right form and are about its owner's heads. */
export function reportsOf({ node, value }: Pick<ClusterRecord, 'node' | 'value'>): SiegeReport[] {
  const items = v.safeParse(list, value);
  if (!items.success) return [];
  return items.output.flatMap((item) => {
    const one = v.safeParse(report, item);
    return one.success && one.output.head.startsWith(`${node}/`) && one.output.level > 0 ? [one.output] : [];
  });
}

interface Believed {
  readonly level: number;
  readonly why: string;
  readonly changedAtMs: number;
}

/** What is believed of the peers' reports: each head's siege begins and ends at most once in `dwellMs`. */
export function createBeliefs(dwellMs: number): {
  take(node: string, reports: readonly SiegeReport[], nowMs: number): void;
  forget(node: string): void;
  level(head: string): number;
  all(): readonly SiegeReport[];
  /** When something that was held back may be believed; undefined when nothing was. */
  readonly dueAtMs: number | undefined;
} {
  const believed = new Map<string, Believed>();
  let dueAtMs: number | undefined;
  const owned = (node: string): string[] => [...believed.keys()].filter((head) => head.startsWith(`${node}/`));
  return {
    take: (node, reports, nowMs) => {
      const said = new Map(reports.map((one) => [one.head, one]));
      dueAtMs = undefined;
      for (const head of new Set([...owned(node), ...said.keys()])) {
        const { level = 0, why = '' } = said.get(head) ?? {};
        const known = believed.get(head);
        const flips = (known?.level ?? 0) > 0 !== level > 0;
        if (known !== undefined && flips && nowMs - known.changedAtMs < dwellMs) {
          dueAtMs = Math.min(dueAtMs ?? Infinity, known.changedAtMs + dwellMs);
          continue;
        }
        believed.set(head, { level, why, changedAtMs: flips || known === undefined ? nowMs : known.changedAtMs });
      }
      const heads = owned(node);
      // Names of heads cost their owner its older ones.
      for (const head of heads.slice(0, Math.max(0, heads.length - 64))) believed.delete(head);
    },
    forget: (node) => {
      for (const head of owned(node)) believed.delete(head);
    },
    level: (head) => believed.get(head)?.level ?? 0,
    all: () => [...believed].flatMap(([head, { level, why }]) => (level > 0 ? [{ head, level, why }] : [])),
    get dueAtMs() {
      return dueAtMs;
    },
  };
}
