/**
 * A rotation strategy: which candidates are live now. Pure: the same view, state and randomness give the same answer.
 * It may not remember anything outside its state, nor look at a clock other than `view.nowMs`.
 *
 * A strategy that rotates derives its plan from `view.seed` and the time: then the next publisher goes on where the last one
 * was, even if it heard nothing from it. State is for what cannot be derived: what happened.
 */
import type { GenericSchema } from 'valibot';
import type { Random } from '../runtime/index.ts';
import type { Rotation, View } from './model.ts';

export interface Decision<State> {
  readonly rotation: Rotation;
  readonly state: State;
  /** Milliseconds until the strategy wants to be asked again, whatever happens; undefined when only events matter to it. */
  readonly nextMs?: number;
}

export interface RotationStrategy<State = unknown> {
  readonly name: string;
  initial(): State;
  /**
   * Must leave at least one candidate live when the view has any. `state` is the last decision's, and must not be changed; the
   * new one is JSON of a few kilobytes at most.
   */
  decide(view: View, state: State, random: Random): Decision<State>;
  /**
   * Checks a state that was written down by this node, or told by another member: believe nothing of its shape. Undefined when
   * it is of no use. Without this function a strategy begins anew in each term.
   */
  restore?(value: unknown): State | undefined;
}

/** A strategy with options: what presets name, and what the table `[strategy]` of the configuration is checked against. */
export interface StrategyDefinition<Options = never, State = unknown> {
  readonly name: string;
  /** One sentence for listings. */
  readonly summary: string;
  /** A default for every option. */
  readonly options: GenericSchema<unknown, Options>;
  create(options: Options): RotationStrategy<State>;
}
