/** Panic mode in the lab: what the story holds against a service, played to it by hand on a virtual clock. */
import { expect, test } from 'vitest';
import { panicStory, tally } from '../../kit/lab/panic.ts';
import type { Visit } from '../../kit/lab/visitor.ts';
import { createVirtualClock } from '../../kit/sim/virtual-clock.ts';

const turnMs = 45_000;

interface Play {
  /** Seconds after `panic on` in which no client gets an answer. */
  readonly down?: readonly [number, number];
  /** It goes on turning after `panic off`. */
  readonly restless?: boolean;
  /** The wheel hangs. */
  readonly stuck?: boolean;
}

/** What the lab checked, in order. */
async function played({
  down,
  restless = false,
  stuck = false,
}: Play): Promise<readonly (readonly [boolean, string])[]> {
  const clock = createVirtualClock();
  const checks: (readonly [boolean, string])[] = [];
  let onAt: number | undefined;
  let offAt: number | undefined;
  const sets = [
    ['a', 'b', 'c'],
    ['d', 'e', 'f'],
  ];
  const visit = async (): Promise<Visit> => {
    const second = onAt === undefined ? -1 : (clock.monotonic() - onAt) / 1_000;
    if (down === undefined || second < down[0] || second >= down[1]) return { head: 'a', durationMs: 0 };
    return { head: undefined, durationMs: 0, reason: 'refused' };
  };
  const story = panicStory({
    clock,
    turnMs,
    turns: 3,
    panic: async (on) => {
      onAt ??= clock.monotonic();
      if (!on) offAt = clock.monotonic();
    },
    published: () => {
      const turn = onAt === undefined ? -1 : Math.floor((clock.monotonic() - onAt) / turnMs);
      const calm = offAt !== undefined && (!restless || clock.monotonic() - offAt < 10_000);
      if (turn < 0 || calm) return { heads: sets.flat(), publisher: 'a' };
      return { heads: sets[stuck ? 0 : turn % 2] ?? [], publisher: turn % 2 === 0 ? 'a' : 'd' };
    },
    clients: { somebody: visit },
    until: async (what, limitMs, look) => {
      const end = clock.monotonic() + limitMs;
      for (;;) {
        const found = look();
        if (found !== undefined) return found;
        if (clock.monotonic() > end) throw new Error(`${what}: not within ${limitMs / 1_000} s`);
        await clock.sleep(50);
      }
    },
    step: () => undefined,
    note: () => undefined,
    check: (held, text) => void checks.push([held, text]),
  });
  await clock.runFor(story, 600_000);
  return checks;
}

test('three turns, and calm afterwards: everything held', async () => {
  const checks = await played({});
  expect(checks.map(([held]) => held)).toEqual([true, true, true]);
  expect(checks[0]?.[1]).toBe('3 turns, 2 sets of heads, 2 publishers');
});

test('nine seconds without an answer are told, eleven are too long', async () => {
  const nine = (await played({ down: [50, 59] })).at(-1);
  expect(nine?.[0]).toBe(true);
  expect(nine?.[1]).toMatch(/9 failed, nothing for 9\.\d s at most/);
  const eleven = (await played({ down: [50, 61] })).at(-1);
  expect(eleven?.[0]).toBe(false);
});

test('an answer that takes eleven seconds is an outage too', async () => {
  const clock = createVirtualClock();
  let made = 0;
  const slow = async (): Promise<Visit> => {
    await clock.sleep(11_000);
    made++;
    return { head: 'a', durationMs: 11_000 };
  };
  const seen = await clock.runFor(
    tally(clock, slow, () => made > 0),
    60_000,
  );
  expect(seen).toEqual({ visits: 1, failed: 0, longestOutageMs: 11_000 });
});

test('a wheel that hangs ends the story', async () => {
  await expect(played({ stuck: true })).rejects.toThrow('turn 1: not within 75 s');
});

test('a descriptor that goes on turning after panic is off does not hold', async () => {
  expect((await played({ restless: true }))[1]?.[0]).toBe(false);
});
