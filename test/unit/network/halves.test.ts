/** What the conformance suite sees across two halves of a time period is not held against a network. */
import { expect, test } from 'vitest';
import { createWorld } from './support.ts';

const forSeconds = 20;

async function stage(seed: string) {
  const { bench, clock, network } = await createWorld(seed);
  const tor = await bench.addTor('tor');
  const halfMs = 12 * network.votingSeconds * 1_000;
  let looks = 0;
  /** Sees, the first time only, another half begin. */
  const look = async (end: () => string): Promise<string> => {
    if (looks++ === 0) await clock.advance(halfMs);
    return end();
  };
  return { bench, tor, look, looks: () => looks };
}

test('what lasts into another half is looked at again, whether it saw something or threw', async () => {
  for (const first of ['seen', 'thrown']) {
    const { bench, tor, look, looks } = await stage(first);
    const end = (): string => {
      if (first === 'thrown' && looks() === 1) throw new Error('another half');
      return `look ${looks()}`;
    };
    await expect(bench.withinOneHalf(tor, forSeconds, () => look(end))).resolves.toBe('look 2');
  }
});

test('what throws within one half is not forgiven', async () => {
  const { bench, tor, looks, look } = await stage('one');
  await bench.withinOneHalf(tor, forSeconds, () => look(() => ''));
  const before = looks();
  const wrong = (): never => {
    throw new Error('wrong');
  };
  await expect(bench.withinOneHalf(tor, forSeconds, () => look(wrong))).rejects.toThrow('wrong');
  expect(looks()).toBe(before + 1);
});
