/** harvester, hsdir-poll, steer, partition and observer: attackers that know more, own more, or only look. */
import * as v from 'valibot';
import { evenly, nothing, type AttackerDefinition } from '../attacker.ts';
import { budget, seconds, share, within } from './options.ts';

interface Seen {
  readonly points: readonly string[];
}
const mostSeen = 5_000;

const crawl = v.strictObject({
  period_secs: seconds(300),
  crawl_hours: v.optional(within(0, 168), 24),
  budget: budget('small'),
});
export const harvester: AttackerDefinition<v.InferOutput<typeof crawl>, Seen> = {
  name: 'harvester',
  summary: 'Crawls in silence until the attack, up to a day, then floods all that it has ever seen.',
  prediction: 'a pool that refreshes, closed ghosts',
  options: crawl,
  create: ({ period_secs, crawl_hours, budget: means }) => ({
    name: 'harvester',
    budget: means,
    initial: () => ({ points: [] }),
    act: (view, state) => {
      if (view.sinceMs < 0) {
        const crawling = -view.sinceMs <= crawl_hours * 3_600_000;
        const fresh = crawling ? (view.fetch()?.points ?? []) : [];
        const points = [...new Set([...state.points, ...fresh])].slice(-mostSeen);
        return {
          attack: { flood: nothing, nextMs: Math.min(period_secs * 1_000, -view.sinceMs), believes: points },
          state: { points },
        };
      }
      const points = state.points.length > 0 ? state.points : (view.fetch()?.points ?? []);
      return { attack: { flood: evenly(points, view.perSecond), nextMs: 600_000 }, state: { points } };
    },
  }),
};

const directories = v.strictObject({ hsdir_share: share(0.05), budget: budget('small') });
export const hsdirPoll: AttackerDefinition<v.InferOutput<typeof directories>, Seen> = {
  name: 'hsdir-poll',
  summary: 'Owns some of the HSDirs: where one is responsible, it sees every upload at once.',
  prediction: 'the period change, confirmed uploads, distinct subsets',
  options: directories,
  create: ({ hsdir_share, budget: means }) => ({
    name: 'hsdir-poll',
    budget: means,
    hsdirShare: hsdir_share,
    initial: () => ({ points: [] }),
    act: (view, state) => {
      if (view.sinceMs < 0) return { attack: { flood: nothing, nextMs: -view.sinceMs }, state };
      const seen = view.watch().flatMap(({ points }) => points);
      const points = seen.length > 0 ? seen : state.points;
      return { attack: { flood: evenly(points, view.perSecond), nextMs: 5_000 }, state: { points } };
    },
  }),
};

const steering = v.strictObject({
  relay_share: share(0.05),
  period_secs: seconds(60),
  points_at_once: v.optional(within(1, 120), 120),
  budget: budget('small'),
});
export const steer: AttackerDefinition<v.InferOutput<typeof steering>, null> = {
  name: 'steer',
  summary: 'Owns some relays and floods only introduction points on others, so that its own remain.',
  prediction: 'a pool, a budget and ageing; a static set beats naive Hydra',
  options: steering,
  create: ({ relay_share, period_secs, points_at_once, budget: means }) => ({
    name: 'steer',
    budget: means,
    relayShare: relay_share,
    initial: () => null,
    act: (view, state) => {
      if (view.sinceMs < 0) return { attack: { flood: nothing, nextMs: -view.sinceMs }, state };
      const honest = (view.fetch()?.points ?? []).filter((point) => !view.owns(point));
      return {
        attack: { flood: evenly(honest.slice(0, points_at_once), view.perSecond), nextMs: period_secs * 1_000 },
        state,
      };
    },
  }),
};

const cutting = v.strictObject({
  node_share: share(3 / 7),
  cut_secs: seconds(600),
  one_way: v.optional(v.boolean('must be true or false'), false),
});
export const partition: AttackerDefinition<v.InferOutput<typeof cutting>, null> = {
  name: 'partition',
  summary: 'Cuts some nodes off from the others for a while; floods nothing.',
  prediction: 'epoch fencing, and the last good set stays',
  options: cutting,
  create: ({ node_share, cut_secs, one_way }) => ({
    name: 'partition',
    initial: () => null,
    act: (view, state) => {
      if (view.sinceMs < 0) return { attack: { flood: nothing, nextMs: -view.sinceMs }, state };
      const left = cut_secs * 1_000 - view.sinceMs;
      if (left <= 0) return { attack: { flood: nothing, nextMs: Infinity }, state };
      return { attack: { flood: nothing, nextMs: left, cut: { share: node_share, oneWay: one_way } }, state };
    },
  }),
};

const looking = v.strictObject({ period_secs: seconds(60) });
export const observer: AttackerDefinition<v.InferOutput<typeof looking>, null> = {
  name: 'observer',
  summary: 'Sends nothing; notes counters, sizes and times of what is published.',
  prediction: 'jitter, one padding bucket, a counter that is no clock',
  options: looking,
  create: ({ period_secs }) => ({
    name: 'observer',
    initial: () => null,
    act: (view, state) => {
      if (view.sinceMs < 0) return { attack: { flood: nothing, nextMs: -view.sinceMs }, state };
      return { attack: { flood: nothing, nextMs: period_secs * 1_000, believes: view.fetch()?.points ?? [] }, state };
    },
  }),
};
