/** The rule of election/priority keeps the laws of the kit, and the laws refuse rules that are wrong. */
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  decide,
  initialState,
  overtakenBy,
  type Contender,
  type ElectionDecision,
  type ElectionInput,
  type ElectionSettings,
  type ElectionState,
} from '../../../plugins/election/priority/rule.ts';
import { describeElection, electionLaws } from '../../kit/laws/election.ts';
import type { ElectionRule } from '../../kit/laws/election-model.ts';

const settings: ElectionSettings = { leaseMs: 2_000, confirmMs: 800, staggerMs: 500 };

type Word = Omit<Contender, 'node' | 'heardAtMs'>;
interface Memory {
  readonly highest: number | undefined;
  readonly ownTerm: boolean;
}

interface Fault {
  readonly settings?: Partial<ElectionSettings>;
  /** Changes the state before a look. */
  readonly state?: (state: ElectionState, input: ElectionInput) => ElectionState;
  /** Changes what is seen. */
  readonly input?: (input: ElectionInput, state: ElectionState) => ElectionInput;
  readonly decision?: (decision: ElectionDecision) => ElectionDecision;
  readonly forgets?: boolean;
}

/** The rule in the form that the laws ask, or one like it with a fault. */
function priorityRule(fault: Fault = {}): ElectionRule {
  const own = { ...settings, ...fault.settings };
  const rule: ElectionRule<Word, Memory> = ({ node, priority, nowMs, memory }) => {
    let state = initialState({ nowMs, settings: own, ...(fault.forgets ? {} : memory) });
    return ({ nowMs: now, able, others }) => {
      const heard = others.map(({ node: other, word, heardAtMs }) => ({ ...word, node: other, heardAtMs }));
      const seen: ElectionInput = { nowMs: now, self: { node, priority, able }, others: heard, alone: false };
      state = fault.state?.(state, seen) ?? state;
      const right = decide(state, fault.input?.(seen, state) ?? seen, own);
      const decision = fault.decision?.(right) ?? right;
      state = decision.state;
      const { highest, claim, readySinceMs, resumable } = state;
      return {
        publisher: decision.publisher,
        epoch: decision.epoch,
        elected: decision.elected,
        word: { priority, ready: readySinceMs !== undefined, highest, claim },
        memory: { highest, ownTerm: claim === highest || resumable },
      };
    };
  };
  return rule as ElectionRule;
}

describeElection('priority', priorityRule());

const better = (input: ElectionInput, { priority }: Contender): boolean => priority < input.self.priority;
/** Each with the beginning of the law that it breaks. */
const wrong: Record<string, Fault & { readonly breaks: string }> = {
  'that never elects anybody': {
    breaks: 'a cold start',
    decision: (decision) => ({ ...decision, elected: false, publisher: undefined }),
  },
  'that hears nobody': {
    breaks: 'a cold start',
    input: (input) => ({ ...input, others: [] }),
  },
  'that claims without listening': {
    breaks: 'while nothing is cut',
    state: (state) => ({ ...state, listenUntilMs: 0, readySinceMs: 0 }),
  },
  'that unseats the publisher for a better one': {
    breaks: 'while it is heard',
    input: (input) => ({
      ...input,
      others: input.others.map((other) =>
        better(input, other) ? other : { ...other, ready: false, claim: undefined },
      ),
    }),
  },
  'that does not step down for a later epoch': {
    breaks: 'who hears of a later epoch',
    input: (input, { claim }) => (claim === undefined ? input : { ...input, others: [] }),
  },
  'that steps down for whoever claims': {
    breaks: 'when a cut heals',
    input: (input, { claim }) => ({
      ...input,
      others: input.others.map((other) =>
        other.claim === undefined || claim === undefined
          ? other
          : { ...other, claim: Math.max(other.claim, claim + 1) },
      ),
    }),
  },
  'that knows no epochs': {
    breaks: 'a term begins',
    decision: ({ state, ...rest }) => {
      const { highest, claim } = state;
      const none = { highest: highest && 0, claim: claim && 0 };
      return { ...rest, epoch: 0, state: { ...state, ...none } };
    },
  },
  'that begins with epoch 0 after a restart': {
    breaks: 'a term begins',
    forgets: true,
    input: (input, { highest }) =>
      highest === undefined
        ? { ...input, others: input.others.map((other) => ({ ...other, highest: undefined })) }
        : input,
  },
  'that takes a new epoch every five seconds': {
    breaks: 'whatever happened',
    state: (state, { nowMs }) =>
      state.claim !== undefined && nowMs % 5_000 === 0
        ? { ...state, claim: state.claim + 1, highest: state.claim + 1 }
        : state,
  },
  'that publishes on after it stood still': {
    breaks: 'who wakes up',
    state: (state, { nowMs }) => ({ ...state, lookedAtMs: nowMs }),
  },
  'that has no patience': {
    breaks: 'a short silence',
    settings: { leaseMs: 300, confirmMs: 0 },
  },
  'whose publisher stays though it cannot publish': {
    breaks: 'a publisher that cannot',
    input: (input) => ({ ...input, self: { ...input.self, able: true } }),
  },
  'that takes the first of all for the publisher, whoever it is': {
    breaks: 'a cold start',
    decision: (decision) => (decision.elected ? decision : { ...decision, publisher: decision.publisher && 'n0' }),
  },
};

