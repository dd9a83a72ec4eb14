/**
 * What a strategy will do: asks it over a span of time as a healthy cluster would, without a Tor. Pure, and quick enough for a
 * check at the start: a day of turns every ten minutes is some 150 decisions. Enter at `project`.
 */
import type { Random } from '../runtime/index.ts';
import type { Candidate, HeadView, View } from './model.ts';
import type { RotationStrategy } from './strategy.ts';

export interface ModelCluster {
  readonly heads: number;
  readonly pointsPerHead: number;
  readonly maximumIntroPoints?: number;
  readonly nowMs: number;
  readonly seed: string;
}

/** A calm cluster with heads `head-01` … that nobody runs: ids are names, keys are empty. */
export function modelView(cluster: ModelCluster, live: readonly string[] = []): View {
  const { heads, pointsPerHead, maximumIntroPoints = 20, nowMs, seed } = cluster;
  const nothing = new Uint8Array(32);
  const width = String(heads).length;
  return {
    nowMs,
    seed,
    live,
    epoch: 0,
    maximumIntroPoints,
    heads: Array.from({ length: heads }, (_none, index): HeadView => {
      const head = `head-${String(index + 1).padStart(Math.max(2, width), '0')}`;
      const candidates = Array.from({ length: pointsPerHead }, (_point, point): Candidate => ({
        id: `${head}#${point + 1}`,
        head,
        node: head,
        provenance: 'service',
        introPoint: { linkSpecifiers: [], onionKey: nothing, authKey: nothing, encKey: nothing },
        features: { singleOnionService: false },
      }));
      return { head, node: head, siege: 0, candidates };
    }),
  };
}

/** From `atMs` on, until the next step. */
export interface ProjectedStep {
  readonly atMs: number;
  /** What is published, by id, after a merge that serves heads in turn. */
  readonly live: readonly string[];
}

export interface Projection {
  readonly view: View;
  readonly fromMs: number;
  readonly untilMs: number;
  /** The first at `fromMs`; one for each change. */
  readonly steps: readonly ProjectedStep[];
  /** How often the strategy was asked. */
  readonly decisions: number;
}

/** Beyond this a strategy that asks to be woken all the time ends the projection early. */
const maximumDecisions = 20_000;

/** What a fair merge publishes: each group's share of the places, one point of each head a round. */
function published(view: View, { live, groups }: { live: readonly string[]; groups?: readonly (readonly string[])[] }) {
  const room = view.maximumIntroPoints * Math.max(1, groups?.length ?? 1);
  const wanted = new Set(live);
  const queues = view.heads.map(({ candidates }) => candidates.filter(({ id }) => wanted.has(id)));
  const taken: string[] = [];
  for (let round = 0; taken.length < Math.min(room, wanted.size); round++) {
    const next = queues.flatMap((queue) => queue[round]?.id ?? []);
    if (next.length === 0) break;
    taken.push(...next.slice(0, room - taken.length));
  }
  return taken.sort();
}

export function project(
  strategy: RotationStrategy,
  cluster: ModelCluster,
  options: { readonly hours: number; readonly random: Random },
): Projection {
  const untilMs = cluster.nowMs + options.hours * 3_600_000;
  const steps: ProjectedStep[] = [];
  let state = strategy.initial();
  let decisions = 0;
  for (let atMs = cluster.nowMs; atMs < untilMs && decisions < maximumDecisions;) {
    const view = modelView({ ...cluster, nowMs: atMs }, steps.at(-1)?.live);
    const decision = strategy.decide(view, state, options.random);
    decisions++;
    state = decision.state;
    const live = published(view, decision.rotation);
    if (live.join(' ') !== steps.at(-1)?.live.join(' ')) steps.push({ atMs, live });
    if (decision.nextMs === undefined) break;
    atMs += Math.max(1, decision.nextMs);
  }
  return { view: modelView(cluster), fromMs: cluster.nowMs, untilMs, steps, decisions };
}

/** All points that are ever live. */
export const pointsShown = ({ steps }: Projection): Set<string> => new Set(steps.flatMap(({ live }) => live));

/**
 * The shortest time in which all of a descriptor's points have left: from its publication to the one that has none of them.
 * Undefined when that never happens.
 */
export function shortestTurnoverMs({ steps }: Projection): number | undefined {
  let shortest: number | undefined;
  for (const [index, { atMs, live }] of steps.entries()) {
    // The first one had been there before anybody looked.
    if (index === 0) continue;
    const gone = steps.slice(index + 1).find((later) => !later.live.some((id) => live.includes(id)));
    if (gone !== undefined) shortest = Math.min(shortest ?? Infinity, gone.atMs - atMs);
  }
  return shortest;
}

/** An introduction point of tor's lives 18 to 24 hours. */
export const introPointHours = 21;

/** The relays that an attacker owns, as a share of all by weight: what exposures are reckoned with. */
export const hostileShare = 0.01;

export interface Exposure {
  readonly points: number;
  /** Distinct relays drawn in the time: each point has one for each of tor's two descriptors, and changes it when it is old. */
  readonly relays: number;
  /** Chance that one of them at least is hostile. */
  readonly chance: number;
  /** The calculation, for people. */
  readonly text: string;
}

export function exposureOf(points: number, hours = 24, lifetimeHours = introPointHours): Exposure {
  const relays = Math.ceil((points * 2 * hours) / lifetimeHours);
  const chance = 1 - (1 - hostileShare) ** relays;
  const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
  const text =
    `${points} introduction points × 2 descriptors × ${hours} h / ${lifetimeHours} h = ${relays} relays drawn in ${hours} h; ` +
    `1 - (1 - ${hostileShare})^${relays} = ${percent(chance)} for one hostile relay at ${100 * hostileShare} %`;
  return { points, relays, chance, text };
}
