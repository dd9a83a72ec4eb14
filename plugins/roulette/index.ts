/**
 * roulette: panic mode. While the operator says so, another set of heads is live every few minutes, and (with election/time-hash)
 * another node publishes. By hand only, with a warning, and it ends by itself.
 *
 *   panic.ts what the cluster agrees on, pure · which heads: a strategy, pure
 */
import * as v from 'valibot';
import { integer } from '../../core/config/schema.ts';
import { adminContract, definePlugin, meshContract, type AnyPlugin, type Json } from '../../core/engine/index.ts';
import { ChimeraError } from '../../core/errors.ts';
import { rotateStages, type StrategyDefinition } from '../../core/pipeline/index.ts';
import type { Timer } from '../../core/runtime/index.ts';
import { calm, commanded, encodePanic, heard, panicKind, passed } from './panic.ts';

export { calm, commanded, encodePanic, heard, passed, type Panic } from './panic.ts';

/** Below this, clients that hold the descriptor of the turn before fail more than the turns can gain. */
const leastEverySecs = 180;

/** The table `[roulette]`. */
export const rouletteOptions = v.pipe(
  v.strictObject({
    /** How many heads are live at a time; half of all, rounded up, when absent. */
    live_heads: v.optional(integer(1, 20)),
    every_secs: v.optional(integer(10, 86_400), 600),
    /** Each turn comes up to so much early or late. */
    jitter_secs: v.optional(integer(0, 3_600), 60),
    /** Panic ends by itself after this, unless the command says for how long. */
    limit_secs: v.optional(integer(60, 604_800), 21_600),
    /** Turns below three minutes. */
    allow_fast: v.optional(v.boolean('must be true or false'), false),
  }),
  v.check(
    ({ every_secs, allow_fast }) => allow_fast || every_secs >= leastEverySecs,
    'every_secs below 180 costs clients more than it gains; allow_fast = true insists',
  ),
);
export type RouletteOptions = v.InferOutput<typeof rouletteOptions>;

const name = 'roulette';

/** What it asks of a strategy that turns. */
export interface TurnOptions {
  readonly live_heads: number;
  readonly every_secs: number;
  readonly jitter_secs: number;
}

/** How a cluster of so many heads turns by these options. */
export const turnOptionsOf = (
  { live_heads, every_secs, jitter_secs }: RouletteOptions,
  heads: number,
): TurnOptions => ({ live_heads: live_heads ?? Math.ceil(heads / 2), every_secs, jitter_secs });

/** Makes the plugin of a pure strategy that takes heads in turns by seed and time, as strategies/roulette.ts. */
export const roulettePlugin = (wheel: StrategyDefinition<TurnOptions, null>): AnyPlugin =>
  definePlugin<RouletteOptions>({
    name,
    summary: 'Panic mode, by hand: another set of heads every few minutes.',
    wants: [meshContract, adminContract],
    section: name,
    options: rouletteOptions,
    apply(host, settings) {
      const { clock, random } = host.runtime;
      const mesh = host.want(meshContract);
      const longestMs = settings.limit_secs * 1_000;
      let panic = calm;
      let turn: Timer | undefined;
      let end: Timer | undefined;
      let why = '';

      const become = (next: typeof panic, tell: boolean): void => {
        if (next === panic) return;
        const was = panic.on;
        panic = next;
        end?.cancel();
        if (panic.on)
          end = clock.after(panic.untilMs - clock.monotonic(), () => become(passed(panic, clock.monotonic()), false));
        if (tell) mesh?.publish(panicKind, encodePanic(panic, clock.monotonic()));
        if (was === panic.on) return;
        if (!panic.on) turn?.cancel();
        host.log.warn(panic.on ? 'panic mode is on' : 'panic mode is off', {
          forSecs: panic.on ? Math.round((panic.untilMs - clock.monotonic()) / 1_000) : 0,
        });
        host.signal('panic', { on: panic.on });
      };

      host.hooks.rotate.tap({ name, stage: rotateStages.panic }, (view) => {
        if (!panic.on) return undefined;
        const strategy = wheel.create(turnOptionsOf(settings, view.heads.length));
        const { rotation, nextMs } = strategy.decide(view, strategy.initial(), random);
        turn?.cancel();
        if (nextMs !== undefined) turn = clock.after(nextMs, () => host.signal('tick', { why: 'the roulette turns' }));
        why = rotation.why;
        return { ...rotation, why: `panic: ${rotation.why}` };
      });

      host.want(adminContract)?.command({
        name: 'panic',
        summary: 'Turns panic mode on or off in the whole cluster.',
        run: async (args, say): Promise<Json> => {
          const { on, forSecs = settings.limit_secs } = args;
          const seconds = Number(forSecs);
          if (typeof on !== 'boolean' || !Number.isInteger(seconds) || seconds < 1) {
            throw new ChimeraError('ADMIN_COMMAND', 'panic takes on or off, and a whole number of seconds', {
              remedy: 'use the command: chimera panic on --for 30m',
            });
          }
          if (seconds > settings.limit_secs) {
            throw new ChimeraError('ADMIN_COMMAND', `panic mode is not turned on for ${seconds} s at once`, {
              remedy: `take ${settings.limit_secs} s (${Math.floor(settings.limit_secs / 60)}m) or less, or set roulette.limit_secs`,
            });
          }
          const now = clock.monotonic();
          become(commanded(panic, on, now, seconds * 1_000), true);
          say(on ? `panic mode is on for ${seconds} s` : 'panic mode is off');
          return { on: panic.on, leftSecs: panic.on ? seconds : 0, everySecs: settings.every_secs };
        },
      });
      host.want(adminContract)?.status('panic', () => ({
        on: panic.on,
        leftSecs: panic.on ? Math.max(0, Math.round((panic.untilMs - clock.monotonic()) / 1_000)) : 0,
        turn: panic.on ? why : null,
      }));

      host.hooks.start.tap(name, () => {
        host.defer(() => {
          turn?.cancel();
          end?.cancel();
        });
        if (mesh === undefined) return;
        const look = (node: string): void => {
          const record = mesh.record(panicKind, node);
          if (record !== undefined) become(heard(panic, record.value, clock.monotonic(), longestMs), false);
        };
        host.defer(
          mesh.onChange((change) => {
            if (change.node !== host.node && change.what === 'record' && change.kind === panicKind) look(change.node);
          }),
        );
      });
    },
  });
