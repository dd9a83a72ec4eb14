/** The roster over restarts: `roster` in the state directory, the signed entries as they are. It holds no secret. */
import { readStateFile, writeStateFile, type Clock, type Log, type Store } from '../../core/runtime/index.ts';
import { maximumRosterBytes, rosterOf, type MemberRoster } from './roster.ts';

const rosterPath = (stateDirectory: string): string => `${stateDirectory}/roster`;

/** What was kept; undefined when nothing was. Rejects with STATE_FILE, or MESH_ROSTER when it is damaged. */
export async function readRoster(store: Store, stateDirectory: string): Promise<MemberRoster | undefined> {
  const path = rosterPath(stateDirectory);
  const bytes = await readStateFile(store, path, maximumRosterBytes);
  return bytes === undefined ? undefined : rosterOf(bytes, path);
}

/** Where the cluster was told that a member is, when it was admitted; empty for no member. Throws MESH_ROSTER. */
export function endpointsIn(entries: Uint8Array, node: string): readonly string[] {
  return rosterOf(entries, 'what was received').get(node)?.endpoints ?? [];
}

/**
 * Keeps what a node was told when it joined, before it runs for the first time: `entries` as Roster.entries() gives them.
 * Rejects with MESH_ROSTER when they are not all signed by members, STATE_FILE when they cannot be kept.
 */
export async function keepRoster(store: Store, stateDirectory: string, entries: Uint8Array): Promise<void> {
  rosterOf(entries, 'what was received');
  await writeStateFile(store, rosterPath(stateDirectory), entries);
}

/** Writes the roster after changes, one write at a time, and again after a while when it fails. */
export function rosterKeeper(options: {
  readonly store: Store;
  readonly stateDirectory: string | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly retryMs?: number;
}): { changed(roster: MemberRoster): void; done(): Promise<void> } {
  const { store, stateDirectory, clock, log, retryMs = 5_000 } = options;
  let wanted: MemberRoster | undefined;
  let writing: Promise<void> | undefined;
  let stopped = false;
  const write = async (directory: string): Promise<void> => {
    while (wanted !== undefined) {
      const entries = wanted.encode();
      wanted = undefined;
      try {
        await store.write(rosterPath(directory), entries);
      } catch (error) {
        log.error('the roster cannot be kept; a restart forgets who was admitted or removed since', { error });
        const again = writing;
        clock.after(retryMs, () => {
          if (!stopped && again !== undefined) changed(latest as MemberRoster);
        });
      }
    }
    writing = undefined;
  };
  let latest: MemberRoster | undefined;
  const changed = (roster: MemberRoster): void => {
    latest = roster;
    if (stateDirectory === undefined) return;
    wanted = roster;
    writing ??= write(stateDirectory);
  };
  return {
    changed,
    done: async () => {
      stopped = true;
      await writing;
    },
  };
}
