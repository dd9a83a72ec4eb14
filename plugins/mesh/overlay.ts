/**
 * Who talks to whom, derived by each node for itself from the ids of the members, so that load stays flat however many there are.
 *
 * Up to 13 nodes everybody is everybody's neighbour. Above, the members stand in three rings, each shuffled by a hash, and a node's
 * neighbours are those before and behind it: a random graph of degree six, through which news reach a thousand nodes in about
 * five steps. A lease goes down a tree of twelve branches at each node, another tree each time, so that one lost node costs every second lease
 * of those below it at most.
 */
import { createHash } from 'node:crypto';

export const closeNodes = 13;
const ringCount = 3;
const treeBranches = 12;
const treeCount = 2;

/** Remembered for all nodes of this process: each asks for those of all others. Emptied when it is full. */
const positions = new Map<string, string>();
const maximumPositions = 32_768;

/** Where a node stands in an order: the hash of its id under the order's label. */
function positionOf(label: string, node: string): string {
  const name = `${label} ${node}`;
  let found = positions.get(name);
  if (found === undefined) {
    if (positions.size >= maximumPositions) positions.clear();
    found = createHash('sha256').update(`chimera mesh 2 ${name}`).digest('hex');
    positions.set(name, found);
  }
  return found;
}

/** Nodes by their positions; one more or less costs no sorting. */
class Order {
  readonly #label: string;
  readonly #positions: string[] = [];
  readonly nodes: string[] = [];

  constructor(label: string) {
    this.#label = label;
  }

  /** Where the node stands, or would. */
  #placeOf(position: string): number {
    let low = 0;
    let high = this.#positions.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#positions[middle] as string) < position) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** -1 when it is not there. */
  indexOf(node: string): number {
    const position = positionOf(this.#label, node);
    const at = this.#placeOf(position);
    return this.#positions[at] === position ? at : -1;
  }

  add(node: string): void {
    const position = positionOf(this.#label, node);
    const at = this.#placeOf(position);
    if (this.#positions[at] === position) return;
    this.#positions.splice(at, 0, position);
    this.nodes.splice(at, 0, node);
  }

  remove(node: string): void {
    const at = this.indexOf(node);
    if (at === -1) return;
    this.#positions.splice(at, 1);
    this.nodes.splice(at, 1);
  }
}

export class Overlay {
  readonly #self: string;
  readonly #rings = Array.from({ length: ringCount }, (_none, ring) => new Order(`ring ${ring}`));
  readonly #trees = Array.from({ length: treeCount }, (_none, tree) => new Order(`tree ${tree}`));
  /** Until the next change. */
  #neighbours: readonly string[] | undefined;

  constructor(self: string) {
    this.#self = self;
    this.set(self, true);
  }

  /** A node is there, or is not any more. */
  set(node: string, there: boolean): void {
    for (const order of [...this.#rings, ...this.#trees]) {
      if (there) order.add(node);
      else order.remove(node);
    }
    this.#neighbours = undefined;
  }

  /** How many nodes are there, this one included. */
  get size(): number {
    return this.#rings[0]?.nodes.length ?? 0;
  }

  get neighbours(): readonly string[] {
    this.#neighbours ??= this.#findNeighbours();
    return this.#neighbours;
  }

  #findNeighbours(): readonly string[] {
    if (this.size <= closeNodes) return [...(this.#rings[0]?.nodes ?? [])].filter((node) => node !== this.#self).sort();
    const found = new Set<string>();
    for (const ring of this.#rings) {
      const at = ring.indexOf(this.#self);
      for (const step of [-1, 1]) found.add(ring.nodes.at((at + step) % ring.nodes.length) as string);
    }
    found.delete(this.#self);
    return [...found];
  }

  /** Whom this node passes the leader's lease of a sequence on to. */
  branches(leader: string, sequence: number): readonly string[] {
    const tree = this.#trees[sequence % treeCount];
    const root = tree?.indexOf(leader) ?? -1;
    const own = tree?.indexOf(this.#self) ?? -1;
    if (tree === undefined || root === -1 || own === -1) return [];
    const { nodes } = tree;
    // Counted from the leader: the node at n hands on to those from 12 n + 1 on.
    const place = (own - root + nodes.length) % nodes.length;
    const first = treeBranches * place + 1;
    const last = Math.min(first + treeBranches, nodes.length);
    return Array.from(
      { length: Math.max(0, last - first) },
      (_none, at) => nodes[(root + first + at) % nodes.length] as string,
    );
  }
}
