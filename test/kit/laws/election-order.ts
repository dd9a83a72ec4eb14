/**
 * From an order (plugins/election) to the rule that the laws ask for: `describeElection('mine', ruleOfOrder(() => myOrder))`.
 * The machine around the order is the shipped one, so what can break a law is the order itself.
 */
import {
  decide,
  initialState,
  type Contender,
  type ElectionDecision,
  type ElectionInput,
  type ElectionOrder,
  type ElectionSettings,
  type ElectionState,
} from '../../../plugins/election/index.ts';
import type { ElectionRule } from './election-model.ts';

/** The plugins' defaults, but for `publishMs`, which fits the time scale of the laws. */
export const lawSettings: ElectionSettings = { leaseMs: 2_000, confirmMs: 800, staggerMs: 500, publishMs: 5_000 };

type Word = Omit<Contender, 'node' | 'heardAtMs' | 'alive'>;
interface Memory {
  readonly highest: number | undefined;
  readonly ownTerm: boolean;
}

/** What to do wrong, for a test that a law notices. */
export interface ElectionMistake {
  readonly settings?: Partial<ElectionSettings>;
  /** Changes the state before a look. */
  readonly state?: (state: ElectionState, input: ElectionInput) => ElectionState;
  /** Changes what is seen. */
  readonly input?: (input: ElectionInput, state: ElectionState) => ElectionInput;
  readonly decision?: (decision: ElectionDecision) => ElectionDecision;
  readonly forgets?: boolean;
}

/** `order` is made for each node; `priority` is the number that the laws give it, the lower comes first. */
export function ruleOfOrder(
  order: (self: { readonly node: string; readonly priority: number }) => ElectionOrder,
  { settings, ...mistake }: ElectionMistake = {},
): ElectionRule {
  const all = { ...lawSettings, ...settings };
  const rule: ElectionRule<Word, Memory> = ({ node, priority, nowMs, memory }) => {
    const own = order({ node, priority });
    let state = initialState({ nowMs, settings: all, ...(mistake.forgets ? {} : memory) });
    return ({ nowMs: now, able, published, stepDown, others }) => {
      // Field by field: this is most of what a law costs.
      const heard = others.map(({ node: other, word, heardAtMs }): Contender => {
        const { merit, ready, highest, claim, published: shown, successor } = word;
        const alive = now < heardAtMs + all.leaseMs;
        return { node: other, merit, ready, highest, claim, published: shown, successor, heardAtMs, alive };
      });
      const seen: ElectionInput = { nowMs: now, self: { node, able, stepDown }, others: heard, alone: false };
      state = mistake.state?.(state, seen) ?? state;
      const right = decide(state, mistake.input?.(seen, state) ?? seen, { order: own, settings: all });
      const decision = mistake.decision?.(right) ?? right;
      state = decision.state;
      const { highest, claim, merit, readySinceMs, resumable, handing } = state;
      const ready = readySinceMs !== undefined;
      return {
        publisher: decision.publisher,
        epoch: decision.epoch,
        elected: decision.elected,
        word: { merit, ready, highest, claim, published, successor: handing?.to },
        memory: { highest, ownTerm: claim === highest || resumable },
      };
    };
  };
  return rule as ElectionRule;
}
