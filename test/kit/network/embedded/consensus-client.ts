/**
 * How one tor follows the consensus: as a client it fetches the next one well after the current has gone stale, at a moment
 * of its own (networkstatus.c), so that tors disagree for a while.
 */
import type { SimulatedConsensus } from './consensus.ts';
import type { NetworkContext } from './context.ts';
import type { Random } from '../../../../core/runtime/index.ts';
import type { SimulatedProcess } from './simulated-process.ts';
import type { Uplink } from './uplink.ts';

/** Tor still works with a consensus that has run out this many seconds ago. */
const reasonablyLiveSeconds = 24 * 3600;

export class ConsensusClient {
  readonly #network: NetworkContext;
  readonly #process: SimulatedProcess;
  readonly #random: Random;
  readonly #uplink: Uplink;
  readonly #arrived: () => void;
  #current: SimulatedConsensus | undefined;

  constructor(network: NetworkContext, process: SimulatedProcess, random: Random, uplink: Uplink, arrived: () => void) {
    this.#network = network;
    this.#process = process;
    this.#random = random;
    this.#uplink = uplink;
    this.#arrived = arrived;
  }

  /** `now` in unix seconds. */
  current(now: number): SimulatedConsensus | undefined {
    const current = this.#current;
    return current !== undefined && now <= current.validUntil + reasonablyLiveSeconds ? current : undefined;
  }

  /** Takes the newest consensus now, and the next ones in their time. */
  fetch(): void {
    const newest = this.#network.newestConsensus();
    const isNew = newest !== this.#current;
    this.#current = newest;
    const { validAfter, freshUntil } = newest.times;
    const interval = freshUntil - validAfter;
    const start = freshUntil + Math.floor((interval * 3) / 4);
    const span = Math.max(1, Math.floor(((newest.validUntil - start) * 7) / 8));
    const at = start + this.#random.int(span);
    const delayMs = Math.max(1000, at * 1000 - this.#network.clock.now());
    this.#process.after(delayMs, () => this.#uplink.when(() => this.fetch()));
    if (isNew) this.#arrived();
  }
}