describe('the laws refuse a rule', () => {
  // One counterexample will do: it need not be the smallest.
  beforeAll(() => fc.configureGlobal({ endOnFailure: true }));
  afterAll(() => fc.resetConfigureGlobal());

  test.each(Object.entries(wrong))('%s', (_name, { breaks, ...fault }) => {
    const law = electionLaws.find(({ name }) => name.startsWith(breaks));
    // A rare counterexample may need more histories than one check draws.
    const search = (): void => {
      for (let drawn = 0; drawn < 20; drawn++) law?.check(priorityRule(fault));
    };
    expect(search).toThrow(/Property failed/);
  });
});

describe('one node', () => {
  const self = { node: 'a', priority: 1, able: true };
  const alone = (nowMs: number, state: ElectionState): ElectionDecision =>
    decide(state, { nowMs, self, others: [], alone: true }, settings);

  test('alone is elected at once, in epoch 0, and after a restart in its own last epoch', () => {
    expect(alone(0, initialState({ nowMs: 0, settings }))).toMatchObject({ elected: true, epoch: 0 });
    expect(alone(0, initialState({ nowMs: 0, settings, highest: 4, ownTerm: true }))).toMatchObject({ epoch: 4 });
    expect(alone(0, initialState({ nowMs: 0, settings, highest: 4 }))).toMatchObject({ epoch: 5 });
  });

  test('follows a later epoch at once, and while somebody is missing only after a wait that doubles', () => {
    const first = alone(0, initialState({ nowMs: 0, settings }));
    const next = overtakenBy(first.state, 6, { nowMs: 10, missing: false, settings });
    expect(alone(10, next)).toMatchObject({ elected: true, epoch: 7 });
    const waits = overtakenBy(first.state, 6, { nowMs: 10, missing: true, settings });
    expect(waits.overtaken).toEqual({ epoch: 6, untilMs: 30_010 });
    expect(alone(30_009, waits)).toMatchObject({ elected: false, publisher: 'a' });
    const again = alone(30_010, waits);
    expect(again).toMatchObject({ elected: true, epoch: 7 });
    expect(overtakenBy(again.state, 8, { nowMs: 30_010, missing: true, settings }).overtaken?.untilMs).toBe(90_010);
  });

  test('is not elected after standing still for longer than a lease, until it has listened for one', () => {
    const input = { self, others: [], alone: false };
    let decision = decide(initialState({ nowMs: 0, settings }), { ...input, nowMs: 0 }, settings);
    for (let nowMs = 0; nowMs <= 2_500; nowMs += 500) decision = decide(decision.state, { ...input, nowMs }, settings);
    expect(decision).toMatchObject({ elected: true, epoch: 0 });
    const woken = decide(decision.state, { ...input, nowMs: 10_000 }, settings);
    expect(woken).toMatchObject({ elected: false, publisher: 'a' });
    const successor = { node: 'b', priority: 5, ready: true, highest: 1, claim: 1, heardAtMs: 10_100 };
    expect(decide(woken.state, { ...input, others: [successor], nowMs: 10_100 }, settings)).toMatchObject({
      elected: false,
      publisher: 'b',
      epoch: 1,
    });
    let listening = woken;
    for (let nowMs = 10_500; nowMs <= 12_000; nowMs += 500) {
      listening = decide(listening.state, { ...input, nowMs }, settings);
    }
    expect(listening).toMatchObject({ elected: true, epoch: 0 });
  });
});
