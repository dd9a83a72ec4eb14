import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { createCycleQueue } from '../../../core/pipeline/index.ts';

type Action = 'request' | 'end' | 'fail' | 'turn' | 'close';
const action = fc.constantFrom<Action>('request', 'request', 'request', 'end', 'end', 'fail', 'turn', 'turn', 'close');
const microtasks = async (): Promise<void> => {
  for (let count = 0; count < 10; count++) await Promise.resolve();
};

test('any interleaving of requests, ends, failures and a close: one at a time, every request answered once by a later cycle', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(action, { maxLength: 60 }), async (actions) => {
      const open: { reasons: readonly string[]; end(): void; fail(): void }[] = [];
      const answered: { reasons: readonly string[]; number: number }[] = [];
      let most = 0;
      let begun = 0;
      const queue = createCycleQueue<number>((reasons) => {
        const number = ++begun;
        answered.push({ reasons, number });
        return new Promise((resolve, reject) => {
          const leave = (): void => void open.splice(open.indexOf(run), 1);
          const run = {
            reasons,
            end: () => (leave(), resolve(number)),
            fail: () => (leave(), reject(new Error(`cycle ${number} failed`))),
          };
          open.push(run);
          most = Math.max(most, open.length);
        });
      });

      const requests: { reason: string; after: number; outcome: Promise<string>; settled: number }[] = [];
      let closed = false;
      let closing: Promise<void> | undefined;
      for (const [at, what] of actions.entries()) {
        if (what === 'request') {
          const request = { reason: `r${at}`, after: begun, outcome: Promise.resolve(''), settled: 0 };
          request.outcome = queue.request(request.reason).then(
            (number) => (request.settled++, `cycle ${number}`),
            (error: Error) => (request.settled++, error.message),
          );
          requests.push(request);
        } else if (what === 'turn') await microtasks();
        else if (what === 'close') {
          closing ??= queue.close(new Error('closed'));
          closed = true;
        } else open[0]?.[what]();
      }
      // Whatever still runs ends; with it everything that waits.
      for (let left = 0; left < actions.length + 2; left++) {
        await microtasks();
        open[0]?.end();
      }
      await microtasks();
      await closing;

      const broken: string[] = [];
      const hold = (what: string, holds: boolean): unknown => holds || broken.push(what);
      hold('one at a time', most <= 1);
      hold('idle at the end', !queue.running);
      for (const { reason, after, outcome, settled } of requests) {
        const told = await outcome;
        const by = answered.filter(({ reasons }) => reasons.includes(reason)).map(({ number }) => number);
        hold(`${reason} is answered once`, settled === 1);
        if (told === 'closed') hold(`${reason} is turned away by a close, and not run`, closed && by.length === 0);
        else {
          hold(`${reason} is in one cycle, begun later: ${by.join()}`, by.length === 1 && (by[0] ?? 0) > after);
          hold(`${reason} hears of its own cycle`, told.startsWith(`cycle ${by[0]}`));
        }
      }
      hold(
        'no cycle without a request',
        answered.every(({ reasons }) => reasons.length > 0),
      );
      expect(broken).toEqual([]);
    }),
    { numRuns: 500 },
  );
});
