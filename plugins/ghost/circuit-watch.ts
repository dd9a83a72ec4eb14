/**
 * Which client circuits abuse a head: too many streams open at once, or too many opened in a while. It only reads what the
 * proxy counts, and holds as much as that does. Closing one costs one client a reconnection, and no other anything.
 */
import type { CircuitTraffic } from '../../core/engine/index.ts';

/** Over which connections per second are a mean: a browser opens many at once, and then few. */
const windowMs = 10_000;

export interface CircuitLimits {
  readonly maximumOpen: number;
  readonly maximumPerSecond: number;
}

export class CircuitWatch {
  readonly #limits: CircuitLimits;
  /** Streams so far, by circuit, when the window began. */
  #before = new Map<string, number>();
  #beganAtMs = -Infinity;

  constructor(limits: CircuitLimits) {
    this.#limits = limits;
  }

  /** Those to be closed, with what they did. */
  look(
    circuits: readonly CircuitTraffic[],
    nowMs: number,
  ): { readonly traffic: CircuitTraffic; readonly why: string }[] {
    const { maximumOpen, maximumPerSecond } = this.#limits;
    const most = (maximumPerSecond * windowMs) / 1_000;
    const abusive = circuits.flatMap((traffic) => {
      if (traffic.open > maximumOpen) return [{ traffic, why: `${traffic.open} streams open at once` }];
      const fresh = traffic.streams - (this.#before.get(traffic.circuit) ?? 0);
      return fresh > most ? [{ traffic, why: `${fresh} streams in ${windowMs / 1_000} s` }] : [];
    });
    if (nowMs - this.#beganAtMs >= windowMs) {
      this.#beganAtMs = nowMs;
      this.#before = new Map(circuits.map(({ circuit, streams }) => [circuit, streams]));
    } else {
      // What is closed once is not closed for the same again.
      for (const { traffic } of abusive) this.#before.set(traffic.circuit, traffic.streams);
    }
    return abusive;
  }
}
