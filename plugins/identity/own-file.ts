/** Files that only their node may read: found, checked for who else could read them, parsed, and written as a whole. */
import { ChimeraError, messageOf } from '../../core/errors.ts';
import type { Store } from '../../core/runtime/index.ts';

const largestFile = 4_096;
const others = 0o077;

/**
 * Reads a file of this node alone and parses it; what was read is overwritten. Rejects with IDENTITY_MISSING, IDENTITY_EXPOSED
 * when group or others may read or write it, or IDENTITY_FILE.
 */
export async function readOwnFile<T>(
  store: Store,
  path: string,
  what: string,
  parse: (bytes: Uint8Array) => T,
): Promise<T> {
  let bytes: Uint8Array | undefined;
  let mode: number | undefined;
  try {
    mode = await store.mode(path);
    if (mode !== undefined && (mode & others) === 0) bytes = await store.read(path, largestFile);
  } catch (error) {
    throw new ChimeraError('IDENTITY_FILE', `${what} ${path} cannot be read: ${messageOf(error)}`, {
      remedy: 'let the user that runs Chimera own the file',
      cause: error,
    });
  }
  if (mode !== undefined && (mode & others) !== 0) {
    throw new ChimeraError('IDENTITY_EXPOSED', `${what} ${path} has mode ${mode.toString(8)}: others could have it`, {
      remedy: 'chmod 600 it; if somebody else uses this machine, make the node anew instead',
    });
  }
  if (bytes === undefined) {
    throw new ChimeraError('IDENTITY_MISSING', `${what} ${path}: no such file`, {
      remedy: '`chimera init` makes one on the first node, `chimera join` on every other',
    });
  }
  try {
    return parse(bytes);
  } catch (error) {
    if (!(error instanceof ChimeraError)) throw error;
    const { code, message, remedy } = error;
    throw new ChimeraError(code, `${what} ${path}: ${message}`, remedy === undefined ? {} : { remedy });
  } finally {
    bytes.fill(0);
  }
}

/** Writes such a file, mode 0600. `fresh`: rejects with IDENTITY_EXISTS where one is. Else rejects with IDENTITY_FILE. */
export async function writeOwnFile(
  store: Store,
  path: string,
  text: string,
  { what, fresh = false }: { readonly what: string; readonly fresh?: boolean },
): Promise<void> {
  if (fresh && (await store.mode(path).catch(() => undefined)) !== undefined) {
    throw new ChimeraError('IDENTITY_EXISTS', `${what} ${path} is there already`, {
      remedy: 'this node has been set up: run it, or remove the file to make the node anew',
    });
  }
  try {
    await store.write(path, text, 0o600);
  } catch (error) {
    throw new ChimeraError('IDENTITY_FILE', `${what} ${path} cannot be written: ${messageOf(error)}`, {
      remedy: 'make room on the disk, and let the user that runs Chimera write the directory',
      cause: error,
    });
  }
}
