/**
 * The beat of a leader: a lease, signed anew, on its way to all who should hear it, every `intervalMs` while this node leads, and
 * once when it begins or ceases to lead. Enter at `createBeat`.
 */
import type { Clock, Timer } from '../../core/runtime/index.ts';
import type { Members } from './members.ts';
import type { Message } from './message.ts';
import { closeNodes, type Overlay } from './overlay.ts';
import type { MemberRoster } from './roster.ts';
import type { Voice } from './voice.ts';

export interface Beat {
  now(): void;
  stop(): void;
}

export function createBeat(options: {
  readonly self: string;
  readonly clock: Clock;
  /** Milliseconds. */
  readonly intervalMs: number;
  readonly voice: Voice;
  readonly roster: MemberRoster;
  readonly members: Members;
  readonly overlay: Overlay;
  readonly hasSession: (node: string) => boolean;
  readonly send: (node: string, messages: readonly Message[]) => void;
}): Beat {
  const { self, clock, intervalMs, voice, roster, members, overlay, hasSession, send } = options;
  let timer: Timer | undefined;

  /** In a small cluster everybody, the dead too, while there is a session: when a cut heals they hear of it at once. */
  const hearers = (sequence: number): readonly string[] => {
    const all = roster.nodes();
    if (all.length > closeNodes) return overlay.branches(self, sequence);
    const isKnown = (node: string): boolean => (members.get(node)?.state ?? 'dead') !== 'dead';
    return all.filter((node) => node !== self && (hasSession(node) || isKnown(node)));
  };

  const now = (): void => {
    timer?.cancel();
    const lease = voice.lease();
    for (const node of hearers(lease.sequence)) send(node, [{ type: 'lease', lease, ageMs: 0 }]);
    if (voice.leading) timer = clock.after(intervalMs, now);
  };

  return { now, stop: () => timer?.cancel() };
}
