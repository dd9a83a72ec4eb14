/**
 * The laws of an election: what every rule that chooses the publisher must keep, whatever it prefers. Enter at
 * `describeElection` with a pure rule; `electionLaws` are the same laws one by one, for other test runners.
 *
 * `safety` laws hold for every rule. `order` laws hold for rules that do not unseat a publisher for a better one; a rule with
 * preemption leaves them out. `publishing` laws hold for rules that tie the lease to publishing and hand over when asked.
 */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  arbitraryPriorities,
  arbitraryStory,
  arbitraryUncutStory,
  electionStepMs,
  ElectionModel,
  type ElectionAction,
  type ElectionNode,
  type ElectionRule,
} from './election-model.ts';

/** What the rule promises of time, milliseconds. A word takes one step of 100 ms in the model. */
export interface ElectionTimes {
  /** A calm component of up to 7 nodes has one publisher after so long, whatever was before. */
  readonly settleMs: number;
  /** A publisher that is silent for less is not replaced. */
  readonly patienceMs: number;
  /** A publisher that says itself that it cannot publish, or leaves, is replaced within this by one that can. */
  readonly handOverMs: number;
  /** A publisher that is heard and publishes nothing is replaced within this. */
  readonly publishMs: number;
}
export const defaultElectionTimes: ElectionTimes = {
  settleMs: 10_000,
  patienceMs: 2_000,
  handOverMs: 500,
  publishMs: 8_000,
};

const defaultHistories = 60;

export interface ElectionLaw {
  readonly name: string;
  readonly kind: 'safety' | 'order' | 'publishing';
  /** Throws with a counterexample when the rule breaks the law in one of so many histories. */
  check(rule: ElectionRule, times?: ElectionTimes, histories?: number): void;
}

function hold(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(what);
}

const names = (nodes: readonly ElectionNode[]): string => nodes.map(({ node }) => node).join(', ') || 'nobody';

/** Everybody is well, and has had time; one publishes in each component. Gives those publishers by component. */
function settled(model: ElectionModel, { settleMs }: ElectionTimes): Map<number, ElectionNode> {
  model.calm();
  model.run(settleMs);
  const winners = new Map<number, ElectionNode>();
  for (const component of new Set(model.nodes.map((node) => node.component))) {
    const [winner, ...more] = model.elected(component);
    hold(winner !== undefined, `nobody publishes in component ${component} after ${settleMs} ms of calm`);
    hold(more.length === 0, `${names([winner, ...more])} publish in one component after ${settleMs} ms of calm`);
    winners.set(component, winner);
  }
  for (const { node, component, answer } of model.nodes) {
    const winner = winners.get(component) as ElectionNode;
    const agrees = answer?.publisher === winner.node && answer.epoch === winner.answer?.epoch;
    hold(agrees, `${node} does not know that ${winner.node} publishes`);
  }
  return winners;
}

/** From now on the elected are those of `expected` and nobody else, in the epochs that they have now. */
function unchanged(model: ElectionModel, expected: Iterable<ElectionNode>, act: () => void): void {
  const terms = [...expected].map((node) => ({ node, epoch: node.answer?.epoch }));
  model.watch = () => {
    const now = model.elected();
    const same = terms.every(({ node, epoch }) => now.includes(node) && node.answer?.epoch === epoch);
    hold(same && now.length === terms.length, `at ${model.nowMs} ms ${names(now)} publish, or in another epoch`);
  };
  act();
  model.watch = () => undefined;
}

type Holds = (model: ElectionModel, times: ElectionTimes, at: number) => void;

/** `stories` are what happens before; without any the model has only just been started. */
function always(stories: fc.Arbitrary<ElectionAction[]> | undefined, holds: Holds): ElectionLaw['check'] {
  return (rule, times = defaultElectionTimes, histories = defaultHistories) => {
    fc.assert(
      fc.property(arbitraryPriorities, stories ?? fc.constant([]), fc.nat(5), (priorities, story, at) => {
        const model = new ElectionModel(rule, priorities);
        model.play(story);
        holds(model, times, at);
      }),
      { numRuns: histories, includeErrorInReport: true },
    );
  };
}

