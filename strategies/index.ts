/** The strategies that ship, by name. */
import type { StrategyDefinition } from '../core/pipeline/index.ts';
import { distinctStrategy } from './distinct.ts';
import { reactiveStrategy } from './reactive.ts';
import { rouletteStrategy } from './roulette.ts';
import { stableStrategy } from './stable.ts';
import { stackedStrategy } from './stacked.ts';
import { staggeredStrategy } from './staggered.ts';

const all = [
  stableStrategy,
  reactiveStrategy,
  rouletteStrategy,
  staggeredStrategy,
  stackedStrategy,
  distinctStrategy,
] as unknown as readonly StrategyDefinition<object>[];

export const strategies: ReadonlyMap<string, StrategyDefinition<object>> = new Map(all.map((one) => [one.name, one]));
