/** Which nodes hear each other: the components of the network, and since when they are what they are. */
import type { SimulatedNode, World } from './world.ts';

export interface Component {
  readonly nodes: readonly SimulatedNode[];
  /** Since when neither its nodes nor its ways have changed, monotonic. */
  readonly sinceMs: number;
}

/**
 * The components by ways that work both ways, of the nodes that are awake. Nodes with a way that works one way only are left
 * out, with all that they hear: who belongs to whom is not defined there.
 */
export function components(world: World): Component[] {
  const { bus } = world;
  const awake = world.awake();
  // Those that stand still or have died were a part of it, too.
  const sinceMs = Math.max(world.membersChangedAtMs, ...world.nodes.map(({ changedAtMs }) => changedAtMs));
  if (bus.whole) return awake.length === 0 ? [] : [{ nodes: awake, sinceMs }];
  const open = (a: SimulatedNode, b: SimulatedNode): boolean => !bus.isCut(a.id, b.id);
  const halves = new Set(awake.filter((a) => awake.some((b) => a !== b && open(a, b) !== open(b, a))));
  const left = new Set(awake);
  const found: Component[] = [];
  for (const first of awake) {
    if (!left.delete(first)) continue;
    const nodes = [first];
    for (let at = 0; at < nodes.length; at++) {
      const a = nodes[at] as SimulatedNode;
      for (const b of left) {
        if (!open(a, b) && !open(b, a)) continue;
        nodes.push(b);
        left.delete(b);
      }
    }
    if (nodes.some((node) => halves.has(node))) continue;
    found.push({ nodes, sinceMs });
  }
  return found;
}
