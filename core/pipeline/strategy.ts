/**
 * A rotation strategy: which candidates are live now. Pure: the same view, state and randomness give the same answer.
 * It may not remember anything outside its state, nor look at a clock other than `view.nowMs`.
 */
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
  /** Must leave at least one candidate live when the view has any. */
  decide(view: View, state: State, random: Random): Decision<State>;
}
