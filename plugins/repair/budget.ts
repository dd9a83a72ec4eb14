/** How often one kind of repair may be done: the wait after each doubles, with jitter, up to a limit, and an hour has a bound. */
import { jittered, type Random } from '../../core/runtime/index.ts';

export interface BudgetOptions {
  readonly random: Random;
  /** The wait after the first one, and the longest. */
  readonly minimumMs: number;
  readonly maximumMs: number;
  readonly perHour: number;
}

export interface Budget {
  /** True when one may be done now; counts it as done. */
  take(nowMs: number): boolean;
  /** True when the hour's bound is reached: until one of them is an hour old, none may be done. */
  spent(nowMs: number): boolean;
  /** It has helped: the next one waits no longer than the first. The bound of the hour stays. */
  reset(): void;
}

const hourMs = 3_600_000;

export function createBudget({ random, minimumMs, maximumMs, perHour }: BudgetOptions): Budget {
  let recent: number[] = [];
  let inARow = 0;
  let notBeforeMs = -Infinity;
  const spent = (nowMs: number): boolean => {
    recent = recent.filter((at) => nowMs - at < hourMs);
    return recent.length >= perHour;
  };
  return {
    spent,
    take: (nowMs) => {
      if (spent(nowMs) || nowMs < notBeforeMs) return false;
      recent.push(nowMs);
      notBeforeMs = nowMs + jittered(random, Math.min(maximumMs, minimumMs * 2 ** Math.min(inARow++, 20)), 0.25);
      return true;
    },
    reset: () => {
      inARow = 0;
      notBeforeMs = -Infinity;
    },
  };
}
