/**
 * Leaders' signs of life. A leader signs a lease every beacon interval and sends it down a tree (overlay.ts); whoever hears it first
 * passes it on, with its age, and it rides on every ping and ack too. Only a greater (incarnation, sequence) is news, so nobody
 * but the leader can make it look more alive than it is.
 */
import { verifyLease, type Lease } from './record.ts';
import type { Message } from './message.ts';

/** More leaders at a time are not followed: there is one, or two after a cut. */
const maximumLeaders = 4;
/** So many leases ride on a ping, as long as they are not older than this: who led once is not spoken of for ever. */
const maximumCarried = 2;
export const carriedForMs = 30_000;

interface Known {
  lease: Lease;
  heardAtMs: number;
}

export class Leads {
  readonly #cluster: string;
  readonly #known = new Map<string, Known>();

  constructor(cluster: string) {
    this.#cluster = cluster;
  }

  /** Takes a lease heard at that time; false when it is no news, forged, or one leader too many. */
  take(lease: Lease, signer: Uint8Array, atMs: number): boolean {
    const known = this.#known.get(lease.node);
    if (known !== undefined && !isLater(lease, known.lease)) return false;
    if (known === undefined && this.#known.size >= maximumLeaders && !this.#makeRoom()) return false;
    if (!verifyLease(this.#cluster, signer, lease)) return false;
    // Copies: what came lies in a datagram.
    this.#known.set(lease.node, { lease: { ...lease, signature: Uint8Array.from(lease.signature) }, heardAtMs: atMs });
    return true;
  }

  /** Room for another: the one heard longest ago, if it does not lead any more. */
  #makeRoom(): boolean {
    const ended = [...this.#known.values()]
      .filter(({ lease }) => !lease.leading)
      .sort((a, b) => a.heardAtMs - b.heardAtMs);
    const oldest = ended[0] ?? [...this.#known.values()].sort((a, b) => a.heardAtMs - b.heardAtMs)[0];
    return oldest !== undefined && this.#known.delete(oldest.lease.node);
  }

  /** The latest leases, for a ping or an ack. */
  carried(nowMs: number): Message[] {
    return [...this.#known.values()]
      .filter(({ heardAtMs }) => nowMs - heardAtMs < carriedForMs)
      .sort((a, b) => b.heardAtMs - a.heardAtMs)
      .slice(0, maximumCarried)
      .map(({ lease, heardAtMs }) => ({ type: 'lease', lease, ageMs: nowMs - heardAtMs }));
  }

  get size(): number {
    return this.#known.size;
  }

  get(node: string): Lease | undefined {
    return this.#known.get(node)?.lease;
  }

  forget(node: string): void {
    this.#known.delete(node);
  }
}

function isLater(a: Lease, b: Lease): boolean {
  return a.incarnation > b.incarnation || (a.incarnation === b.incarnation && a.sequence > b.sequence);
}
