/**
 * Whether two kinds of work can be told apart by how long they take: Welch's t on samples taken in random turn, and on those
 * below several percentiles of both together, so that a few interruptions hide nothing (dudect: Reparaz, Balasch and
 * Verbauwhede, "Dude, is my code constant time?", 2017).
 *
 * A verdict needs several rounds. With equal kinds |t| exceeds `certainT` in one of a million rounds at most; what a busy
 * machine adds to one round by chance it does not add to all, in the same direction.
 */

/** Where dudect calls a leak likely (4.5), and a little. */
const certainT = 5;
/** Of all samples, the shares that are looked at: the fastest so many. */
const shares = [1, 0.95, 0.9, 0.75, 0.5] as const;

/** Welch's t, positive when `a` is larger; 0 for too few samples. */
export function welchT(a: readonly number[], b: readonly number[]): number {
  if (a.length < 2 || b.length < 2) return 0;
  const [one, other] = [a, b].map((samples) => {
    const mean = samples.reduce((sum, value) => sum + value, 0) / samples.length;
    const squares = samples.reduce((sum, value) => sum + (value - mean) ** 2, 0);
    return { mean, error: squares / (samples.length - 1) / samples.length };
  }) as [{ mean: number; error: number }, { mean: number; error: number }];
  const error = Math.sqrt(one.error + other.error);
  const difference = one.mean - other.mean;
  return error === 0 ? Math.sign(difference) * (difference === 0 ? 0 : Infinity) : difference / error;
}

/** The t of the crop in which the two differ most. */
export function largestT(a: readonly number[], b: readonly number[]): number {
  const all = [...a, ...b].sort((x, y) => x - y);
  const ofCrop = shares.map((share) => {
    const limit = all[Math.ceil(share * all.length) - 1] ?? Infinity;
    const below = (value: number): boolean => value <= limit;
    return welchT(a.filter(below), b.filter(below));
  });
  return ofCrop.reduce((largest, t) => (Math.abs(t) > Math.abs(largest) ? t : largest), 0);
}

/** True when the rounds agree that the two differ. */
export function isLeak(ts: readonly number[]): boolean {
  return ts.every((t) => t > certainT) || ts.every((t) => t < -certainT);
}

export const median = (samples: readonly number[]): number =>
  [...samples].sort((a, b) => a - b)[Math.floor(samples.length / 2)] ?? Number.NaN;
