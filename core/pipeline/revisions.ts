/**
 * Remembers the highest revision counter used or seen for each blinded key, across restarts: an HSDir refuses what is not
 * higher, and a client that holds a higher one ignores what we publish (tor-spec: rend-spec-v3 [SERVICEUPLOAD]).
 */
import { ChimeraError } from '../errors.ts';
import { readStateFile, writeStateFile, type Store } from '../runtime/index.ts';

export interface RevisionMemory {
  lastSeen(blindedKey: Uint8Array): bigint | undefined;
  /** Keeps the maximum; durable when it resolves. */
  record(seen: readonly { readonly blindedKey: Uint8Array; readonly revision: bigint }[]): Promise<void>;
}

const largestFile = 65_536;
/** Two periods are in use at a time; the rest is kept only so that a clock set back does no harm. */
const maximumKept = 16;

const keyOf = (blindedKey: Uint8Array): string => Buffer.from(blindedKey).toString('hex');

function insert(kept: Map<string, bigint>, key: string, revision: bigint): void {
  const known = kept.get(key);
  if (known !== undefined && known >= revision) return;
  kept.delete(key);
  kept.set(key, revision);
  for (const oldest of kept.keys()) {
    if (kept.size <= maximumKept) break;
    kept.delete(oldest);
  }
}

/** A memory that is forgotten with the process. */
export function volatileRevisions(): RevisionMemory {
  const kept = new Map<string, bigint>();
  return {
    lastSeen: (blindedKey) => kept.get(keyOf(blindedKey)),
    record: async (seen) => {
      for (const { blindedKey, revision } of seen) insert(kept, keyOf(blindedKey), revision);
    },
  };
}

function parse(path: string, bytes: Uint8Array): Map<string, bigint> {
  const broken = (what: string): ChimeraError =>
    new ChimeraError('STATE_FILE', `state file ${path}: ${what}`, {
      remedy: 'restore it from a copy, or delete it: the next counters then come from the clock alone',
    });
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw broken('not JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw broken('not an object');
  const kept = new Map<string, bigint>();
  for (const [key, text] of Object.entries(value)) {
    if (!/^[0-9a-f]{64}$/.test(key) || typeof text !== 'string' || !/^\d{1,20}$/.test(text))
      throw broken(`entry ${JSON.stringify(key.slice(0, 70))} is not a blinded key with its counter`);
    insert(kept, key, BigInt(text));
  }
  return kept;
}

/** A memory in the file `path`: JSON, blinded key in hex → counter in decimal. Rejects with STATE_FILE when it is damaged. */
export async function storedRevisions(store: Store, path: string): Promise<RevisionMemory> {
  const bytes = await readStateFile(store, path, largestFile);
  const kept = bytes === undefined ? new Map<string, bigint>() : parse(path, bytes);
  return {
    lastSeen: (blindedKey) => kept.get(keyOf(blindedKey)),
    record: async (seen) => {
      for (const { blindedKey, revision } of seen) insert(kept, keyOf(blindedKey), revision);
      const text = JSON.stringify(
        Object.fromEntries([...kept].map(([key, value]) => [key, value.toString()])),
        null,
        1,
      );
      await writeStateFile(store, path, `${text}\n`, 'nothing was published');
    },
  };
}
