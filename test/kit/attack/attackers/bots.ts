/** vanilla-bots and insider: attackers with a real client's memory, by the rules that honest clients follow. */
import * as v from 'valibot';
import { hasExpired, IntroFailures, replaces, RequestHistory } from '../../network/rules/client.ts';
import { evenly, nothing, type AttackerDefinition, type AttackView, type Sight } from '../attacker.ts';
import { budget, seconds, within } from './options.ts';

interface Bot {
  readonly failures: IntroFailures<string>;
  readonly history: RequestHistory<number>;
  cached: Sight | undefined;
}

const createBot = (): Bot => ({ failures: new IntroFailures(), history: new RequestHistory(), cached: undefined });

/** What a client would still try: marks what refuses, fetches when nothing is left. */
function usable(bot: Bot, view: AttackView): readonly string[] {
  const look = (): readonly string[] => {
    for (const point of bot.cached?.points ?? []) {
      if (bot.failures.usable(point, view.nowSeconds) && !view.answers(point)) {
        bot.failures.note(point, 'nack', view.nowSeconds);
      }
    }
    return bot.cached?.points.filter((point) => bot.failures.usable(point, view.nowSeconds)) ?? [];
  };
  if (bot.cached !== undefined && hasExpired(bot.cached, view.validAfter)) bot.cached = undefined;
  const known = look();
  if (known.length > 0) return known;
  const fresh = view.fetch(bot.history);
  if (fresh === undefined) return [];
  if (replaces(bot.cached?.revision, fresh.revision)) bot.cached = fresh;
  const left = look();
  view.forget(bot.history);
  return left;
}

const many = v.strictObject({
  bots: v.optional(within(1, 20_000), 500),
  per_bot_per_sec: v.optional(within(0.1, 10), 3),
  period_secs: seconds(10),
});
export const vanillaBots: AttackerDefinition<v.InferOutput<typeof many>, readonly Bot[]> = {
  name: 'vanilla-bots',
  summary: 'Bots that are plain tor clients: each floods by the descriptor that it has cached.',
  prediction: 'Hydra with teardown; the watermark names cohorts',
  options: many,
  create: ({ bots, per_bot_per_sec, period_secs }) => ({
    name: 'vanilla-bots',
    initial: () => [],
    act: (view, before) => {
      if (view.sinceMs < 0) return { attack: { flood: nothing, nextMs: -view.sinceMs }, state: before };
      const state = before.length > 0 ? before : Array.from({ length: bots }, createBot);
      const flood = new Map<string, number>();
      for (const bot of state) {
        const points = usable(bot, view);
        for (const point of points) flood.set(point, (flood.get(point) ?? 0) + per_bot_per_sec / points.length);
      }
      return { attack: { flood, nextMs: period_secs * 1_000 }, state };
    },
  }),
};

const inside = v.strictObject({
  insiders: v.optional(within(1, 1_000), 5),
  period_secs: seconds(60),
  budget: budget('small'),
});
export const insider: AttackerDefinition<v.InferOutput<typeof inside>, readonly Bot[]> = {
  name: 'insider',
  summary: 'A few members of the audience tell what their clients have; all of it is flooded.',
  prediction: 'several addresses; isolation only below ten insiders',
  options: inside,
  create: ({ insiders, period_secs, budget: means }) => ({
    name: 'insider',
    budget: means,
    initial: () => [],
    act: (view, before) => {
      const state = before.length > 0 ? before : Array.from({ length: Math.round(insiders) }, createBot);
      const points = state.flatMap((bot) => usable(bot, view));
      const flood = view.sinceMs < 0 ? nothing : evenly(points, view.perSecond);
      return { attack: { flood, nextMs: period_secs * 1_000, believes: [...new Set(points)] }, state };
    },
  }),
};
