/**
 * The one directory of a private network. Its name carries the id of the process that owns it, so that what a killed
 * process could not remove itself is removed by the next start.
 */
import type { Runtime, Self } from '../../../../core/runtime/index.ts';

const prefix = 'chimera-tor-';

/** Makes a fresh directory and removes those whose owner is gone. */
export async function makeWorkspace(runtime: Runtime, self: Self): Promise<string> {
  await sweep(runtime, self);
  const path = `${self.temporaryDirectory}/${prefix}${self.pid}-${Buffer.from(runtime.random.bytes(4)).toString('hex')}`;
  await runtime.store.makeDirectory(path);
  return path;
}

async function sweep(runtime: Runtime, self: Self): Promise<void> {
  for (const name of await runtime.store.list(self.temporaryDirectory)) {
    const owner = new RegExp(`^${prefix}(\\d+)-[0-9a-f]{8}$`).exec(name)?.[1];
    if (owner === undefined || self.alive(Number(owner))) continue;
    // Another user's leftover cannot be removed by us, and is not ours to report.
    await runtime.store.remove(`${self.temporaryDirectory}/${name}`).catch(() => undefined);
  }
}
