/**
 * Later lives of this node, of which it hears from others. One is its own, after its clock was set back: it goes above that at once.
 * Several in a row are those of another machine with the same keys (a clone), which goes above this one in turn: then each goes
 * above the other at most once in a while, so that the others do not pull the records of both without end, and the operator is told.
 */
import { ChimeraError } from '../../core/errors.ts';
import type { Clock, Log, Timer } from '../../core/runtime/index.ts';

/** So many are answered at once; one more, and there is a copy. */
const free = 3;
/** Between two answers after that. Whose last one is longer ago answers at once: until it has, the others believe what the copy said. */
const firstWaitMs = 1_000;
const longestWaitMs = 8_000;
/** After so long without another it is over, and would be told again. */
const forgetMs = 120_000;

export interface Copies {
  /** Calls `rise` now or in a while, once for all that are heard of meanwhile. */
  heardOf(rise: () => void): void;
  close(): void;
}

export function createCopies(options: { readonly clock: Clock; readonly log: Log; readonly node: string }): Copies {
  const { clock, log, node } = options;
  let count = 0;
  let lastAtMs = -Infinity;
  let answeredAtMs = -Infinity;
  let timer: Timer | undefined;
  let told = false;

  const tell = (): void => {
    if (told) return;
    told = true;
    const error = new ChimeraError('MESH_NODE_TAKEN', `another machine runs with the keys of this node, ${node}`, {
      remedy: 'stop one of the two; delete its identity file, and let it join as a node of its own',
    });
    log.error('this node has a copy', { error });
  };

  return {
    heardOf: (rise) => {
      if (timer !== undefined) return;
      const now = clock.monotonic();
      if (now - lastAtMs > forgetMs) [count, told] = [0, false];
      lastAtMs = now;
      count++;
      if (count > free) tell();
      const apartMs = count > free ? Math.min(longestWaitMs, firstWaitMs * 2 ** (count - free - 1)) : 0;
      const answer = (): void => {
        timer = undefined;
        answeredAtMs = clock.monotonic();
        rise();
      };
      const waitMs = answeredAtMs + apartMs - now;
      if (waitMs <= 0) answer();
      else timer = clock.after(waitMs, answer);
    },
    close: () => timer?.cancel(),
  };
}
