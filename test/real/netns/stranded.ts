/**
 * Which visits failed because their client stood at a head whose tor died. Relays hold a dead tor's circuits for seconds and more
 * on a network as quiet as this one (docs/cluster-soak.md): the client waits, and can do nothing about it, nor can the cluster. Pure.
 */
import type { Visit } from './client.ts';

export interface HeadDeath {
  readonly head: string;
  readonly atMs: number;
}

/** Of the visits of one client on standing circuits: from the last answer by the head that died to the first visit after it that is answered. */
export function stranded(visits: readonly Visit[], deaths: readonly HeadDeath[]): readonly Visit[] {
  const inOrder = visits.toSorted((a, b) => a.atMs - b.atMs);
  return deaths.flatMap(({ head, atMs }) => {
    const last = inOrder.findLastIndex((visit) => visit.atMs <= atMs && visit.head !== undefined);
    if (inOrder[last]?.head !== head) return [];
    const next = inOrder.findIndex((visit) => visit.atMs > atMs && visit.head !== undefined);
    return inOrder.slice(last + 1, next === -1 ? undefined : next).filter((visit) => visit.head === undefined);
  });
}
