/**
 * The beat of a leader: a lease, signed anew, on its way to all who should hear it, every `intervalMs` while this node leads, and
 * once when it ceases to lead. Who begins says so four times within the first interval, and in a small cluster with all else that it
 * says: whoever misses it would claim the lead, too. Enter at `createBeat`.
 */
import type { Clock, Timer } from '../../core/runtime/index.ts';
import type { Book } from './book.ts';
import type { Members } from './members.ts';
import type { Message } from './message.ts';
import { closeNodes, type Overlay } from './overlay.ts';
import type { MemberRoster } from './roster.ts';
import type { Voice } from './voice.ts';

const firstBeats = 4;

export interface Beat {
  /** Called when this node begins or ceases to lead. */
  now(): void;
  stop(): void;
}

export function createBeat(options: {
  readonly self: string;
  readonly clock: Clock;
  /** Milliseconds. */
  readonly intervalMs: number;
  readonly voice: Voice;
  readonly book: Book;
  readonly roster: MemberRoster;
  readonly members: Members;
  readonly overlay: Overlay;
  readonly hasSession: (node: string) => boolean;
  readonly send: (node: string, messages: readonly Message[]) => void;
}): Beat {
  const { self, clock, intervalMs, voice, book, roster, members, overlay, hasSession, send } = options;
  let timer: Timer | undefined;

  /** In a small cluster everybody, the dead too, while there is a session: when a cut heals they hear of it at once. */
  const hearers = (sequence: number): readonly string[] => {
    const all = roster.nodes();
    if (all.length > closeNodes) return overlay.branches(self, sequence);
    const isKnown = (node: string): boolean => (members.get(node)?.state ?? 'dead') !== 'dead';
    return all.filter((node) => node !== self && (hasSession(node) || isKnown(node)));
  };

  let first = 0;
  const beat = (): void => {
    timer?.cancel();
    const lease = voice.lease();
    const isFirst = first > 0 && roster.nodes().length <= closeNodes;
    const told = isFirst ? book.told(self) : [];
    for (const node of hearers(lease.sequence)) send(node, [{ type: 'lease', lease, ageMs: 0 }, ...told]);
    if (voice.leading) timer = clock.after(first > 0 ? intervalMs / firstBeats : intervalMs, beat);
    first = Math.max(0, first - 1);
  };
  const now = (): void => {
    first = voice.leading ? firstBeats : 0;
    beat();
  };

  return { now, stop: () => timer?.cancel() };
}
