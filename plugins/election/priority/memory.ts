/** The highest epoch ever seen, kept over restarts in `election.json`, with whose claim it was. */
import * as v from 'valibot';
import { ChimeraError, messageOf } from '../../../core/errors.ts';
import type { Store } from '../../../core/runtime/index.ts';
import { largestEpoch } from './rule.ts';

export interface Term {
  readonly highest: number;
  /** Whether it was this node's own claim, and nobody else's that it knows of. */
  readonly own: boolean;
}

const epoch = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(largestEpoch));
const largestFile = 4_096;
const file = v.strictObject({ highestEpoch: epoch, claimedBy: v.nullable(v.string()) });

/** What was kept last; undefined when nothing was. Rejects with STATE_FILE. */
export async function readTerm(store: Store, path: string, node: string): Promise<Term | undefined> {
  let bytes: Uint8Array | undefined;
  try {
    bytes = await store.read(path, largestFile);
  } catch (error) {
    throw new ChimeraError('STATE_FILE', `state file ${path} cannot be read: ${messageOf(error)}`, {
      remedy:
        'let the user that runs Chimera read and write node.state_directory; what is no file of Chimera’s must not lie there',
      cause: error,
    });
  }
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

export async function writeTerm(store: Store, path: string, node: string, term: Term): Promise<void> {
  const text = JSON.stringify({ highestEpoch: term.highest, claimedBy: term.own ? node : null });
  try {
    await store.write(path, `${text}\n`);
  } catch (error) {
    throw new ChimeraError('STATE_FILE', `state file ${path} cannot be written: ${messageOf(error)}`, {
      remedy: 'make room on the disk and see that the directory is writable; this node does not publish until then',
      cause: error,
    });
  }
}
