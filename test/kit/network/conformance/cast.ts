/** Who plays in the conformance suite. The getters are for inside of checks: before the first one there is nobody. */
import type { TorInstance } from '../network.ts';
import type { Bench } from './bench.ts';

/** Where checks are declared: to vitest, or to a test of the checks that runs them itself. */
export interface Declare {
  group(name: string, body: () => void): void;
  before(work: () => Promise<void>, limitMs?: number): void;
  check(name: string, work: () => Promise<void>, limitMs?: number): void;
  /** One that mostly waits: left out of a quick run. */
  slowCheck(name: string, work: () => Promise<void>, limitMs?: number): void;
}

export interface Cast extends Declare {
  readonly bench: Bench;
  /** Has a SOCKS port, and a short SocksTimeout. */
  readonly client: TorInstance;
  /** Hosts services. */
  readonly head: TorInstance;
  /** Hosts what `head` has no room for. */
  readonly other: TorInstance;
  readonly quick: boolean;
  readonly wholeDay: boolean;
  readonly limitMs: number;
}
