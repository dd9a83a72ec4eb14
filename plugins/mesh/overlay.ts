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

const position = (label: string, node: string): string =>
  createHash('sha256').update(`chimera mesh 2 ${label} ${node}`).digest('hex');

/** Sorted by hash under a label; remembers the hashes. */
class Order {
  readonly #label: string;
  readonly #positions = new Map<string, string>();

  constructor(label: string) {
    this.#label = label;
  }

  sort(nodes: readonly string[]): string[] {
    if (this.#positions.size > 2 * nodes.length + 64) this.#positions.clear();
    const at = (node: string): string => {
      let found = this.#positions.get(node);
      if (found === undefined) this.#positions.set(node, (found = position(this.#label, node)));
      return found;
    };
    return [...nodes].sort((a, b) => (at(a) < at(b) ? -1 : 1));
  }
}

export class Overlay {
  readonly #self: string;
  readonly #rings = Array.from({ length: ringCount }, (_none, ring) => new Order(`ring ${ring}`));
  readonly #trees = Array.from({ length: treeCount }, (_none, tree) => new Order(`tree ${tree}`));
  #others: readonly string[] | undefined;
  #present: readonly string[] = [];
  #neighbours: readonly string[] = [];
  #sorted: readonly (readonly string[])[] = [];

  constructor(self: string) {
    this.#self = self;
  }

  /** The other nodes that are there. */
  update(others: readonly string[]): void {
    if (others === this.#others) return;
    this.#others = others;
    const present = [this.#self, ...others].sort();
    this.#present = present;
    this.#sorted = this.#trees.map((tree) => tree.sort(present));
    if (present.length <= closeNodes) this.#neighbours = present.filter((node) => node !== this.#self);
    else {
      const found = new Set<string>();
      for (const ring of this.#rings) {
        const order = ring.sort(present);
        const at = order.indexOf(this.#self);
        for (const step of [-1, 1]) found.add(order.at((at + step) % order.length) as string);
      }
      found.delete(this.#self);
      this.#neighbours = [...found];
    }
  }

  get size(): number {
    return this.#present.length;
  }

  get neighbours(): readonly string[] {
    return this.#neighbours;
  }

  /** Whom this node passes the leader's lease of a sequence on to. */
  branches(leader: string, sequence: number): readonly string[] {
    const order = this.#sorted[sequence % treeCount] ?? [];
    const root = order.indexOf(leader);
    const own = order.indexOf(this.#self);
    if (root === -1 || own === -1) return [];
    // Counted from the leader: the node at n hands on to those from 12 n + 1 on.
    const place = (own - root + order.length) % order.length;
    const first = treeBranches * place + 1;
    const last = Math.min(first + treeBranches, order.length);
    return Array.from(
      { length: Math.max(0, last - first) },
      (_none, at) => order[(root + first + at) % order.length] as string,
    );
  }
}
