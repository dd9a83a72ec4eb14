/** What the lab is given, what it tells, and what it reports. */
import type { Shipped } from '../../../core/config/index.ts';
import type { AnyPlugin } from '../../../core/engine/index.ts';
import type { Runtime } from '../../../core/runtime/index.ts';
import type { TorNetwork } from '../network/network.ts';

export interface LabOptions {
  readonly runtime: Runtime;
  /** A directory that exists and may be written; the lab leaves nothing in it that matters. */
  readonly directory: string;
  readonly shipped: Shipped;
  /** Starts the network; called once. */
  network(): Promise<TorNetwork>;
  readonly nodes: number;
  readonly preset: string;
  /** More settings for every node, over the preset's defaults. */
  readonly settings?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** What joins the nodes of this process: a transport, a mesh. */
  cluster(): readonly AnyPlugin[];
  /** Keeps visiting for this long at the end, milliseconds. */
  readonly forMs: number;
  /** Turns panic mode on for so many turns, and kills no head; the preset has `roulette`. */
  readonly panic?: { readonly turns: number; readonly turnMs: number };
  readonly signal: AbortSignal;
  tell(event: LabEvent): void;
}

export interface LabEvent {
  readonly atMs: number;
  /** `step`: what goes on · `check`: a claim, with its outcome · `note`: an observation. */
  readonly kind: 'step' | 'check' | 'note';
  readonly text: string;
  readonly held?: boolean;
  readonly data?: Readonly<Record<string, unknown>>;
}

export interface LabReport {
  readonly held: boolean;
  readonly events: readonly LabEvent[];
  readonly visits: { readonly made: number; readonly failed: number };
}
