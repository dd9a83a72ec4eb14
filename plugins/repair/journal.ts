/** What was repaired and why: the last entries in memory, for the status, and in a file of one JSON object a line. */
import type { Json } from '../../core/engine/index.ts';
import { formatTime, type Clock, type Log, type Store } from '../../core/runtime/index.ts';
import { describeCause, type Action, type Cause } from './cause.ts';

/** The most entries that may be kept, each as long as it may be, and as many more: the bound may have been larger before. */
const largestFile = 32 * 1_048_576;
/** A command may say much. */
const longestOutcome = 500;

export interface Entry {
  /** Unix milliseconds. */
  readonly at: number;
  readonly cause: Cause;
  readonly action: Action;
  /** `done`, or why not. */
  readonly outcome: string;
}

export interface Journal {
  add(cause: Cause, action: Action, outcome: string): void;
  /** The last ones, oldest first. */
  last(count: number): Json;
  /** Resolves when everything is on the disk, or could not be written. */
  settled(): Promise<void>;
}

/** `path`: undefined keeps entries in memory alone. */
export function createJournal(parts: {
  readonly clock: Clock;
  readonly store: Store;
  readonly log: Log;
  readonly path: string | undefined;
  readonly maximumEntries: number;
}): Journal {
  const { clock, store, log, path, maximumEntries } = parts;
  const lines: string[] = [];
  let kept: readonly string[] | undefined;
  let writing: Promise<void> | undefined;
  let dirty = false;
  let told = false;

  const asJson = ({ at, cause, action, outcome }: Entry): { readonly [key: string]: Json } => ({
    at: formatTime(at / 1_000),
    why: describeCause(cause),
    cause: { ...cause } as unknown as Json,
    action: action.kind,
    outcome,
  });

  /** What the last run has left, once. Rejects when it cannot be read: what may be there is not written over. */
  const earlier = async (file: string): Promise<readonly string[]> => {
    const bytes = await store.read(file, largestFile);
    const text = bytes === undefined ? '' : Buffer.from(bytes).toString('utf8');
    return text.split('\n').filter((line) => line.startsWith('{'));
  };
  const write = async (file: string): Promise<void> => {
    while (dirty) {
      dirty = false;
      try {
        kept ??= await earlier(file);
        await store.write(file, `${[...kept, ...lines].slice(-maximumEntries).join('\n')}\n`);
        told = false;
      } catch (error) {
        if (!told)
          log.warn('the journal of repairs cannot be written; its newest entries are in the status alone', { error });
        told = true;
      }
    }
    writing = undefined;
  };

  return {
    add: (cause, action, outcome) => {
      const entry: Entry = { at: clock.now(), cause, action, outcome: outcome.slice(0, longestOutcome) };
      log.warn(`repair: ${describeCause(cause)}`, { action: action.kind, outcome });
      lines.push(JSON.stringify(asJson(entry)));
      if (lines.length > maximumEntries) lines.shift();
      if (path === undefined) return;
      dirty = true;
      writing ??= write(path);
    },
    last: (count) => lines.slice(-count).map((line) => JSON.parse(line) as Json),
    settled: async () => {
      await writing;
    },
  };
}
