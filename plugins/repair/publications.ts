/** Which results of cycles call for a repair. Pure: state in, decision out. */
import { isChimeraError } from '../../core/errors.ts';
import type { CycleResult } from '../../core/pipeline/index.ts';
import type { Cause } from './cause.ts';

export interface PublicationState {
  /** Publications in a row that are not at most of their HSDirs. */
  readonly unconfirmed: number;
  /** Cycles in a row that failed. */
  readonly failed: number;
}

export const initialPublications: PublicationState = { unconfirmed: 0, failed: 0 };

export interface PublicationDecision {
  readonly state: PublicationState;
  readonly cause?: Cause;
  readonly action?: 'republish' | 'step-down' | 'none';
}

/** Fewer than half of the HSDirs that clients ask give it back. One or two of the public network are always out of reach. */
function isLost({ confirmations }: CycleResult): boolean {
  const confirmed = confirmations.filter((each) => each.confirmed).length;
  return confirmations.length > 0 && confirmed * 2 < confirmations.length;
}

/** `republishAfter` and `stepDownAfter` in a row. The election itself steps down after failed cycles: these are told, no more. */
export function decidePublication(
  state: PublicationState,
  result: CycleResult,
  limits: { readonly republishAfter: number; readonly stepDownAfter: number },
): PublicationDecision {
  const { outcome, error } = result;
  if (outcome === 'published' || outcome === 'standby') return { state: initialPublications };
  if (outcome === 'failed') {
    const failed = state.failed + 1;
    const next = { ...state, failed };
    if (failed !== limits.republishAfter) return { state: next };
    const code = isChimeraError(error) ? error.code : undefined;
    return { state: next, cause: { kind: 'cannot-publish', inARow: failed, code }, action: 'none' };
  }
  if (outcome !== 'unconfirmed') return { state };
  if (!isLost(result)) return { state: initialPublications };
  const unconfirmed = state.unconfirmed + 1;
  const next = { unconfirmed, failed: 0 };
  const cause: Cause = { kind: 'unconfirmed', inARow: unconfirmed };
  if (unconfirmed >= limits.stepDownAfter) return { state: next, cause, action: 'step-down' };
  if (unconfirmed >= limits.republishAfter) return { state: next, cause, action: 'republish' };
  return { state: next };
}
