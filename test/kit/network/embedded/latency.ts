/** How long things take in the simulated network. Each is a range of milliseconds, drawn from uniformly. */
import type { Random } from '../../../../core/runtime/index.ts';

export type MillisecondRange = readonly [least: number, most: number];

export interface LatencyProfile {
  /** From a tor's start to 100 %. */
  readonly bootstrapMs: MillisecondRange;
  /** One hop of a circuit that is being built. */
  readonly hopMs: MillisecondRange;
  /** One cell along a whole circuit, one way. */
  readonly cellMs: MillisecondRange;
  /** One request to a directory with its answer, circuit included. */
  readonly directoryMs: MillisecondRange;
}

/** A private network on loopback, as measured. */
export const loopbackLatency: LatencyProfile = {
  bootstrapMs: [800, 2500],
  hopMs: [10, 40],
  cellMs: [2, 8],
  directoryMs: [30, 120],
};

/** The public network, roughly. */
export const publicLatency: LatencyProfile = {
  bootstrapMs: [4000, 20_000],
  hopMs: [80, 450],
  cellMs: [120, 400],
  directoryMs: [600, 3000],
};

export function drawMs(random: Random, [least, most]: MillisecondRange): number {
  return least + random.float() * (most - least);
}
