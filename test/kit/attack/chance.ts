/** Draws from distributions. */
import type { Random } from '../../../core/runtime/index.ts';

export const exponential = (random: Random, mean: number): number => -mean * Math.log(1 - random.float());

/** Knuth's product below 30; beyond, the normal distribution of the same mean and variance. */
export function poisson(random: Random, mean: number): number {
  if (mean <= 0) return 0;
  if (mean < 30) {
    const limit = Math.exp(-mean);
    let count = 0;
    for (let product = random.float(); product > limit; product *= random.float()) count++;
    return count;
  }
  const angle = 2 * Math.PI * random.float();
  const normal = Math.sqrt(-2 * Math.log(1 - random.float())) * Math.cos(angle);
  return Math.max(0, Math.round(mean + Math.sqrt(mean) * normal));
}
