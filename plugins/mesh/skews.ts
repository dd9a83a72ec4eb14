/** How far the members' wall clocks are ahead of this node's. For people: it is shown, and logged when it is much; nothing depends on it. */
import { ChimeraError } from '../../core/errors.ts';
import type { Clock, Log } from '../../core/runtime/index.ts';

const largestSkewMs = 30_000;

export class Skews {
  readonly all = new Map<string, number>();
  readonly #clock: Clock;
  readonly #log: Log;

  constructor(clock: Clock, log: Log) {
    this.#clock = clock;
    this.#log = log;
  }

  /** A member's wall clock showed `wallMs` between a question, sent at `sentAtMs` of the monotonic clock, and now. */
  told(member: string, wallMs: number, sentAtMs: number): void {
    const middleMs = this.#clock.now() - (this.#clock.monotonic() - sentAtMs) / 2;
    const skewMs = Math.round(wallMs - middleMs);
    const before = Math.abs(this.all.get(member) ?? 0);
    this.all.set(member, skewMs);
    if (Math.abs(skewMs) <= largestSkewMs || before > largestSkewMs) return;
    const seconds = Math.round(Math.abs(skewMs) / 1_000);
    const error = new ChimeraError(
      'MESH_CLOCK_SKEW',
      `the wall clock of ${member} is ${seconds} s ${skewMs > 0 ? 'ahead of' : 'behind'} this node’s`,
      { remedy: 'set the clock of the one that is wrong; nothing in the cluster depends on it, but tor does' },
    );
    this.#log.warn('the wall clock of a member stands otherwise than this node’s', { member, skewMs, error });
  }
}
