/**
 * exposure: refuses to start with a rotation that shows too many relays, or that takes clients' introduction points away faster
 * than they can follow. It asks the strategy for a day of a cluster of the expected size, and reckons; no Tor is needed.
 */
import * as v from 'valibot';
import { integer } from '../../core/config/schema.ts';
import { definePlugin, drainContract, rotatorContract } from '../../core/engine/index.ts';
import { ChimeraError } from '../../core/errors.ts';
import {
  exposureOf,
  introPointHours,
  pointsShown,
  project,
  shortestTurnoverMs,
  type Projection,
} from '../../core/pipeline/index.ts';
import { derivedRandom } from '../../core/runtime/index.ts';

const options = v.strictObject({
  /** Heads of the whole cluster. */
  heads: v.optional(integer(1, 1_000), 6),
  points_per_head: v.optional(integer(1, 20), 3),
  /** Hours that an introduction point lives; less where heads are made to change them sooner than tor does. */
  intro_point_hours: v.optional(
    v.pipe(v.number('must be a number'), v.minValue(0.01), v.maxValue(24)),
    introPointHours,
  ),
  /** Refuse above this chance in a day, percent. */
  limit_percent: v.optional(integer(1, 100), 50),
  accept_exposure: v.optional(v.boolean(), false),
  /** Heads that left the descriptor refuse new clients after so long; absent: after the ghost's grace, or never without one. */
  teardown_secs: v.optional(integer(0, 86_400)),
  accept_outage: v.optional(v.boolean(), false),
});
export type ExposureOptions = v.InferOutput<typeof options>;

/**
 * A client that fetched just before a change must find one of its points alive for so long: it tries each cached point (a failed
 * one is marked for 2 minutes) and asks no HSDir twice within 15 minutes.
 */
export const outageFloorMs = 900_000;

/** What is wrong with a day of this rotation, with the reckoning; empty when nothing is. */
export function exposureProblems(
  projection: Projection,
  { intro_point_hours, limit_percent, accept_exposure, teardown_secs, accept_outage }: ExposureOptions,
): ChimeraError[] {
  const problems: ChimeraError[] = [];
  const exposure = exposureOf(pointsShown(projection).size, 24, intro_point_hours);
  if (!accept_exposure && exposure.chance * 100 > limit_percent) {
    problems.push(
      new ChimeraError(
        'EXPOSURE_RELAYS',
        `the rotation shows too many relays: ${exposure.text}; above ${limit_percent} %`,
        {
          remedy:
            'let fewer introduction points take part (fewer heads, heads.num_introduction_points, a smaller pool), or accept it: exposure.accept_exposure = true',
        },
      ),
    );
  }
  const turnoverMs = shortestTurnoverMs(projection);
  if (!accept_outage && teardown_secs !== undefined && turnoverMs !== undefined) {
    const servedMs = turnoverMs + teardown_secs * 1000;
    if (servedMs < outageFloorMs) {
      const seconds = (ms: number): string => `${Math.round(ms / 1000)} s`;
      problems.push(
        new ChimeraError(
          'EXPOSURE_OUTAGE',
          `the rotation is faster than clients: all points of a descriptor have left after ${seconds(turnoverMs)}, and refuse ${seconds(teardown_secs * 1000)} later; ` +
            `${seconds(servedMs)} are below the ${seconds(outageFloorMs)} that a client with that descriptor may need`,
          {
            remedy:
              'rotate more slowly, let heads serve longer after they left (ghost.grace_secs, or exposure.teardown_secs where that is set), or accept it: exposure.accept_outage = true',
          },
        ),
      );
    }
  }
  return problems;
}

export const exposure = definePlugin<ExposureOptions>({
  name: 'exposure',
  summary: 'Refuses to start with a rotation that shows too many relays or outruns clients.',
  needs: [rotatorContract],
  wants: [drainContract],
  section: 'exposure',
  options,
  apply(host, settings) {
    // Late: a strategy from a file is loaded by the start of its own plugin.
    host.hooks.start.tap({ name: 'exposure', stage: 10 }, () => {
      const cluster = {
        heads: settings.heads,
        pointsPerHead: settings.points_per_head,
        nowMs: host.runtime.clock.now(),
        seed: 'exposure',
      };
      const { strategy } = host.need(rotatorContract);
      const projection = project(strategy, cluster, { hours: 24, random: derivedRandom('exposure', 'random') });
      const drain = host.want(drainContract);
      const teardown_secs = settings.teardown_secs ?? (drain === undefined ? undefined : drain.graceMs / 1_000);
      const [problem] = exposureProblems(projection, { ...settings, teardown_secs });
      if (problem !== undefined) throw problem;
      const { text } = exposureOf(pointsShown(projection).size, 24, settings.intro_point_hours);
      host.log.debug('exposure of the rotation', { strategy: strategy.name, heads: settings.heads, reckoning: text });
    });
  },
});
export default exposure;