/** Two are asked to step down, and give the role to each other; one stands still, and is named as it wakes and still publishes. */
const wakesAndIsNamed: [number[], ElectionAction[]] = [
  [1, 1, 0, 0],
  [
    { kind: 'stepDown', at: 3 },
    { kind: 'stepDown', at: 0 },
    { kind: 'wait', ms: 100 },
    { kind: 'ability', at: 2 },
    { kind: 'wait', ms: 6_001 },
    { kind: 'pause', at: 0 },
    { kind: 'wait', ms: 101 },
  ],
];

export const electionLaws: readonly ElectionLaw[] = [
  {
    name: 'a cold start elects one, and all agree',
    kind: 'safety',
    check: always(undefined, settled),
  },
  {
    name: 'whatever happened, one publishes in each calm component, all agree, and it stays in its epoch',
    kind: 'safety',
    check: always(arbitraryStory, (model, times) => {
      const winners = settled(model, times);
      unchanged(model, winners.values(), () => model.run(2 * times.settleMs));
    }),
  },
  {
    name: 'a term begins above every epoch that its node knows of, and no epoch is forgotten',
    kind: 'safety',
    // The model itself throws.
    check: always(arbitraryStory, (model, { settleMs }) => {
      model.calm();
      model.run(settleMs);
    }),
  },
  {
    name: 'while nothing is cut there are two at a time only until the one has heard the other',
    kind: 'safety',
    check: (rule, times = defaultElectionTimes, histories = defaultHistories) => {
      fc.assert(
        fc.property(arbitraryPriorities, arbitraryUncutStory, (priorities, story) => {
          const model = new ElectionModel(rule, priorities);
          /** Of each term that a later one has overtaken: for how many steps it has gone on. */
          const overtaken = new Map<string, number>();
          model.watch = () => {
            const elected = model.elected().sort((a, b) => (a.answer?.epoch ?? 0) - (b.answer?.epoch ?? 0));
            for (const { node, answer } of elected.slice(0, -1)) {
              const term = `${node} ${answer?.epoch}`;
              const steps = (overtaken.get(term) ?? 0) + 1;
              overtaken.set(term, steps);
              // Another claims; this one hears of it and looks. It may then be named the successor, and overtake the other.
              hold(steps <= 2, `at ${model.nowMs} ms ${names(elected)} publish, and not for the first time`);
            }
          };
          model.play(story);
          model.calm();
          model.run(times.settleMs);
        }),
        { numRuns: Math.ceil(2.5 * histories), examples: [wakesAndIsNamed], includeErrorInReport: true },
      );
    },
  },
  {
    name: 'who wakes up after it was replaced does not publish before it has looked around',
    kind: 'safety',
    check: always(undefined, (model, times) => {
      if (model.nodes.length === 1) return;
      const [winner] = settled(model, times).values();
      if (winner === undefined) return;
      winner.paused = true;
      model.run(times.settleMs);
      const [successor] = model.elected();
      hold(successor !== undefined, `nobody replaces ${winner.node}, which stands still`);
      winner.paused = false;
      unchanged(model, [successor], () => model.run(times.settleMs));
    }),
  },
  {
    name: 'who hears of a later epoch steps down at once',
    kind: 'safety',
    check: always(arbitraryStory, (model, times) => {
      settled(model, times);
      const highest = Math.max(...model.elected().map(({ answer }) => answer?.epoch ?? -1));
      const outdated = model.elected().filter(({ answer }) => answer?.epoch !== highest);
      for (const node of model.nodes) node.component = 0;
      // To speak, to hear, to look.
      model.run(3 * electionStepMs);
      const still = outdated.filter(({ elected }) => elected);
      hold(still.length === 0, `${names(still)} still publish after they have heard of epoch ${highest}`);
    }),
  },
  {
    name: 'when a cut heals, a publisher of the highest epoch stays, in that epoch',
    kind: 'safety',
    check: always(arbitraryStory, (model, times) => {
      settled(model, times);
      const highest = Math.max(...model.elected().map(({ answer }) => answer?.epoch ?? -1));
      const before = model.elected().filter(({ answer }) => answer?.epoch === highest);
      for (const node of model.nodes) node.component = 0;
      const after = settled(model, times).get(0) as ElectionNode;
      const { node, answer } = after;
      hold(before.includes(after), `${node} publishes, and before the healing ${names(before)} did`);
      hold(answer?.epoch === highest, `${node} publishes in epoch ${answer?.epoch}, and ${highest} was there`);
    }),
  },
  {
    name: 'a publisher that cannot publish hands over to one that can, soon',
    kind: 'safety',
    check: always(undefined, (model, times) => {
      if (model.nodes.length === 1) return;
      const [winner] = settled(model, times).values();
      if (winner === undefined) return;
      const before = winner.answer?.epoch ?? 0;
      winner.able = false;
      model.run(times.handOverMs);
      const [successor] = model.elected();
      hold(
        successor?.able === true,
        `${names(model.elected())} publish ${times.handOverMs} ms after it cannot any more`,
      );
      hold((successor.answer?.epoch ?? 0) > before, `${successor.node} publishes in no later epoch`);
    }),
  },
  {
    name: 'a publisher that leaves is replaced, soon',
    kind: 'safety',
    check: always(undefined, (model, times) => {
      if (model.nodes.length === 1) return;
      const [winner] = settled(model, times).values();
      if (winner === undefined) return;
      model.leave(winner);
      model.run(times.handOverMs);
      hold(model.elected().length === 1, `nobody publishes ${times.handOverMs} ms after ${winner.node} has left`);
    }),
  },
  {
    name: 'a publisher that is heard and publishes nothing is replaced',
    kind: 'publishing',
    check: always(undefined, (model, times) => {
      if (model.nodes.length === 1) return;
      const [winner] = settled(model, times).values();
      if (winner === undefined) return;
      const before = winner.answer?.epoch ?? 0;
      winner.stuck = true;
      model.run(times.publishMs);
      const [successor, ...more] = model.elected();
      hold(successor !== undefined && more.length === 0, `${names(model.elected())} publish, and one should`);
      hold(successor !== winner, `${winner.node} has published nothing for ${times.publishMs} ms, and stays`);
      hold((successor.answer?.epoch ?? 0) > before, `${successor.node} publishes in no later epoch`);
    }),
  },
  {
    name: 'a publisher that is asked to steps down, soon, and there is no moment without a publisher',
    kind: 'publishing',
    check: always(undefined, (model, times) => {
      const [winner] = settled(model, times).values();
      if (winner === undefined) return;
      winner.stepDown = true;
      model.watch = () => hold(model.elected().length > 0, `at ${model.nowMs} ms nobody publishes`);
      model.run(times.handOverMs);
      winner.stepDown = false;
      hold(
        model.nodes.length === 1 || !winner.elected,
        `${winner.node} still publishes ${times.handOverMs} ms after it was asked to step down`,
      );
      const [successor] = settled(model, times).values();
      model.watch = () => undefined;
      hold(model.nodes.length === 1 || successor !== winner, `${winner.node} publishes again`);
    }),
  },
  {
    name: 'while it is heard often enough a publisher stays, though others come, go, return and fall ill',
    kind: 'order',
    check: always(undefined, (model, times, at) => {
      const [winner] = settled(model, times).values();
      if (winner === undefined) return;
      const other = model.nodes.filter((node) => node !== winner)[at % Math.max(1, model.nodes.length - 1)];
      unchanged(model, [winner], () => {
        // The best there could be.
        model.add(-1);
        if (other !== undefined) model.kill(other);
        model.run(times.settleMs);
        if (other !== undefined) {
          model.start(other);
          model.run(times.settleMs);
          other.able = false;
          model.run(times.settleMs);
          other.able = true;
        }
        model.run(times.settleMs);
      });
    }),
  },
  {
    name: 'a short silence unseats nobody',
    kind: 'order',
    check: always(undefined, (model, times) => {
      const [winner] = settled(model, times).values();
      if (winner === undefined) return;
      const epoch = winner.answer?.epoch;
      winner.paused = true;
      model.run(times.patienceMs - 2 * electionStepMs);
      winner.paused = false;
      model.run(times.settleMs);
      hold(winner.elected && winner.answer?.epoch === epoch, `${winner.node} was replaced after a short silence`);
    }),
  },
];

/** Declares one test a law. `kinds`: which of them the rule is to keep; `histories`: how many each law draws. */
export function describeElection(
  name: string,
  rule: ElectionRule,
  {
    times = defaultElectionTimes,
    kinds = ['safety', 'order', 'publishing'] as readonly ElectionLaw['kind'][],
    histories = defaultHistories,
  } = {},
): void {
  describe(`election ${name}`, () => {
    test.each(electionLaws.filter(({ kind }) => kinds.includes(kind)))('$name', (law) => {
      expect(() => law.check(rule, times, histories)).not.toThrow();
    });
  });
}
