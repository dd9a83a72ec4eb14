/** What is compared: a publisher of one master address, with the heads that it publishes for. */
import type { OnionAddress } from '../../../core/onion/index.ts';
import type { ProcessUsage } from '../../kit/network/network.ts';
import type { PrivateTor } from '../../kit/network/private/index.ts';

export interface Head {
  /** What its site answers. */
  readonly name: string;
  readonly tor: PrivateTor;
}

export interface Publisher {
  readonly name: string;
  readonly master: OnionAddress;
  readonly heads: readonly Head[];
  /** Addresses of heads that run without the publisher. */
  readonly backends: readonly OnionAddress[];
  /** The tor that uploads the master's descriptors; undefined when there is nothing to count. */
  readonly uploader: PrivateTor | undefined;
  /** Starts publishing. The backends' own descriptors can be fetched by then. */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Of the publisher's process; undefined without one. */
  usage(): Promise<ProcessUsage | undefined>;
  /** The end of what the publisher has said, for a failed run. */
  output(): string;
}
