/** The laws of the election's rule, on a model of a network: nodes that look at each other every 100 ms, cuts, pauses, sick tors. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  compareRank,
  decide,
  initialState,
  overtakenBy,
  type Contender,
  type ElectionDecision,
  type ElectionSettings,
  type ElectionState,
} from '../../../plugins/election/priority/rule.ts';

const settings: ElectionSettings = { leaseMs: 2_000, confirmMs: 800, staggerMs: 500 };
const stepMs = 100;

interface Node {
  readonly node: string;
  readonly priority: number;
  able: boolean;
  paused: boolean;
  state: ElectionState;
  decision: ElectionDecision | undefined;
  /** What it knows of the others, and when it heard it. */
  readonly known: Map<string, Contender>;
}

class Model {
  readonly nodes: Node[];
  nowMs = 0;
  /** By node: its component. Nodes of one component hear each other. */
  component: number[];
  /** Every claim that began: who, in which epoch, and the highest epoch of others that it knew of. */
  readonly claims: { node: string; epoch: number; known: number }[] = [];
  readonly unseated: string[] = [];

  constructor(priorities: readonly number[]) {
    this.component = priorities.map(() => 0);
    this.nodes = priorities.map((priority, index) => ({
      node: `n${index}`,
      priority,
      able: true,
      paused: false,
      state: initialState({ nowMs: 0, settings }),
      decision: undefined,
      known: new Map(),
    }));
  }

  step(): void {
    this.nowMs += stepMs;
    for (const [index, self] of this.nodes.entries()) {
      if (self.paused) continue;
      for (const [other, { node, priority, able, state, paused }] of this.nodes.entries()) {
        if (other === index || paused || this.component[other] !== this.component[index]) continue;
        const { highest, claim } = state;
        self.known.set(node, { node, priority, able, highest, claim, heardAtMs: this.nowMs });
      }
      const others = [...self.known.values()];
      const { node, priority, able } = self;
      const before = self.state;
      const after = decide(
        before,
        { nowMs: this.nowMs, self: { node, priority, able }, others, alone: false },
        settings,
      );
      if (after.state.claim !== undefined && after.state.claim !== before.claim) {
        const known = Math.max(-1, ...others.flatMap(({ highest, claim }) => [highest ?? -1, claim ?? -1]));
        this.claims.push({ node, epoch: after.state.claim, known });
      }
      if ((after.state.highest ?? -1) < (before.highest ?? -1)) throw new Error('an epoch was forgotten');
      self.state = after.state;
      self.decision = after;
    }
  }

  run(forMs: number): void {
    for (let ms = 0; ms < forMs; ms += stepMs) this.step();
  }

  elected(component: number): Node[] {
    return this.nodes.filter(
      ({ decision, paused }, index) => this.component[index] === component && !paused && decision?.elected === true,
    );
  }
}

type Action =
  | { readonly kind: 'cut'; readonly components: readonly number[] }
  | { readonly kind: 'able' | 'pause'; readonly at: number }
  | { readonly kind: 'wait'; readonly ms: number };

const action: fc.Arbitrary<Action> = fc.oneof(
  fc.record({
    kind: fc.constant('cut' as const),
    components: fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 6, maxLength: 6 }),
  }),
  fc.record({ kind: fc.constantFrom('able' as const, 'pause' as const), at: fc.integer({ min: 0, max: 5 }) }),
  fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 100, max: 9_000 }) }),
);
const priorities = fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 1, maxLength: 6 });
const story = fc.array(action, { maxLength: 12 });

function play(model: Model, actions: readonly Action[]): void {
  for (const step of actions) {
    if (step.kind === 'cut') model.component = model.nodes.map((_node, index) => step.components[index] ?? 0);
    else if (step.kind === 'wait') model.run(step.ms);
    else {
      const node = model.nodes[step.at % model.nodes.length] as Node;
      if (step.kind === 'able') node.able = !node.able;
      else node.paused = !node.paused;
      model.run(stepMs);
    }
  }
}

