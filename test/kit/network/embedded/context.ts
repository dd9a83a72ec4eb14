/** What the parts of one simulated tor share: its process, its view of the consensus, its circuits, its options. */
import type { HsdirRing, Relay, TimePeriod } from '../../../../core/onion/index.ts';
import type { Clock, Log, Net, Random, Store } from '../../../../core/runtime/index.ts';
import type { CircuitTable } from './circuits.ts';
import type { Configuration } from './configuration.ts';
import type { SimulatedConsensus } from './consensus.ts';
import type { EventBus } from './event-bus.ts';
import type { LatencyProfile } from './latency.ts';
import type { SimulatedRelay } from './relay.ts';
import type { SimulatedProcess } from './simulated-process.ts';
import type { Uplink } from './uplink.ts';

/** What all tors of a network share. */
export interface NetworkContext {
  readonly clock: Clock;
  readonly latency: LatencyProfile;
  readonly faults: NetworkFaults;
  readonly log: Log;
  /** The relay, also one that is in no consensus any more. */
  relay(fingerprint: string): SimulatedRelay | undefined;
  ring(relays: readonly Relay[], srv: Uint8Array, period: TimePeriod): HsdirRing;
  newestConsensus(): SimulatedConsensus;
}

/** Faults of the network as a whole, to be switched at any time. */
export interface NetworkFaults {
  /**
   * Share (0 to 1) of introduction circuits that go on answering INTRODUCE1 with an ACK after their service has died, as was
   * seen on real networks. Default 0.
   */
  lingeringIntroductions: number;
  /** How long they do, milliseconds. */
  lingeringMs: number;
}

export interface TorContext {
  readonly name: string;
  readonly network: NetworkContext;
  readonly clock: Clock;
  readonly random: Random;
  readonly net: Net;
  readonly store: Store;
  readonly log: Log;
  readonly process: SimulatedProcess;
  readonly events: EventBus;
  readonly uplink: Uplink;
  readonly circuits: CircuitTable;
  readonly configuration: Configuration;
  /** Undefined before the bootstrap, and when the last one has run out. */
  consensus(): SimulatedConsensus | undefined;
  /** Wall clock, unix seconds. */
  now(): number;
}
