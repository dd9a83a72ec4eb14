/** The highest epoch ever seen, kept over restarts in `election.json`, with whose claim it was. */
import * as v from 'valibot';
import { ChimeraError } from '../../core/errors.ts';
import { readStateFile, writeStateFile, type Clock, type Log, type Store } from '../../core/runtime/index.ts';
import { largestEpoch } from './state.ts';

export interface Term {
  readonly highest: number;
  /** Whether it was this node's own claim, and nobody else's that it knows of. */
  readonly own: boolean;
}

const epoch = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(largestEpoch));
const largestFile = 4_096;
const file = v.strictObject({ highestEpoch: epoch, claimedBy: v.nullable(v.string()) });

/** What was kept last; undefined when nothing was. Rejects with STATE_FILE. */
async function readTerm(store: Store, path: string, node: string): Promise<Term | undefined> {
  const bytes = await readStateFile(store, path, largestFile);
  if (bytes === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    value = undefined;
  }
  const result = v.safeParse(file, value);
  if (!result.success) {
    throw new ChimeraError('STATE_FILE', `state file ${path} is not what the election has written`, {
      remedy: 'restore it from a copy, or delete it: the epoch is then learned again from the peers and the HSDirs',
    });
  }
  return { highest: result.output.highestEpoch, own: result.output.claimedBy === node };
}

async function writeTerm(store: Store, path: string, node: string, term: Term): Promise<void> {
  const text = JSON.stringify({ highestEpoch: term.highest, claimedBy: term.own ? node : null });
  await writeStateFile(store, path, `${text}\n`, 'this node does not publish until then');
}

/** Where the epoch is kept in a node's state directory. */
export const termPath = (stateDirectory: string): string => `${stateDirectory}/election.json`;

/**
 * Keeps the epoch that a node was told when it joined, before it runs for the first time: it claims no earlier one, though it
 * hears nobody; nothing when it was told none. Rejects with STATE_FILE.
 */
export async function keepEpoch(
  store: Store,
  stateDirectory: string,
  node: string,
  epoch: number | undefined,
): Promise<void> {
  if (epoch === undefined) return;
  const path = termPath(stateDirectory);
  const known = await readTerm(store, path, node);
  if (known === undefined || known.highest < epoch) await writeTerm(store, path, node, { highest: epoch, own: false });
}

export interface TermMemory {
  /** Reads what earlier lives left; rejects with STATE_FILE. */
  read(): Promise<Term | undefined>;
  /** Sees to it that this is on the disk soon; one write at a time, and after a failure not before `retryMs`. */
  keep(term: { readonly highest: number | undefined; readonly own: boolean }): void;
  /** Whether a restart would find this claim again; always where nothing is kept. */
  keeps(claim: number | undefined): boolean;
  /** False after a write that failed, until one succeeds. */
  readonly writable: boolean;
  /** Resolves when the write under way is done. */
  settled(): Promise<void>;
}

/** `changed` is called after each write, failed or not. */
export function createTermMemory(options: {
  readonly store: Store;
  readonly clock: Clock;
  /** Nothing is kept without it. */
  readonly path: string | undefined;
  readonly node: string;
  readonly log: Log;
  readonly retryMs: number;
  readonly changed: () => void;
}): TermMemory {
  const { store, clock, path, node, log, retryMs, changed } = options;
  /** What election.json holds, and the write that is under way. */
  let kept: Term | undefined;
  let writing: Promise<void> | undefined;
  let failedAtMs: number | undefined;

  const write = async (to: string, term: Term): Promise<void> => {
    try {
      await writeTerm(store, to, node, term);
      kept = term;
      failedAtMs = undefined;
    } catch (error) {
      failedAtMs = clock.monotonic();
      log.error('the epoch cannot be kept, and this node does not publish', { error });
    }
    writing = undefined;
    changed();
  };

  return {
    read: async () => {
      if (path !== undefined) kept = await readTerm(store, path, node);
      return kept;
    },
    keep: ({ highest, own }) => {
      if (path === undefined || highest === undefined || writing !== undefined) return;
      if (kept?.highest === highest && kept.own === own) return;
      if (failedAtMs !== undefined && clock.monotonic() - failedAtMs < retryMs) return;
      writing = write(path, { highest, own });
    },
    keeps: (claim) => path === undefined || (kept !== undefined && claim !== undefined && kept.highest >= claim),
    get writable() {
      return failedAtMs === undefined;
    },
    settled: async () => {
      await writing;
    },
  };
}
