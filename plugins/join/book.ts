/**
 * The invitations that this node has made: each is for one node, and ends. Its age is that of this node's running time, on
 * the monotonic clock: no wall clock is trusted, and a node that is stopped does not age its invitations. Who has used one is
 * kept on disk before anybody is let in, so that no restart makes it good for another.
 *
 *   open ─ redeem(node) ─► bound to that node, which may ask again ─ its time is over ─► gone
 *     └─ its time is over ─► gone
 */
import * as v from 'valibot';
import { ChimeraError, messageOf } from '../../core/errors.ts';
import { encodeBase32 } from '../../core/onion/bytes.ts';
import { writeStateFile, type Clock, type Random, type Store } from '../../core/runtime/index.ts';
import { idBytes } from './invitation.ts';

export const maximumInvitations = 64;
const largestFile = 65_536;
/** After a crash an invitation may be younger by this much than it was. */
export const keepEveryMs = 60_000;
export const longestLifeMs = 30 * 86_400_000;

export const invitationsPath = (stateDirectory: string): string => `${stateDirectory}/invitations`;

const file = v.strictObject({
  version: v.literal(1),
  invitations: v.pipe(
    v.array(
      v.strictObject({
        id: v.pipe(v.string(), v.regex(/^[a-z2-7]{16}$/)),
        leftMs: v.pipe(v.number(), v.minValue(0), v.maxValue(longestLifeMs)),
        boundTo: v.nullable(v.pipe(v.string(), v.maxLength(64))),
      }),
    ),
    v.maxLength(maximumInvitations),
  ),
});

interface Entry {
  readonly id: string;
  readonly endsAtMs: number;
  boundTo: string | undefined;
}

export interface InvitationBook {
  /** Reads what was kept. Rejects with STATE_FILE. */
  load(): Promise<void>;
  /** A new id. Rejects with JOIN_TOO_MANY, or STATE_FILE when it cannot be kept. */
  make(lifeMs: number): Promise<Uint8Array>;
  /** True when `node` may come in by this invitation, now and again; it is bound to it from then on, on disk too. */
  redeem(id: string, node: string): Promise<boolean>;
  open(): readonly { readonly id: string; readonly leftMs: number; readonly boundTo: string | undefined }[];
  /** Keeps the ages. */
  keep(): Promise<void>;
}

export function createBook(options: {
  readonly clock: Clock;
  readonly random: Random;
  readonly store: Store;
  readonly stateDirectory: string | undefined;
}): InvitationBook {
  const { clock, random, store, stateDirectory } = options;
  const entries = new Map<string, Entry>();
  /** One write or redemption at a time. */
  let last: Promise<unknown> = Promise.resolve();
  const inLine = <T>(work: () => Promise<T>): Promise<T> => {
    const result = last.then(work);
    last = result.catch(() => undefined);
    return result;
  };

  const expire = (): void => {
    for (const [id, { endsAtMs }] of entries) if (clock.monotonic() >= endsAtMs) entries.delete(id);
  };

  const write = async (): Promise<void> => {
    if (stateDirectory === undefined) return;
    const path = invitationsPath(stateDirectory);
    const invitations = [...entries.values()].map(({ id, endsAtMs, boundTo }) => ({
      id,
      leftMs: Math.max(0, Math.round(endsAtMs - clock.monotonic())),
      boundTo: boundTo ?? null,
    }));
    await writeStateFile(store, path, `${JSON.stringify({ version: 1, invitations })}\n`);
  };

  return {
    load: async () => {
      if (stateDirectory === undefined) return;
      const path = invitationsPath(stateDirectory);
      const damaged = (why: string, cause?: unknown): ChimeraError =>
        new ChimeraError('STATE_FILE', `state file ${path} cannot be read: ${why}`, {
          remedy: 'remove it: the invitations in it are void then, and everything else goes on',
          ...(cause === undefined ? {} : { cause }),
        });
      let bytes: Uint8Array | undefined;
      let value: unknown;
      try {
        bytes = await store.read(path, largestFile);
        if (bytes === undefined) return;
        value = JSON.parse(Buffer.from(bytes).toString('utf8'));
      } catch (error) {
        throw damaged(bytes === undefined ? messageOf(error) : 'it is damaged', error);
      }
      const checked = v.safeParse(file, value);
      if (!checked.success) throw damaged('it is damaged');
      for (const { id, leftMs, boundTo } of checked.output.invitations) {
        entries.set(id, { id, endsAtMs: clock.monotonic() + leftMs, boundTo: boundTo ?? undefined });
      }
    },
    make: (lifeMs) =>
      inLine(async () => {
        expire();
        if (entries.size >= maximumInvitations) {
          throw new ChimeraError('JOIN_TOO_MANY', `${maximumInvitations} invitations of this node are open`, {
            remedy: 'use one of them, wait until one ends, or ask another member',
          });
        }
        const bytes = random.bytes(idBytes);
        const id = encodeBase32(bytes);
        entries.set(id, { id, endsAtMs: clock.monotonic() + Math.min(lifeMs, longestLifeMs), boundTo: undefined });
        try {
          await write();
        } catch (error) {
          entries.delete(id);
          throw error;
        }
        return bytes;
      }),
    redeem: (id, node) =>
      inLine(async () => {
        expire();
        const entry = entries.get(id);
        if (entry === undefined) return false;
        if (entry.boundTo !== undefined) return entry.boundTo === node;
        entry.boundTo = node;
        try {
          await write();
        } catch (error) {
          // Nobody is let in by what a restart would forget.
          entry.boundTo = undefined;
          throw error;
        }
        return true;
      }),
    open: () => {
      expire();
      return [...entries.values()].map(({ id, endsAtMs, boundTo }) => ({
        id,
        leftMs: endsAtMs - clock.monotonic(),
        boundTo,
      }));
    },
    keep: () =>
      inLine(async () => {
        const before = entries.size;
        expire();
        if (before > 0) await write();
      }),
  };
}
