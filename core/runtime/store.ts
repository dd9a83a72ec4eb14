/** Files. The only place that touches a disk; simulations pass one that lives in memory. */
import { chmod, chown, mkdir, open, readdir, rename, rm, rmdir, stat, statfs, type FileHandle } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { systemSelf, type Self } from './self.ts';

export interface Store {
  /**
   * The file's bytes, or undefined when there is none. Rejects with EFBIG when there are more than `maximumBytes`, of which
   * no more are read: it may be a device that never ends.
   */
  read(path: string, maximumBytes?: number): Promise<Uint8Array | undefined>;
  /** Replaces the file as a whole, durably: after a crash it is the old one or the new one. Mode 0600 unless said otherwise. */
  write(path: string, data: Uint8Array | string, mode?: number): Promise<void>;
  /** Makes the directory and its parents; mode 0700 unless said otherwise. */
  makeDirectory(path: string, mode?: number): Promise<void>;
  /** Removes a file or a whole directory; it need not exist. */
  remove(path: string): Promise<void>;
  /** Removes a directory that is empty, and no other. */
  removeEmpty(path: string): Promise<void>;
  /** Gives a file or directory to the user `uid`; does nothing unless this process is root and the user another. */
  own(path: string, uid: number): Promise<void>;
  /** The names in a directory, sorted; empty when there is none. */
  list(path: string): Promise<string[]>;
  /** The permission bits of a file or directory (0o777 and below), or undefined when there is none. */
  mode(path: string): Promise<number | undefined>;
  /** True when what exists at `path` lies on a file system in memory (tmpfs, ramfs), and on no disk. */
  inMemory(path: string): Promise<boolean>;
}

/** statfs(2): f_type of the file systems that have no disk behind them. A tmpfs may be swapped, a ramfs never is. */
const memoryFileSystems: ReadonlySet<number> = new Set([0x01021994 /* tmpfs */, 0x858458f6 /* ramfs */]);

function absent(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT';
}

/** What a read beyond its limit rejects with. */
export function tooLarge(path: string, maximumBytes: number): Error {
  const what = `EFBIG: more than ${maximumBytes} bytes, which no such file has, read '${path}'`;
  return Object.assign(new Error(what), { code: 'EFBIG', path });
}

/** Reads to the end, or to one byte beyond `maximumBytes`. The size is not asked first: that of a device or a pipe is 0. */
async function readUpTo(file: FileHandle, path: string, maximumBytes: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(maximumBytes + 1);
  let length = 0;
  while (length < bytes.length) {
    const { bytesRead } = await file.read(bytes, length, bytes.length - length);
    if (bytesRead === 0) return bytes.slice(0, length);
    length += bytesRead;
  }
  throw tooLarge(path, maximumBytes);
}

let serial = 0;

const everybody = 0o007;

/** True when everybody on this machine may read or write what is at `path`; false also where nothing is known. */
export async function openToEverybody(store: Store, path: string): Promise<boolean> {
  return (((await store.mode(path).catch(() => undefined)) ?? 0) & everybody) !== 0;
}

/** How `write` names what it has not finished: the process and a number. */
const unfinished = /^.{1,200}\.(\d{1,10})-\d{1,15}\.new$/s;

/**
 * Removes what writes that a crash has ended left in a directory: it may hold a secret that has been replaced since. What a
 * process that runs may be writing stays; one of this process' id is an earlier life's, as in a container.
 */
export async function removeUnfinished(
  store: Store,
  directory: string,
  self: Pick<Self, 'pid' | 'alive'> = systemSelf,
): Promise<void> {
  for (const name of await store.list(directory)) {
    const writer = unfinished.exec(name)?.[1];
    if (writer !== undefined && (Number(writer) === self.pid || !self.alive(Number(writer)))) {
      await store.remove(`${directory}/${name}`);
    }
  }
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    if (absent(error)) return false;
    throw error;
  }
}

/**
 * The directories on the way to `path` that are not there, outermost first. Node's own recursive mkdir goes round for ever where the parent is there and
 * nothing can be made in it (/proc), or is a link to nowhere.
 */
async function missingOf(path: string): Promise<string[]> {
  const missing: string[] = [];
  for (let at = resolve(path); !(await isDirectory(at)) && at !== dirname(at); at = dirname(at)) missing.unshift(at);
  return missing;
}

/** False when somebody else has made it just before. */
async function makeOne(path: string, mode: number): Promise<boolean> {
  try {
    await mkdir(path, { mode });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || !(await isDirectory(path))) throw error;
    return false;
  }
}

export const systemStore: Store = {
  read: async (path, maximumBytes) => {
    let file: FileHandle;
    try {
      file = await open(path, 'r');
    } catch (error) {
      if (absent(error)) return undefined;
      throw error;
    }
    try {
      if (maximumBytes !== undefined) return await readUpTo(file, path, maximumBytes);
      return new Uint8Array(await file.readFile());
    } finally {
      await file.close();
    }
  },

  write: async (path, data, mode = 0o600) => {
    const temporary = `${path}.${process.pid}-${serial++}.new`;
    try {
      const file = await open(temporary, 'wx', mode);
      try {
        await file.writeFile(data);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, path);
      const directory = await open(dirname(path), 'r');
      try {
        await directory.sync();
      } finally {
        await directory.close();
      }
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
  },

  makeDirectory: async (path, mode = 0o700) => {
    let made = false;
    for (const one of await missingOf(path)) made = await makeOne(one, mode);
    if (made) await chmod(path, mode);
  },

  remove: (path) => rm(path, { recursive: true, force: true }),

  removeEmpty: async (path) => {
    try {
      await rmdir(path);
    } catch (error) {
      if (!absent(error) && !['ENOTEMPTY', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  },

  own: async (path, uid) => {
    if (process.getuid?.() === 0 && uid !== 0) await chown(path, uid, -1);
  },

  list: async (path) => {
    try {
      return (await readdir(path)).sort();
    } catch (error) {
      if (absent(error)) return [];
      throw error;
    }
  },

  mode: async (path) => {
    try {
      return (await stat(path)).mode & 0o777;
    } catch (error) {
      if (absent(error)) return undefined;
      throw error;
    }
  },

  // Some kernels give the magic number as a signed one.
  inMemory: async (path) => memoryFileSystems.has((await statfs(path)).type >>> 0),
};
