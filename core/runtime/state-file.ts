/** What a node must know again after a restart, in a file of its state directory: the errors are the same for all of them. */
import { ChimeraError, messageOf } from '../errors.ts';
import type { Store } from './store.ts';

/** Undefined when there is no such file. Rejects with STATE_FILE, also when it is longer than `maximumBytes`. */
export async function readStateFile(store: Store, path: string, maximumBytes: number): Promise<Uint8Array | undefined> {
  try {
    return await store.read(path, maximumBytes);
  } catch (error) {
    throw new ChimeraError('STATE_FILE', `state file ${path} cannot be read: ${messageOf(error)}`, {
      remedy:
        'let the user that runs Chimera read and write node.state_directory; what is no file of Chimera’s must not lie there',
      cause: error,
    });
  }
}

/** Durable when it resolves. Rejects with STATE_FILE; `until` says what follows from that, for the operator. */
export async function writeStateFile(
  store: Store,
  path: string,
  data: Uint8Array | string,
  until?: string,
): Promise<void> {
  try {
    await store.write(path, data);
  } catch (error) {
    throw new ChimeraError('STATE_FILE', `state file ${path} cannot be written: ${messageOf(error)}`, {
      remedy: ['make room on the disk and see that the directory is writable', ...(until ? [until] : [])].join('; '),
      cause: error,
    });
  }
}
