/** How many removals the newest secret was made without, kept over restarts in `revocation.json`. Public. */
import * as v from 'valibot';
import { messageOf } from '../../core/errors.ts';
import type { Log, Store } from '../../core/runtime/index.ts';

const file = v.strictObject({
  secret: v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/)),
  removals: v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(2 ** 32 - 1)),
});
export type Kept = v.InferOutput<typeof file>;
const largestFile = 4_096;

/** Undefined when there is none, or none that can be used: the other members know it, too. */
export async function readKept(store: Store, path: string, log: Log): Promise<Kept | undefined> {
  let why = 'it is not what this plugin writes';
  try {
    const bytes = await store.read(path, largestFile);
    if (bytes === undefined) return undefined;
    const result = v.safeParse(file, JSON.parse(Buffer.from(bytes).toString('utf8')));
    if (result.success) return result.output;
  } catch (error) {
    why = messageOf(error);
  }
  log.warn('what was kept of removals is of no use; the other members are asked', { path, why });
  return undefined;
}

export async function writeKept(store: Store, path: string, kept: Kept): Promise<void> {
  await store.write(path, `${JSON.stringify(kept)}\n`);
}
