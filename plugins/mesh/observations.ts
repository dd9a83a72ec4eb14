/**
 * When a peer was really heard: arrival proves nothing, since genuine datagrams may have waited in a queue for a minute. Each carries
 * its sender's monotonic clock; an echo (a question and its answer) bounds how that clock stands to this one, and from then on
 * the age of whatever comes is known, within one round trip. Wall clocks play no part.
 */

/** A bound is good for so long: clocks drift by less than a millisecond meanwhile, unless a machine sleeps. */
const sampleLifeMs = 60_000;
/** A bound that puts a datagram further into the future than this is wrong: this machine's clock stood still. */
const toleranceMs = 50;
const maximumSamples = 8;

interface Sample {
  readonly atMs: number;
  /** This node's clock less the peer's, at least: the peer's stamp was made after the question was sent. */
  readonly offsetMs: number;
}

export class Observations {
  readonly #peers = new Map<string, { readonly boot: string; samples: Sample[] }>();

  /** An answer to what was sent at `sentAtMs`, given when the peer's clock showed `stampMs`. */
  echo(node: string, boot: string, sentAtMs: number, stampMs: number, nowMs: number): void {
    let known = this.#peers.get(node);
    if (known?.boot !== boot) this.#peers.set(node, (known = { boot, samples: [] }));
    const sample = { atMs: nowMs, offsetMs: sentAtMs - stampMs };
    const kept = known.samples.filter(({ atMs }) => nowMs - atMs < sampleLifeMs);
    known.samples = [...kept, sample].slice(-maximumSamples);
  }

  /** When the peer sealed something with this stamp, on this node's clock, at the earliest. Undefined before the first echo. */
  time(node: string, boot: string, stampMs: number, nowMs: number): number | undefined {
    const known = this.#peers.get(node);
    if (known?.boot !== boot) return undefined;
    const last = known.samples.at(-1);
    if (last === undefined) return undefined;
    let offsetMs = -Infinity;
    for (const sample of known.samples)
      if (sample.offsetMs > offsetMs && nowMs - sample.atMs < sampleLifeMs) offsetMs = sample.offsetMs;
    if (offsetMs === -Infinity) offsetMs = last.offsetMs;
    const atMs = stampMs + offsetMs;
    if (atMs > nowMs + toleranceMs) {
      this.#peers.delete(node);
      return undefined;
    }
    return Math.min(atMs, nowMs);
  }

  /** True when there is no bound, or none of the last `withinMs`. */
  stale(node: string, nowMs: number, withinMs: number): boolean {
    const last = this.#peers.get(node)?.samples.at(-1);
    return last === undefined || nowMs - last.atMs > withinMs;
  }

  get size(): number {
    return this.#peers.size;
  }

  forget(node: string): void {
    this.#peers.delete(node);
  }
}
