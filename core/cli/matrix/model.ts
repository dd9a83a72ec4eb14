/** The rotation matrix as figures: for each head and hour how much of it the head is live, and what a day of it costs. */
import { exposureOf, pointsShown, shortestTurnoverMs, type Exposure, type Projection } from '../../pipeline/index.ts';

export type MatrixBy = 'head' | 'point';

export interface MatrixRow {
  /** A head's, or that of one of its points. */
  readonly name: string;
  /** Share of each hour in which it, or some point of it, is live, 0 to 1. */
  readonly hours: readonly number[];
  /** Share of the whole time. */
  readonly coverage: number;
  /** Points of it that are ever live. */
  readonly points: number;
}

export interface Matrix {
  readonly strategy: string;
  /** What the figures leave out. */
  readonly note?: string;
  readonly by: MatrixBy;
  readonly heads: number;
  readonly fromMs: number;
  readonly hours: number;
  readonly pointsPerHead: number;
  readonly rows: readonly MatrixRow[];
  /** Per hour: how many rows are live at some time of it. */
  readonly live: readonly number[];
  /** Per hour: changes of the descriptor. */
  readonly changes: readonly number[];
  /** Least and most introduction points that are live at once. */
  readonly points: readonly [least: number, most: number];
  /** Distinct introduction points that are ever live. */
  readonly shown: number;
  readonly exposure: Exposure;
  /** The shortest time in which all points of a descriptor have left; undefined when that never happens. */
  readonly turnoverMs: number | undefined;
}

const hourMs = 3_600_000;

export function matrixOf(strategy: string, projection: Projection, by: MatrixBy = 'head', note?: string): Matrix {
  const { view, fromMs, untilMs, steps } = projection;
  const hours = Math.round((untilMs - fromMs) / hourMs);
  const rowOf = new Map(
    view.heads.flatMap(({ head, candidates }) => candidates.map(({ id }) => [id, by === 'head' ? head : id])),
  );
  const shown = pointsShown(projection);
  const liveMs = new Map([...rowOf.values()].map((name) => [name, Array.from({ length: hours }, () => 0)]));
  const changes = Array.from({ length: hours }, () => 0);
  for (const [index, { atMs, live }] of steps.entries()) {
    if (index > 0) changes[Math.floor((atMs - fromMs) / hourMs)]! += 1;
    const endMs = steps[index + 1]?.atMs ?? untilMs;
    for (const name of new Set(live.map((id) => rowOf.get(id) ?? ''))) {
      const own = liveMs.get(name) ?? [];
      for (let hour = Math.floor((atMs - fromMs) / hourMs); hour < hours; hour++) {
        const from = Math.max(atMs, fromMs + hour * hourMs);
        const until = Math.min(endMs, fromMs + (hour + 1) * hourMs);
        if (until <= from) break;
        own[hour] = (own[hour] ?? 0) + until - from;
      }
    }
  }
  const rows = [...liveMs].map(([name, own]) => ({
    name,
    hours: own.map((ms) => ms / hourMs),
    coverage: own.reduce((sum, ms) => sum + ms, 0) / (hours * hourMs),
    points: [...shown].filter((id) => rowOf.get(id) === name).length,
  }));
  const counts = steps.map(({ live }) => live.length);
  return {
    strategy,
    ...(note === undefined ? {} : { note }),
    by,
    heads: view.heads.length,
    fromMs,
    hours,
    pointsPerHead: view.heads[0]?.candidates.length ?? 0,
    rows,
    live: Array.from({ length: hours }, (_none, hour) => rows.filter((row) => (row.hours[hour] ?? 0) > 0).length),
    changes,
    points: [Math.min(...counts), Math.max(...counts)],
    shown: shown.size,
    exposure: exposureOf(shown.size, hours),
    turnoverMs: shortestTurnoverMs(projection),
  };
}

/** `100 %` only for all, `0 %` only for none. */
export function percentOf(share: number): string {
  if (share <= 0) return '0 %';
  return share >= 1 ? '100 %' : `${Math.min(99, Math.max(1, Math.round(100 * share)))} %`;
}

/** Clients need some 15 minutes to follow (plugins/exposure). */
const late = (turnoverMs: number): string =>
  turnoverMs < 900_000 ? `; heads must serve for ${Math.ceil(15 - turnoverMs / 60_000)} min more` : '';

/** What the figures below the matrix say, name and value. */
export function summaryOf(matrix: Matrix): readonly (readonly [name: string, value: string])[] {
  const { rows, points, shown, exposure, turnoverMs, changes, hours, note } = matrix;
  const served = rows.filter(({ coverage }) => coverage > 0).length;
  const total = changes.reduce((sum, count) => sum + count, 0);
  return [
    ...(note === undefined ? [] : [['note', note] as const]),
    [`${matrix.by}s with a turn`, `${served} of ${rows.length}`],
    ['live at once', points[0] === points[1] ? `${points[0]} points` : `${points[0]} to ${points[1]} points`],
    ['changes', `${total} in ${hours} h`],
    ['points shown', String(shown)],
    ['exposure', `${percentOf(exposure.chance)}: ${exposure.text}`],
    [
      'turnover',
      turnoverMs === undefined
        ? 'never: some point of each descriptor stays'
        : `all points of a descriptor have left after ${Math.round(turnoverMs / 60_000)} min at the least${late(turnoverMs)}`,
    ],
  ];
}
