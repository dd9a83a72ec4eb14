/**
 * strategy: lets a pure rotation strategy answer the `rotate` hook, wakes the pipeline when the strategy asks for it, and keeps
 * its state: between cycles, over a restart, and for the member that publishes next.
 */
import * as v from 'valibot';
import {
  definePlugin,
  meshContract,
  rotatorContract,
  type AnyPlugin,
  type Host,
  type Json,
} from '../../core/engine/index.ts';
import { rotateStages, type RotationStrategy, type StrategyDefinition } from '../../core/pipeline/index.ts';
import { writeStateFile, type Timer } from '../../core/runtime/index.ts';

export { importDefault, loadStrategy } from './load.ts';

const recordKind = 'rotation';
const largestFile = 262_144;
const written = v.object({ strategy: v.string(), epoch: v.number(), state: v.unknown() });
type Written = v.InferOutput<typeof written>;

/** What the plugins of the family declare; they tap as `name`. */
export const rotatorNeeds = { wants: [meshContract], gives: [rotatorContract] } as const;

/** Makes a plugin of a strategy, or of one with options: those are the table `[strategy]`. */
export function strategyPlugin<State>(strategy: RotationStrategy<State>): AnyPlugin;
export function strategyPlugin<Options, State>(definition: StrategyDefinition<Options, State>): AnyPlugin;
export function strategyPlugin(given: RotationStrategy | StrategyDefinition<unknown>): AnyPlugin {
  const name = `strategy/${given.name}`;
  const summary = `Decides which introduction points are live: ${given.name}.`;
  if (!('create' in given)) {
    return definePlugin({ name, summary, ...rotatorNeeds, apply: (host) => rotateBy(host, name, () => given) });
  }
  return definePlugin<unknown>({
    name,
    summary: given.summary,
    ...rotatorNeeds,
    section: 'strategy',
    options: given.options,
    apply: (host, options) => {
      const strategy = given.create(options);
      rotateBy(host, name, () => strategy);
    },
  });
}

/** Answers `rotate` by a strategy that is known when the first cycle runs. */
export function rotateBy(host: Host, name: string, strategyOf: () => RotationStrategy): void {
  const { clock, random, store } = host.runtime;
  const file = host.stateDirectory === undefined ? undefined : `${host.stateDirectory}/rotation.json`;
  /** What was decided last, and in which term; undefined before the first decision. */
  let last: { readonly epoch: number; readonly state: unknown } | undefined;
  let spread: string | undefined;
  let kept: string | undefined;
  let timer: Timer | undefined;
  host.defer(() => timer?.cancel());
  host.give(rotatorContract, {
    get strategy() {
      return strategyOf();
    },
  });

  const readable = (value: unknown): { epoch: number; state: unknown } | undefined => {
    const strategy = strategyOf();
    const told = v.is(written, value) ? (value as Written) : undefined;
    if (told === undefined || told.strategy !== strategy.name) return undefined;
    const state = strategy.restore?.(told.state);
    return state === undefined ? undefined : { epoch: told.epoch, state };
  };

  /** The state to decide on in this term: another member may have published since this one did. */
  const stateIn = (epoch: number): unknown => {
    if (last?.epoch === epoch) return last.state;
    const told = (host.want(meshContract)?.records(recordKind) ?? [])
      .filter(({ node }) => node !== host.node)
      .flatMap(({ value }) => readable(value) ?? [])
      .filter((one) => one.epoch < epoch && one.epoch > (last?.epoch ?? -1))
      .sort((a, b) => b.epoch - a.epoch);
    return (told[0] ?? last ?? { state: strategyOf().initial() }).state;
  };

  // Stage 1: a strategy that is loaded at the start is there.
  host.hooks.start.tapPromise({ name, stage: 1 }, async () => {
    if (file === undefined) return;
    try {
      const bytes = await store.read(file, largestFile);
      if (bytes !== undefined) last = readable(JSON.parse(Buffer.from(bytes).toString('utf8')));
    } catch (error) {
      // Where it was is a convenience: the plan derives from seed and time.
      host.log.warn('the last rotation cannot be read; the strategy begins anew', { file, error });
    }
  });

  host.hooks.rotate.tap({ name, stage: rotateStages.strategy }, (view) => {
    const decision = strategyOf().decide(view, stateIn(view.epoch), random);
    last = { epoch: view.epoch, state: decision.state };
    timer?.cancel();
    if (decision.nextMs !== undefined) {
      timer = clock.after(decision.nextMs, () => host.signal('tick', { why: `strategy ${strategyOf().name}` }));
    }
    return decision.rotation;
  });

  host.hooks.settled.tapPromise(name, async ({ outcome }) => {
    const strategy = strategyOf();
    if (strategy.restore === undefined || last === undefined) return;
    if (outcome !== 'published' && outcome !== 'unconfirmed') return;
    const text = JSON.stringify({ strategy: strategy.name, ...last });
    if (text !== spread) host.want(meshContract)?.publish(recordKind, JSON.parse(text) as Json);
    spread = text;
    if (file === undefined || text === kept) return;
    await writeStateFile(store, file, `${text}\n`, 'a restart begins an older rotation');
    kept = text;
  });
}
