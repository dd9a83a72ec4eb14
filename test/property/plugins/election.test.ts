/** The shipped elections keep the laws of the kit, and each its own order. That the laws refuse wrong rules is in election-mistakes.test.ts. */
import { describe, expect, test } from 'vitest';
import { ElectionModel } from '../../kit/laws/election-model.ts';
import { describeElection } from '../../kit/laws/election.ts';
import { lawSettings as settings, ruleOfOrder } from '../../kit/laws/election-order.ts';
import {
  decide as decideBy,
  initialState,
  overtakenBy,
  type ElectionDecision,
  type ElectionInput,
  type ElectionState,
} from '../../../plugins/election/index.ts';
import { highestIdOrder } from '../../../plugins/election/highest-id/index.ts';
import { priorityOrder } from '../../../plugins/election/priority/index.ts';
import { timeHashOrder } from '../../../plugins/election/time-hash/index.ts';
import { uptimeOrder } from '../../../plugins/election/uptime/index.ts';

const priorityRule = ruleOfOrder(({ priority }) => priorityOrder(priority));

describeElection('priority', priorityRule);
// The machine around them is the same: fewer histories will do.
const few = { histories: 12 };
const uptimeRule = ruleOfOrder(() => uptimeOrder);
describeElection('uptime', uptimeRule, few);
const highestIdRule = ruleOfOrder(() => highestIdOrder);
describeElection('highest-id', highestIdRule, few);
const timeHashRule = ruleOfOrder(() => timeHashOrder);
describeElection('time-hash', timeHashRule, few);

describe('one node', () => {
  const self = { node: 'a', able: true, stepDown: false };
  const order = priorityOrder(1);
  const decide = (state: ElectionState, input: ElectionInput, _settings = settings): ElectionDecision =>
    decideBy(state, input, { order, settings });
  const alone = (nowMs: number, state: ElectionState): ElectionDecision =>
    decide(state, { nowMs, self, others: [], alone: true }, settings);

  test('alone is elected at once, in epoch 0, and after a restart in its own last epoch', () => {
    expect(alone(0, initialState({ nowMs: 0, settings }))).toMatchObject({ elected: true, epoch: 0 });
    expect(alone(0, initialState({ nowMs: 0, settings, highest: 4, ownTerm: true }))).toMatchObject({ epoch: 4 });
    expect(alone(0, initialState({ nowMs: 0, settings, highest: 4 }))).toMatchObject({ epoch: 5 });
  });

  test('alone has nobody to look out for: it looks again no sooner than something can have changed', () => {
    const first = alone(0, initialState({ nowMs: 0, settings }));
    expect(first.nextMs).toBe(settings.publishMs);
    const order = { order: priorityOrder(1), settings: { ...settings, termMs: 5_000 } };
    const { nextMs } = decideBy(first.state, { nowMs: 1_000, self, others: [], alone: true }, order);
    expect(nextMs).toBe(4_000);
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
    const named = { published: 0, successor: undefined };
    const successor = {
      node: 'b',
      merit: 5,
      ready: true,
      highest: 1,
      claim: 1,
      heardAtMs: 10_100,
      alive: true,
      ...named,
    };
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

describe('the orders', () => {
  /** The publishers in turn, each killed after the next has settled. */
  const succession = (model: ElectionModel, times: number): string[] => {
    const found: string[] = [];
    for (let turn = 0; turn < times; turn++) {
      model.run(10_000);
      const [publisher] = model.elected();
      if (publisher === undefined) break;
      found.push(publisher.node);
      model.kill(publisher);
    }
    return found;
  };

  test('priority: the lowest number, then the smaller id', () => {
    expect(succession(new ElectionModel(priorityRule, [2, 1, 1, 0]), 4)).toEqual(['n3', 'n1', 'n2', 'n0']);
  });

  test('highest-id: the greatest id', () => {
    expect(succession(new ElectionModel(highestIdRule, [0, 0, 0]), 3)).toEqual(['n2', 'n1', 'n0']);
  });

  test('uptime: who came first, whatever its id; a node that starts again goes to the end', () => {
    const model = new ElectionModel(uptimeRule, [0, 0]);
    model.run(5_000);
    const [first, second] = model.nodes;
    const third = model.add(0);
    model.run(5_000);
    if (first === undefined || second === undefined) throw new Error('two nodes');
    model.kill(second);
    model.run(5_000);
    model.start(second);
    expect(succession(model, 3)).toEqual([first.node, third.node, second.node]);
  });

  test('time-hash: each slot another draw, handed over without a gap, evenly', () => {
    const model = new ElectionModel(
      ruleOfOrder(() => timeHashOrder, { settings: { termMs: 10_000 } }),
      [0, 0, 0, 0],
    );
    model.run(5_000);
    model.watch = () => expect(model.elected().length).toBeGreaterThan(0);
    const slots = new Map<string, number>();
    let epoch = -1;
    for (let second = 0; second < 2_000; second++) {
      model.run(1_000);
      const [publisher] = model.elected();
      if (publisher?.answer === undefined || publisher.answer.epoch === epoch) continue;
      epoch = publisher.answer.epoch;
      slots.set(publisher.node, (slots.get(publisher.node) ?? 0) + 1);
    }
    expect(epoch).toBeGreaterThan(150);
    expect(slots.size).toBe(4);
    for (const count of slots.values()) expect(count).toBeGreaterThan(epoch / 8);
  });
});
