/** The members that are not there: never heard, or dead. Asked for at each probe, and the same list until somebody comes or goes. */
import type { Members } from './members.ts';
import type { MemberRoster } from './roster.ts';

export function missingOf(roster: MemberRoster, members: Members, self: string): () => readonly string[] {
  let known = '';
  let nodes: readonly string[] = [];
  const gone = (node: string): boolean => (members.get(node)?.state ?? 'dead') === 'dead';
  return () => {
    const state = `${roster.changes} ${members.changes}`;
    if (state === known) return nodes;
    known = state;
    nodes = roster.nodes().filter((node) => node !== self && gone(node));
    return nodes;
  };
}
