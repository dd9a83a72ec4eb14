/** The laws of elections refuse rules that are wrong. */
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { priorityOrder } from '../../../plugins/election/priority/index.ts';
import type { Contender, ElectionState } from '../../../plugins/election/index.ts';
import { electionLaws } from '../../kit/laws/election.ts';
import { ruleOfOrder, type ElectionMistake } from '../../kit/laws/election-order.ts';

const priorityRule = (mistake: ElectionMistake = {}) => ruleOfOrder(({ priority }) => priorityOrder(priority), mistake);

const better = ({ merit }: Contender, { merit: own }: ElectionState): boolean => Number(merit) < Number(own);
/** What a node that never forgets has heard, by node; the laws begin each history at 0. */
const remembered = new Map<string, Map<string, Contender>>();

/** Each with the beginning of the law that it breaks. */
const wrong: Record<string, ElectionMistake & { readonly breaks: string }> = {
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
    input: (input, state) => ({
      ...input,
      others: input.others.map((other) =>
        better(other, state) ? other : { ...other, ready: false, claim: undefined },
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
  'that waits for who has left': {
    breaks: 'a publisher that leaves is replaced',
    input: (input) => {
      const { nowMs, self } = input;
      if (nowMs <= 100) remembered.clear();
      const known = remembered.get(self.node) ?? new Map<string, Contender>();
      remembered.set(self.node, known);
      for (const other of input.others) known.set(other.node, other);
      const gone = [...known.values()].filter(({ node }) => !input.others.some((other) => other.node === node));
      const waiting = gone.filter(({ heardAtMs }) => nowMs - heardAtMs < 60_000);
      return {
        ...input,
        others: [...input.others, ...waiting.map((other) => ({ ...other, heardAtMs: nowMs, alive: true }))],
      };
    },
  },
  'that takes being heard for publishing': {
    breaks: 'a publisher that is heard and publishes nothing',
    settings: { publishMs: 1_000_000 },
  },
  'whose publisher stops before its successor has begun': {
    breaks: 'a publisher that is asked to steps down',
    input: (input) => (input.self.stepDown ? { ...input, self: { ...input.self, able: false } } : input),
  },
  'that does not step down when it is asked to': {
    breaks: 'a publisher that is asked to steps down',
    input: (input) => ({ ...input, self: { ...input.self, stepDown: false } }),
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

  test('every law is broken by some mistake', () => {
    const broken = Object.values(wrong).map(({ breaks }) => breaks);
    for (const breaks of broken) expect(electionLaws.filter(({ name }) => name.startsWith(breaks))).toHaveLength(1);
    const unbroken = electionLaws.filter(({ name }) => !broken.some((breaks) => name.startsWith(breaks)));
    expect(unbroken.map(({ name }) => name)).toEqual([]);
  });
});
