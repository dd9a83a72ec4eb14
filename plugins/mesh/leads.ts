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

type Stamp = Pick<Lease, 'incarnation' | 'sequence'>;

interface Known {
  lease: Lease;
  heardAtMs: number;
}

export class Leads {
  readonly #cluster: string;
  readonly #known = new Map<string, Known>();
  /** The latest of each member, those that made room included: were they news again, leaders would pass them on to each other for ever. */
  readonly #latest = new Map<string, Stamp>();

  constructor(cluster: string) {
    this.#cluster = cluster;
  }

  /** Takes a lease heard at that time; false when it is no news or forged. */
  take(lease: Lease, signer: Uint8Array, atMs: number): boolean {
    const latest = this.#latest.get(lease.node);
    if (latest !== undefined && !isLater(lease, latest)) return false;
    if (!verifyLease(this.#cluster, signer, lease)) return false;
    this.#latest.set(lease.node, { incarnation: lease.incarnation, sequence: lease.sequence });
    if (!this.#known.has(lease.node) && this.#known.size >= maximumLeaders) this.#makeRoom();
    // Copies: what came lies in a datagram.
    this.#known.set(lease.node, { lease: { ...lease, signature: Uint8Array.from(lease.signature) }, heardAtMs: atMs });
    return true;
  }

  /** Room for another: the one heard longest ago, if it does not lead any more. */
  #makeRoom(): void {
    const [oldest] = [...this.#known.values()].sort(
      (a, b) => Number(a.lease.leading) - Number(b.lease.leading) || a.heardAtMs - b.heardAtMs,
    );
    if (oldest !== undefined) this.#known.delete(oldest.lease.node);
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

  forget(node: string): void {
    this.#known.delete(node);
    this.#latest.delete(node);
  }
}

function isLater(a: Stamp, b: Stamp): boolean {
  return a.incarnation > b.incarnation || (a.incarnation === b.incarnation && a.sequence > b.sequence);
}
