/**
 * The hooks, declared once and frozen. One sentence each: when it fires, and what an answer means.
 * Tap with the plugin's own host, which names the taps. In tapable, a bail hook stops at anything but `undefined`, and an
 * async function belongs in `tapPromise`, never in `tap`.
 */
import {
  AsyncParallelHook,
  AsyncSeriesBailHook,
  AsyncSeriesHook,
  AsyncSeriesWaterfallHook,
  HookMap,
  SyncHook,
  SyncWaterfallHook,
} from 'tapable';
import type {
  Candidate,
  Confirmation,
  Consensus,
  CycleResult,
  Fault,
  HeadReport,
  HeadView,
  Merged,
  Published,
  Rotation,
  Sealed,
  Upload,
  View,
} from './model.ts';

/** Why a cycle ends without publishing. */
export interface Refusal {
  readonly outcome: 'standby' | 'refused' | 'unchanged';
  readonly why: string;
}

/**
 * Nothing new is sealed: the last publication goes once more to the HSDirs that lack it, and is fetched back from those and one
 * other. Counts only where `resendable` is true.
 */
export interface Recheck {
  readonly outcome: 'recheck';
  readonly why: string;
}

/** Settings of the cycle that plugins may change in `configure`. */
export interface CycleSettings {
  readonly maximumIntroPoints: number;
  /** Limit of each step, milliseconds. */
  readonly deadlinesMs: Readonly<Record<string, number>>;
}

export interface AdmitContext {
  readonly reasons: readonly string[];
}

export interface GatherContext {
  readonly consensus: Consensus;
  /** Adds what this plugin knows; call it once per head and descriptor. */
  readonly add: (report: HeadReport) => void;
  readonly signal: AbortSignal;
}

export interface SiftContext {
  readonly consensus: Consensus;
  readonly published: Published | undefined;
}

export interface MergeContext {
  readonly view: View;
  readonly rotation: Rotation;
  /** The candidates of the rotation, in the order of their heads. */
  readonly candidates: readonly Candidate[];
}

export interface ReviewContext {
  readonly merged: Merged;
  readonly reasons: readonly string[];
  readonly published: Published | undefined;
  /** As in Published: what would be published now. */
  readonly content: string;
  readonly placement: string;
  /** The publisher's term now. */
  readonly epoch: number;
  /** Unix seconds of the consensus in use. */
  readonly validAfter: number;
  /** Whether the last publication says the same, at the same places, in the same term, and no higher counter has been seen. */
  readonly resendable: boolean;
}

export interface UploadContext {
  readonly sealed: Sealed;
  readonly signal: AbortSignal;
  /** False once the term that it was sealed in is over. Ask before each thing that is sent, and send nothing after. */
  readonly current: () => boolean;
}

/** Order among `rotate` taps: a lower stage answers first. */
export const rotateStages = { panic: -20, reactive: -10, strategy: 0 } as const;

/** What may wake the pipeline, with what each carries. Every signal requests a cycle. */
export interface Signals {
  /** The schedule says that a publication is due. */
  tick: { readonly why: string };
  /** A head's introduction points, or the set of heads of this node, changed. */
  introPointsChanged: { readonly head: string; readonly why: string };
  /** A peer's record changed, or the peer is gone. */
  peerChanged: { readonly node: string; readonly why: string };
  /** Another node publishes from now on, or this one does. */
  leaderChanged: { readonly node: string | undefined; readonly epoch: number };
  /** A new consensus moved a descriptor to another period, SRV or HSDir set. */
  newPeriod: { readonly why: string };
  /** A head is under an introduction flood, or no longer. */
  siege: { readonly head: string; readonly level: number; readonly why: string };
  /** The operator turned panic mode on or off. */
  panic: { readonly on: boolean };
  /** The operator asks for a publication. */
  operator: { readonly why: string };
}
export type SignalName = keyof Signals;

export function createHooks() {
  return Object.freeze({
    /** Once, before anything starts: takes the cycle's settings and returns them, changed or not. */
    configure: new SyncWaterfallHook<[CycleSettings]>(['settings']),
    /** Once, in plugin order: open what the plugin needs; a rejection ends the start, and what was opened is released. */
    start: new AsyncSeriesHook<[]>([]),
    /** First step of a cycle: may this node publish? The first refusal ends the cycle. */
    admit: new AsyncSeriesBailHook<[AdmitContext], Refusal | undefined>(['context']),
    /** Collects the heads' descriptors, all plugins at once; a rejection becomes a fault and the rest counts. */
    gather: new AsyncParallelHook<[GatherContext]>(['context']),
    /** Takes the verified heads and returns those that may serve: ghosts, sick and besieged ones are cut here. */
    sift: new AsyncSeriesWaterfallHook<[readonly HeadView[], SiftContext]>(['heads', 'context']),
    /** Decides which candidates are live; the first answer counts, asked in the order of `rotateStages`. */
    rotate: new AsyncSeriesBailHook<[View], Rotation | undefined>(['view']),
    /** Chooses the introduction points of the descriptor, or of each of several; the first answer counts. */
    merge: new AsyncSeriesBailHook<[MergeContext], Merged | undefined>(['context']),
    /** Last look at what would be published; the first refusal ends the cycle and what is published stays, or is rechecked. */
    review: new AsyncSeriesBailHook<[ReviewContext], Refusal | Recheck | undefined>(['context']),
    /** Sends the sealed descriptors to their HSDirs; the first answer, one result per HSDir, counts. */
    upload: new AsyncSeriesBailHook<[UploadContext], readonly Upload[] | undefined>(['context']),
    /** Fetches the descriptor back as a client would; the first answer counts. */
    confirm: new AsyncSeriesBailHook<[UploadContext], readonly Confirmation[] | undefined>(['context']),
    /** After the upload of what was newly sealed, before the fetch-back: which HSDirs took it. */
    uploaded: new SyncHook<[Sealed, readonly Upload[]]>(['sealed', 'uploads']),
    /** Always the end of a cycle, whatever its outcome. */
    settled: new AsyncSeriesHook<[CycleResult]>(['result']),
    /** A plugin failed without ending the cycle; carries its name. */
    fault: new SyncHook<[Fault]>(['fault']),
    /** One hook per signal name: fires before the cycle that the signal requests. */
    signals: new HookMap((_name: SignalName) => new SyncHook<[Signals[SignalName]]>(['payload'])),
  });
}

export type Hooks = ReturnType<typeof createHooks>;
