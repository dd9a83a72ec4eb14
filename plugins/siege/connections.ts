/**
 * Connections that clients open over their rendezvous, as the proxy sees them: a flood that needs few introductions shows
 * only here. One client circuit counts for no more than `perCircuitPerSecond`: a single one that opens many is for the
 * ghost to close, and must not be enough to move a head out of the descriptor.
 */

/** Circuits of one head that are told apart in one interval; more are counted as one. */
const mostCircuits = 4_096;

export interface ConnectionSample {
  /** Connections, with each circuit's share bounded. */
  readonly counted: number;
  /** Circuits over which they came. */
  readonly circuits: number;
}

export class ConnectionCount {
  readonly #perCircuitPerSecond: number;
  /** Of this interval. What has no circuit of its own, or found no place, shares one entry. */
  readonly #byCircuit = new Map<string, number>();

  constructor(perCircuitPerSecond: number) {
    this.#perCircuitPerSecond = perCircuitPerSecond;
  }

  seen(circuit = ''): void {
    const key = this.#byCircuit.has(circuit) || this.#byCircuit.size < mostCircuits ? circuit : '';
    this.#byCircuit.set(key, (this.#byCircuit.get(key) ?? 0) + 1);
  }

  /** What came since the last call, which was `durationMs` ago. */
  take(durationMs: number): ConnectionSample {
    const most = Math.max(1, (this.#perCircuitPerSecond * durationMs) / 1_000);
    let counted = 0;
    for (const count of this.#byCircuit.values()) counted += Math.min(count, most);
    const circuits = this.#byCircuit.size;
    this.#byCircuit.clear();
    return { counted, circuits };
  }
}
