/** Files in memory, for whole nodes in one process, with the faults that disks have. Enter through `createMemoryStore`. */
import { tooLarge, type Store } from '../../../core/runtime/store.ts';

export interface MemoryStore extends Store {
  /** While true every write fails with ENOSPC, and what was there stays. */
  full: boolean;
  /** While true every write and removal fails with EACCES. */
  readOnly: boolean;
  /** Changes one bit of the file. Throws when there is none. */
  corrupt(path: string): void;
  /** Cuts the file to `length` bytes. Throws when there is none. */
  truncate(path: string, length: number): void;
  /** The paths of all files, sorted. */
  files(): string[];
  /** Sets the permission bits of a file or directory, as chmod does. */
  setMode(path: string, mode: number): void;
  /** Directories that stand for a tmpfs; what lies below is in memory, and everything else on a disk. */
  readonly tmpfs: Set<string>;
}

function failure(code: string, text: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${text}, '${path}'`), { code, path });
}

function normalized(path: string): string {
  return `/${path
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .join('/')}`;
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(path.lastIndexOf('/'), 0)) || '/';
}

export function createMemoryStore(): MemoryStore {
  const files = new Map<string, Uint8Array>();
  const directories = new Set<string>(['/']);
  const modes = new Map<string, number>();

  const existing = (path: string): [string, Uint8Array] => {
    const at = normalized(path);
    const data = files.get(at);
    if (data === undefined) throw failure('ENOENT', 'no such file or directory', path);
    return [at, data];
  };
  const refuseIf = (refused: boolean, code: string, text: string, path: string): void => {
    if (refused) throw failure(code, text, path);
  };

  const store: MemoryStore = {
    full: false,
    readOnly: false,
    read: async (path, maximumBytes = Infinity) => {
      const at = normalized(path);
      refuseIf(directories.has(at), 'EISDIR', 'illegal operation on a directory, read', path);
      const bytes = files.get(at);
      if (bytes !== undefined && bytes.length > maximumBytes) throw tooLarge(path, maximumBytes);
      return bytes?.slice();
    },
    tmpfs: new Set(),
    write: async (path, data, mode = 0o600) => {
      const at = normalized(path);
      refuseIf(store.readOnly, 'EACCES', 'permission denied', path);
      refuseIf(store.full, 'ENOSPC', 'no space left on device', path);
      refuseIf(!directories.has(parentOf(at)), 'ENOENT', 'no such file or directory', path);
      refuseIf(directories.has(at), 'EISDIR', 'is a directory', path);
      files.set(at, typeof data === 'string' ? new TextEncoder().encode(data) : data.slice());
      modes.set(at, mode);
    },
    makeDirectory: async (path, mode = 0o700) => {
      refuseIf(store.readOnly, 'EACCES', 'permission denied', path);
      for (let at = normalized(path); at !== '/'; at = parentOf(at)) {
        if (!directories.has(at)) modes.set(at, mode);
        directories.add(at);
      }
    },
    remove: async (path) => {
      refuseIf(store.readOnly, 'EACCES', 'permission denied', path);
      const at = normalized(path);
      for (const set of [files, directories]) {
        for (const known of set.keys()) if (known === at || known.startsWith(`${at}/`)) set.delete(known);
      }
    },
    removeEmpty: async (path) => {
      refuseIf(store.readOnly, 'EACCES', 'permission denied', path);
      if ((await store.list(path)).length === 0) directories.delete(normalized(path));
    },
    own: async () => undefined,
    list: async (path) => {
      const at = normalized(path);
      return [...files.keys(), ...directories]
        .filter((known) => known !== '/' && parentOf(known) === at)
        .map((known) => known.slice(known.lastIndexOf('/') + 1))
        .sort();
    },
    corrupt: (path) => {
      const [at, data] = existing(path);
      const changed = data.slice();
      const middle = changed.length >> 1;
      changed[middle] = (changed[middle] ?? 0) ^ 1;
      files.set(at, changed);
    },
    truncate: (path, length) => {
      const [at, data] = existing(path);
      files.set(at, data.slice(0, length));
    },
    files: () => [...files.keys()].sort(),
    mode: async (path) => {
      const at = normalized(path);
      return files.has(at) || directories.has(at) ? (modes.get(at) ?? 0o755) : undefined;
    },
    setMode: (path, mode) => void modes.set(normalized(path), mode),
    inMemory: async (path) => {
      const at = normalized(path);
      refuseIf(!files.has(at) && !directories.has(at), 'ENOENT', 'no such file or directory', path);
      return [...store.tmpfs].some((root) => at === normalized(root) || at.startsWith(`${normalized(root)}/`));
    },
  };
  return store;
}
