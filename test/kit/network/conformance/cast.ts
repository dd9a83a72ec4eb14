/** Who plays in the conformance suite. The getters are for inside of checks: before the first one there is nobody. */
import type { TorInstance } from '../network.ts';
import type { Bench } from './bench.ts';

export interface Cast {
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
