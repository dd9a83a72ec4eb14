/** Options that attackers have in common. */
import * as v from 'valibot';

export const within = (minimum: number, maximum: number) => {
  const message = `must be a number from ${minimum} to ${maximum}`;
  return v.pipe(v.number(message), v.minValue(minimum, message), v.maxValue(maximum, message));
};
export const seconds = (fallback: number) => v.optional(within(1, 604_800), fallback);
export const share = (fallback: number) => v.optional(within(0, 1), fallback);
export const budget = (fallback: 'kiddie' | 'small' | 'large') =>
  v.optional(v.picklist(['kiddie', 'small', 'large'], 'must be kiddie, small or large'), fallback);
