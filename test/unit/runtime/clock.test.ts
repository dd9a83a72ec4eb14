import { describe, expect, test } from 'vitest';
import {
  formatTime,
  jittered,
  shuffled,
  systemClock,
  systemRandom,
  withDeadline,
} from '../../../core/runtime/index.ts';
import { createSeededRandom } from '../../kit/sim/seeded-random.ts';
import { createVirtualClock } from '../../kit/sim/virtual-clock.ts';

const never = (): Promise<never> => new Promise(() => undefined);
const late = (): Error => new Error('late');

describe('withDeadline', () => {
  test('gives what the work gives, and leaves no timer', async () => {
    const clock = createVirtualClock();
    expect(await withDeadline(clock, 1000, late, async () => 7)).toBe(7);
    expect(clock.pending).toBe(0);
  });

  test('passes on what the work rejects with or throws, and leaves no timer', async () => {
    const clock = createVirtualClock();
    await expect(withDeadline(clock, 1000, late, () => Promise.reject(new Error('broken')))).rejects.toThrow('broken');
    const thrown = (): Promise<never> => {
      throw new Error('at once');
    };
    await expect(withDeadline(clock, 1000, late, thrown)).rejects.toThrow('at once');
    expect(clock.pending).toBe(0);
  });

  test('rejects on time although the work goes on, and tells it', async () => {
    const clock = createVirtualClock();
    let told: unknown;
    const outcome = withDeadline(clock, 1000, late, (signal) => {
      signal.addEventListener('abort', () => (told = signal.reason));
      return never();
    });
    await expect(clock.runFor(outcome, 5000)).rejects.toThrow('late');
    expect(clock.monotonic()).toBe(1000);
    expect(told).toMatchObject({ message: 'late' });
  });

  test('ends with the outer signal’s reason, also when that is aborted already', async () => {
    const clock = createVirtualClock();
    const outer = new AbortController();
    let inner: AbortSignal | undefined;
    const outcome = withDeadline(clock, 1000, late, (signal) => ((inner = signal), never()), outer.signal);
    outer.abort(new Error('stopping'));
    await expect(outcome).rejects.toThrow('stopping');
    expect(inner?.aborted).toBe(true);
    expect(clock.pending).toBe(0);
    await expect(withDeadline(clock, 1000, late, never, outer.signal)).rejects.toThrow('stopping');
  });

  test('work that rejects after the deadline harms nobody', async () => {
    const clock = createVirtualClock();
    const outcome = withDeadline(clock, 10, late, async () => {
      await clock.sleep(100);
      throw new Error('much later');
    });
    await expect(clock.runFor(outcome, 5000)).rejects.toThrow('late');
    await clock.advance(1000);
  });
});

describe('systemClock', () => {
  test('a sleep ends with its signal, or did not begin', async () => {
    const controller = new AbortController();
    const sleeping = systemClock.sleep(60_000, controller.signal);
    controller.abort(new Error('enough'));
    await expect(sleeping).rejects.toThrow('enough');
    await expect(systemClock.sleep(60_000, controller.signal)).rejects.toThrow('enough');
  });

  test('a delay beyond what node’s timers hold does not fire at once', async () => {
    let fired = false;
    const timer = systemClock.after(Number.MAX_SAFE_INTEGER, () => (fired = true));
    await systemClock.sleep(5);
    timer.cancel();
    expect(fired).toBe(false);
  });

  test('the monotonic clock does not go back', async () => {
    const before = systemClock.monotonic();
    await systemClock.sleep(1);
    expect(systemClock.monotonic()).toBeGreaterThanOrEqual(before);
    expect(Math.abs(systemClock.now() - Date.now())).toBeLessThan(60_000);
  });
});

test('formatTime', () => {
  expect(formatTime(1_795_200_000)).toBe('2026-11-20 18:40:00 UTC');
  expect(formatTime(9e15)).toBe('9000000000000000 s');
});

describe('chance', () => {
  test.each([
    ['the system’s', systemRandom],
    ['a seeded one', createSeededRandom(1)],
  ])('%s stays in its ranges', (_name, random) => {
    expect(random.bytes(32)).toHaveLength(32);
    for (let round = 0; round < 200; round++) {
      const float = random.float();
      expect(float >= 0 && float < 1).toBe(true);
      expect([0, 1, 2]).toContain(random.int(3));
      const around = jittered(random, 100, 0.2);
      expect(around >= 80 && around <= 120).toBe(true);
    }
  });

  test('shuffled gives all items in another list, every order as likely', () => {
    const items = [1, 2, 3];
    const orders = new Map<string, number>();
    const random = createSeededRandom('orders');
    for (let round = 0; round < 6000; round++) {
      const order = shuffled(random, items).join('');
      orders.set(order, (orders.get(order) ?? 0) + 1);
    }
    expect(items).toEqual([1, 2, 3]);
    expect(orders.size).toBe(6);
    // 1,000 each; the standard deviation is 29.
    for (const count of orders.values()) expect(Math.abs(count - 1000)).toBeLessThan(150);
  });
});
