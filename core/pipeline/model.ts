/**
 * The words of the pipeline, as types. Everything that a hook, a strategy, a merge policy or an election rule sees is here,
 * read-only. Times in milliseconds end in `Ms`; `…At` is a wall clock in Unix milliseconds.
 */
import type {
  ConsensusTimes,
  DescriptorSlots,
  IntroPoint,
  OnionAddress,
  PeriodRules,
  Relay,
  RingRules,
  ServiceFeatures,
  SharedRandom,
  SlotName,
  TimePeriod,
} from '../onion/index.ts';

/** What of the consensus the onion protocol needs. The same object as long as the consensus is the same. */
export interface Consensus {
  readonly times: ConsensusTimes;
  readonly rules: PeriodRules;
  readonly ringRules: RingRules;
  readonly sharedRandom: SharedRandom;
  /** Relays that may be on an HSDir ring: flag HSDir, protover HSDir=2, ed25519 identity known. */
  readonly hsdirs: readonly Relay[];
  /** Consensus parameter cc_sendme_inc, in cells. */
  readonly sendmeIncrement: number;
}

/** `node/head`: names one head in the cluster. */
export type HeadId = string;

/** Where a head's descriptor was read: from its own tor, or from an HSDir as a client would. */
export type Provenance = 'service' | 'hsdir';

/**
 * What `gather` collects: a head and its own signed descriptor. Nothing in it is believed before the pipeline has verified
 * the descriptor against the address.
 */
export interface HeadReport {
  readonly head: HeadId;
  readonly node: string;
  /** The head's own onion address; the master address itself in shared-identity mode. */
  readonly address: OnionAddress;
  readonly descriptor: string;
  readonly provenance: Provenance;
  readonly observedAt: number;
}

/** An introduction point of a verified head that may go into the descriptor. */
export interface Candidate {
  /** introPointId(): the intro point's auth key, base64url. */
  readonly id: string;
  readonly head: HeadId;
  readonly node: string;
  readonly provenance: Provenance;
  readonly introPoint: IntroPoint;
  /** Features of the descriptor that it came from. */
  readonly features: ServiceFeatures;
}

/** A verified head with its candidates, as strategies and merge policies see it. */
export interface HeadView {
  readonly head: HeadId;
  readonly node: string;
  readonly candidates: readonly Candidate[];
  /** 0 when calm; above 0 how far beyond its threshold the head is (1 = at it). */
  readonly siege: number;
}

/** What a strategy decides on. */
export interface View {
  readonly nowMs: number;
  readonly heads: readonly HeadView[];
  /** Ids of the candidates in the last confirmed descriptor. */
  readonly live: readonly string[];
  readonly epoch: number;
  /** At most this many introduction points go into one descriptor. */
  readonly maximumIntroPoints: number;
  /**
   * The same on every node that may publish, unknown to everybody else, and never another: a plan that derives from it and
   * `nowMs` goes on when another node publishes, and nobody outside foresees it. Empty where there is none.
   */
  readonly seed: string;
}

/** Which candidates are live now, by id; and why, in a few words. */
export interface Rotation {
  readonly live: readonly string[];
  readonly why: string;
  /**
   * Live candidates that belong together, by id: those of one sub-master, between which `merge/stacked` divides the places, or
   * those of one descriptor of several (`merge/distinct`). Other merge policies do not look at it.
   */
  readonly groups?: readonly (readonly string[])[];
}

/**
 * The outcome of a merge: one set of candidates, or several where each responsible HSDir gets one of them
 * (distinct descriptors). Each set has 1 to 20 members.
 */
export interface Merged {
  readonly sets: readonly (readonly Candidate[])[];
}

/** One descriptor (first or second), signed, with the HSDirs that each text goes to. */
export interface SealedDescriptor {
  readonly slot: SlotName;
  readonly period: TimePeriod;
  readonly blindedKey: Uint8Array;
  readonly revision: bigint;
  /** One text per merged set. */
  readonly texts: readonly string[];
  /** All responsible HSDirs in ring order; `text` indexes `texts`; `fetched` when a client may ask this one. */
  readonly targets: readonly { readonly relay: Relay; readonly text: number; readonly fetched: boolean }[];
}

export interface Sealed {
  readonly address: OnionAddress;
  readonly slots: DescriptorSlots;
  readonly descriptors: readonly SealedDescriptor[];
}

export interface Upload {
  readonly slot: SlotName;
  readonly fingerprint: string;
  readonly accepted: boolean;
  readonly reason?: string;
}

/** What a fetch-back found at one HSDir. */
export interface Confirmation {
  readonly fingerprint: string;
  readonly confirmed: boolean;
  readonly reason?: string;
  /** The counter of what the HSDir has, when it has something. */
  readonly revision?: bigint;
}

/** What is known of the last descriptor pair that was published. */
export interface Published {
  /** Candidate ids of all sets. */
  readonly live: readonly string[];
  /** Which sets, as text: equal when a new merge would publish the same content. */
  readonly content: string;
  /** Which periods, SRVs and HSDirs, as text: equal while the same HSDirs hold the same blinded keys. */
  readonly placement: string;
  /** The publisher's term in which it was published. In a later one others may have published since. */
  readonly epoch: number;
  readonly publishedAt: number;
  /** Monotonic time of the publication, for schedules. */
  readonly publishedAtMonotonicMs: number;
  /** Unix seconds: the descriptor's first certificate expires. */
  readonly certificatesExpireAt: number;
  readonly confirmed: boolean;
}

export const cycleSteps = [
  'admit',
  'gather',
  'sift',
  'rotate',
  'merge',
  'review',
  'seal',
  'upload',
  'confirm',
] as const;
export type CycleStep = (typeof cycleSteps)[number];

/**
 * `published`: confirmed at the HSDirs · `unconfirmed`: uploaded, but the fetch-back did not find it everywhere ·
 * `unchanged`: nothing new to say, nothing sent · `standby`: another node publishes · `refused`: a plugin's veto ·
 * `failed`: a step failed; what was published before stays.
 */
export type CycleOutcome = 'published' | 'unconfirmed' | 'unchanged' | 'standby' | 'refused' | 'failed';

/** A plugin's failure that did not end the cycle. */
export interface Fault {
  readonly plugin: string;
  readonly step: CycleStep | 'background' | 'signal' | 'settled';
  readonly error: Error;
}

export interface CycleResult {
  readonly number: number;
  /** Why it ran: the reasons of all requests that it answers. */
  readonly reasons: readonly string[];
  readonly outcome: CycleOutcome;
  /** One sentence: what happened and why. */
  readonly why: string;
  /** The step that it ended in. */
  readonly step: CycleStep;
  readonly startedAt: number;
  readonly durationMs: number;
  readonly stepsMs: Readonly<Partial<Record<CycleStep, number>>>;
  readonly epoch: number;
  /** All heads with candidates that verified, in the descriptor or not. */
  readonly heads: readonly HeadId[];
  /** The heads that the descriptor which was sent leads to, and how many introduction points it has. */
  readonly live: readonly HeadId[];
  readonly introPoints: number;
  readonly sealed?: Sealed;
  readonly uploads: readonly Upload[];
  readonly confirmations: readonly Confirmation[];
  readonly faults: readonly Fault[];
  readonly error?: Error;
}
