/** What a checker of an invariant is: it sees the world from outside and says what is broken. */
import type { CycleResult } from '../../../../../core/pipeline/index.ts';
import type { LogFields } from '../../../../../core/runtime/index.ts';
import type { Daemon } from '../node.ts';
import type { Datagram } from '../bus.ts';
import type { SeenUpload } from '../directories.ts';
import type { Storm } from '../storm.ts';
import type { SimulatedNode, World } from '../world.ts';

export interface Broken {
  /** `I1` … `I12`. */
  readonly invariant: string;
  readonly atMs: number;
  readonly what: string;
}

export interface CheckerContext {
  readonly world: World;
  readonly storm: Storm;
  /** Reports that an invariant is broken. */
  readonly broken: (invariant: string, what: string) => void;
}

export interface Checker {
  /** A daemon is about to be started. */
  daemon?(node: SimulatedNode, daemon: Daemon): void;
  /** Every `sampleMs` of virtual time. */
  sample?(): void;
  upload?(upload: SeenUpload): void;
  sent?(datagram: Datagram): void;
  log?(node: string, message: string, fields: LogFields): void;
  result?(node: SimulatedNode, result: CycleResult): void;
  /** After a calm of `calmMs`, before the next storm. */
  calm?(): void | Promise<void>;
  end?(): void | Promise<void>;
}

export type MakeChecker = (context: CheckerContext) => Checker;

/** Its tor runs, answers, and has its network. */
export const isTorWell = ({ parts }: SimulatedNode): boolean =>
  parts.tor.run?.online === true && !parts.tor.run.process.frozen;

/** Reports each thing that is broken the first time only. */
export function reportOnce(broken: CheckerContext['broken']): CheckerContext['broken'] {
  const told = new Set<string>();
  return (invariant, what) => {
    if (told.has(what)) return;
    told.add(what);
    broken(invariant, what);
  };
}

export const sampleMs = 250;
/** How long everything is well before the cluster must have recovered. */
export const calmMs = 120_000;
