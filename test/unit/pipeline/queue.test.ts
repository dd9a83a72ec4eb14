import { expect, test } from 'vitest';
import { createCycleQueue } from '../../../core/pipeline/index.ts';

/** A run that ends when told to. */
function scripted() {
  const runs: { reasons: readonly string[]; end: (value: string) => void; fail: (error: Error) => void }[] = [];
  const queue = createCycleQueue<string>(
    (reasons) =>
      new Promise((resolve, reject) => {
        runs.push({ reasons, end: resolve, fail: reject });
      }),
  );
  return { queue, runs };
}
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('requests of one moment are one cycle, which answers all of them', async () => {
  const { queue, runs } = scripted();
  const answers = [queue.request('a'), queue.request('b'), queue.request('a')];
  await turn();
  expect(runs.map(({ reasons }) => reasons)).toEqual([['a', 'b']]);
  runs[0]?.end('done');
  expect(await Promise.all(answers)).toEqual(['done', 'done', 'done']);
  await turn();
  expect(queue.running).toBe(false);
});

test('requests during a cycle wait for the next one, together, and never two run at once', async () => {
  const { queue, runs } = scripted();
  const first = queue.request('a');
  await turn();
  const second = queue.request('b');
  const third = queue.request('c');
  await turn();
  expect(runs).toHaveLength(1);
  runs[0]?.end('one');
  expect(await first).toBe('one');
  await turn();
  expect(runs.map(({ reasons }) => reasons)).toEqual([['a'], ['b', 'c']]);
  runs[1]?.end('two');
  expect([await second, await third]).toEqual(['two', 'two']);
});

test('a rejection reaches its requesters and no others', async () => {
  const { queue, runs } = scripted();
  const first = queue.request('a');
  await turn();
  const second = queue.request('b');
  runs[0]?.fail(new Error('broken'));
  await expect(first).rejects.toThrow('broken');
  await turn();
  runs[1]?.end('fine');
  expect(await second).toBe('fine');
});

test('a run that throws at once is a rejection, and the queue goes on', async () => {
  let calls = 0;
  const queue = createCycleQueue<string>(() => {
    calls++;
    if (calls === 1) throw new Error('at once');
    return Promise.resolve('fine');
  });
  await expect(queue.request('a')).rejects.toThrow('at once');
  expect(await queue.request('b')).toBe('fine');
});

test('closing refuses new requests, rejects those that wait, and ends with the running cycle', async () => {
  const { queue, runs } = scripted();
  const running = queue.request('a');
  await turn();
  const waiting = queue.request('b');
  let closed = false;
  const closing = queue.close(new Error('stopping')).then(() => (closed = true));
  await expect(waiting).rejects.toThrow('stopping');
  await expect(queue.request('c')).rejects.toThrow('stopping');
  expect(closed).toBe(false);
  runs[0]?.end('done');
  expect(await running).toBe('done');
  await closing;
  expect(runs).toHaveLength(1);
});

test('closing an idle queue ends at once', async () => {
  const { queue } = scripted();
  await queue.close(new Error('stopping'));
  expect(queue.running).toBe(false);
});