/** All awake and able; the cuts stay. Long enough for everybody's lease, listening and turn. */
function calm(model: Model): void {
  for (const node of model.nodes) {
    node.able = true;
    node.paused = false;
  }
  model.run(2 * settings.leaseMs + settings.confirmMs + settings.staggerMs * model.nodes.length + 1_000);
}

describe('whatever happened before', () => {
  test('in a calm component exactly one node is elected, all agree, and it stays', () => {
    fc.assert(
      fc.property(priorities, story, (order, actions) => {
        const model = new Model(order);
        play(model, actions);
        calm(model);
        const winners = new Map<number, [string, number]>();
        for (const component of new Set(model.component)) {
          const [winner, ...more] = model.elected(component);
          expect(more).toEqual([]);
          if (winner === undefined) throw new Error('nobody is elected');
          winners.set(component, [winner.node, winner.decision?.epoch ?? -1]);
        }
        const all = model.nodes.map(({ decision }) => [decision?.publisher, decision?.epoch]);
        expect(all).toEqual(model.nodes.map((_node, index) => winners.get(model.component[index] ?? 0)));
        const claims = model.claims.length;
        model.run(10_000);
        expect(model.claims.length).toBe(claims);
      }),
      { numRuns: 150 },
    );
  });

  test('a claim begins above every epoch that its node knew of', () => {
    fc.assert(
      fc.property(priorities, story, (order, actions) => {
        const model = new Model(order);
        play(model, actions);
        calm(model);
        for (const { epoch, known } of model.claims) expect(epoch).toBeGreaterThan(known);
        const epochs = new Map<string, number>();
        for (const { node, epoch } of model.claims) {
          expect(epoch).toBeGreaterThan(epochs.get(node) ?? -1);
          epochs.set(node, epoch);
        }
      }),
      { numRuns: 150 },
    );
  });

  test('when a cut heals, the highest epoch stays, and its publisher; nobody is unseated for a better priority', () => {
    fc.assert(
      fc.property(priorities, story, (order, actions) => {
        const model = new Model(order);
        play(model, actions);
        calm(model);
        const publishers = [...new Set(model.component)].map((component) => model.elected(component)[0] as Node);
        const highest = Math.max(...publishers.map(({ decision }) => decision?.epoch ?? -1));
        const best = publishers
          .filter(({ decision }) => decision?.epoch === highest)
          .sort(compareRank)
          .map(({ node }) => node);
        model.component = model.component.map(() => 0);
        model.run(15_000);
        expect(model.elected(0).map(({ node, decision }) => [node, decision?.epoch])).toEqual([[best[0], highest]]);
      }),
      { numRuns: 150 },
    );
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

  test('alone follows a later epoch at once, and with others known only after a wait that doubles', () => {
    const first = alone(0, initialState({ nowMs: 0, settings }));
    const next = overtakenBy(first.state, 6, { nowMs: 10, othersKnown: false, settings });
    expect(alone(10, next)).toMatchObject({ elected: true, epoch: 7 });
    const waits = overtakenBy(first.state, 6, { nowMs: 10, othersKnown: true, settings });
    expect(waits.overtaken).toEqual({ epoch: 6, untilMs: 30_010 });
    expect(alone(30_009, waits)).toMatchObject({ elected: false, publisher: 'a' });
    const again = alone(30_010, waits);
    expect(again).toMatchObject({ elected: true, epoch: 7 });
    expect(overtakenBy(again.state, 8, { nowMs: 30_010, othersKnown: true, settings }).overtaken?.untilMs).toBe(90_010);
  });

  test('is not elected after standing still for longer than a lease, until it has listened for one', () => {
    const input = { self, others: [], alone: false };
    let decision = decide(initialState({ nowMs: 0, settings }), { ...input, nowMs: 0 }, settings);
    for (let nowMs = 0; nowMs <= 2_000; nowMs += 500) decision = decide(decision.state, { ...input, nowMs }, settings);
    expect(decision).toMatchObject({ elected: true, epoch: 0 });
    const woken = decide(decision.state, { ...input, nowMs: 10_000 }, settings);
    expect(woken).toMatchObject({ elected: false, publisher: 'a' });
    const successor = { node: 'b', priority: 5, able: true, highest: 1, claim: 1, heardAtMs: 10_100 };
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
