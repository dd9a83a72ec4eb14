/**
 * What a small Tor network offers to a lab, a conformance suite or a test, whether it is made of real tor processes
 * (private/) or lives in this process (embedded). Every tor is met the way a real one is: over a control port and a
 * SOCKS port. Enter through `startPrivateNetwork` or the embedded network's own start function.
 */
import type { Endpoint } from '../../../core/runtime/index.ts';

export interface TorNetwork {
  readonly kind: 'embedded' | 'real';
  /** Seconds between two consensuses. Tor's "day" (a time period) is 24 of them. */
  readonly votingSeconds: number;
  /** Relays that keep onion service descriptors, authorities included, once `ready` has resolved. */
  readonly hsdirCount: number;
  /** Every tor added so far and not removed by `stop`, in the order of its adding. */
  readonly tors: readonly TorInstance[];
  /** Starts one more tor, a client or a head's host. Resolves when its control port answers; `bootstrapped()` for the rest. */
  addTor(options: AddTorOptions): Promise<TorInstance>;
  /** Resolves when onion services can work: a live consensus with every HSDir in it and, of the tors added so far, every one bootstrapped. */
  ready(progress?: (text: string) => void): Promise<void>;
  /** Stops every tor and removes what they left (unless told to keep it). May be called more than once; never rejects because something was gone already. */
  stop(): Promise<void>;
}

export interface AddTorOptions {
  /** Unique in the network, fit for a file name: letters, digits, `-`. */
  readonly name: string;
  /** Opens a SOCKS port. Default false. */
  readonly socks?: boolean;
  /** More torrc options by torrc's names; an array gives one line for each item, in order. */
  readonly config?: TorrcOptions;
}

export type TorrcOptions = Readonly<Record<string, string | readonly string[]>>;

export type TorSignal = 'SIGKILL' | 'SIGTERM' | 'SIGSTOP' | 'SIGCONT';

export interface TorInstance {
  readonly name: string;
  readonly control: Endpoint;
  /** Undefined unless asked for in `addTor`. */
  readonly socks: Endpoint | undefined;
  /** The control port's authentication cookie, a file of 32 bytes; undefined when the control port needs none. */
  readonly cookiePath: string | undefined;
  readonly dataDirectory: string;
  /** True from the start until the process has ended, also while it is stopped by SIGSTOP. */
  readonly running: boolean;
  /** Resolves when this tor can build circuits (bootstrap 100 %). */
  bootstrapped(): Promise<void>;
  /** Sends a signal, SIGKILL unless told otherwise. After SIGKILL and SIGTERM it resolves when the process has ended. */
  kill(signal?: TorSignal): Promise<void>;
  /** Starts it again after `kill`, or ends and starts it: same data directory, same ports. Resolves when the control port answers. */
  restart(): Promise<void>;
  /** What the process has used since it was started. Undefined when there is no process of its own to measure. */
  usage(): Promise<ProcessUsage | undefined>;
}

export interface ProcessUsage {
  /** User and system time, seconds. */
  readonly cpuSeconds: number;
  /** Resident set, bytes. */
  readonly residentBytes: number;
}
