/**
 * What the rest of Chimera may ask of a tor process. The `tor` plugin gives it over the control protocol;
 * nothing here knows whether the tor is Debian's or the embedded network's.
 */
import type { OnionAddress } from '../../onion/index.ts';
import type { Consensus } from '../../pipeline/model.ts';
import type { Endpoint } from '../../runtime/index.ts';
import { contract } from '../contract.ts';

/** `connecting` from the start and after a loss, `ready` once authenticated, `closed` for good. */
export type TorState = 'connecting' | 'ready' | 'closed';

export interface HsdirUpload {
  readonly fingerprint: string;
  readonly accepted: boolean;
  /** tor's REASON when not accepted (UPLOAD_REJECTED, UNEXPECTED, …), or TIMEOUT. */
  readonly reason?: string;
}

export interface FetchedDescriptor {
  readonly text: string;
  /** The HSDir that gave it. */
  readonly fingerprint: string;
}

/** One line of an asynchronous event, split: `words` are positional, `fields` the KEY=value ones (quotes removed). */
export interface TorEvent {
  readonly name: string;
  readonly words: readonly string[];
  readonly fields: Readonly<Record<string, string>>;
  /** The body of an event that carries data (HS_DESC_CONTENT). */
  readonly data?: string;
}

/** One setting of a SETCONF, in order; undefined resets it. */
export type TorSetting = readonly [option: string, value?: string];

export interface TorConnectOptions {
  /** Control port or unix socket. */
  readonly control: Endpoint;
  readonly password?: string;
  /** Overrides the cookie file that PROTOCOLINFO names. */
  readonly cookiePath?: string;
  /** Limit of one command's reply. Default 10 s. */
  readonly commandTimeoutMs?: number;
  /** A name for logs. */
  readonly name?: string;
}

/** One control connection that keeps itself alive: reconnects with back-off, authenticates, subscribes again. */
export interface TorClient {
  readonly name: string;
  readonly state: TorState;
  /** tor's version, once ready. */
  readonly version: string | undefined;
  /** Why it is not ready, while connecting after a failure. */
  readonly lastError: Error | undefined;
  /** Resolves when ready; rejects with the last error when `limitMs` passes first. */
  ready(limitMs: number): Promise<void>;
  /** Called at every change of state. Returns the unsubscriber. */
  onState(listener: (state: TorState) => void): () => void;
  /** Subscribes to an asynchronous event (CIRC, HS_DESC, …); survives reconnections. Returns the unsubscriber. */
  onEvent(name: string, listener: (event: TorEvent) => void): () => void;
  getInfo(key: string): Promise<string>;
  getConf(option: string): Promise<readonly string[]>;
  setConf(settings: readonly TorSetting[]): Promise<void>;
  signal(name: string): Promise<void>;
  closeCircuit(id: string): Promise<void>;
  /** The current consensus, cached until tor has another. */
  consensus(): Promise<Consensus>;
  /** Called when tor has a newer consensus. Returns the unsubscriber. */
  onConsensus(listener: (consensus: Consensus) => void): () => void;
  /** The text of desc_current of a service of this tor (GETINFO hs/service/desc/id); undefined while there is none. */
  serviceDescriptor(address: OnionAddress): Promise<string | undefined>;
  /**
   * HSFETCH from one named HSDir, or from one that tor chooses. Rejects with TOR_FETCH_FAILED (reason in the message) when it
   * has none. Concurrent fetches of one address are told apart by HSDir.
   */
  fetchDescriptor(
    address: OnionAddress,
    options?: { readonly server?: string; readonly timeoutMs?: number },
  ): Promise<FetchedDescriptor>;
  /** HSPOST to the named HSDirs; resolves with one result for each, once all have answered or the time is over. */
  postDescriptor(
    address: OnionAddress,
    descriptor: string,
    servers: readonly string[],
    options?: { readonly timeoutMs?: number },
  ): Promise<readonly HsdirUpload[]>;
  /** Sends one raw command line (no CR LF) and returns the reply's lines without their status codes. For what has no method here. */
  command(line: string, data?: string): Promise<readonly string[]>;
  close(): Promise<void>;
}

/** The node's tors: the one that publishes, and a way to others (heads in processes of their own). */
export interface Tor {
  readonly primary: TorClient;
  /** Opens another client; it is closed with the node. The same endpoint gives the same client. */
  connect(options: TorConnectOptions): TorClient;
}

export const torContract = contract<Tor>('tor');
