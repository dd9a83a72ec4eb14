/**
 * How long an introduction point lives in a service's tor (hs_service.c): 18 to 24 hours, or 16,384 to 32,768 introductions.
 * The embedded network and the attack simulator share it.
 */
import type { Random } from '../../../../core/runtime/index.ts';

export interface IntroPointLife {
  /** Introductions after which it is replaced. */
  readonly introductionLimit: number;
  /** Unix seconds at which it is replaced. */
  readonly expiresAt: number;
}

export function drawIntroPointLife(random: Pick<Random, 'int'>, now: number): IntroPointLife {
  const introductionLimit = 16_384 + random.int(16_384);
  return { introductionLimit, expiresAt: now + 18 * 3600 + random.int(6 * 3600) };
}

export const isWorn = ({ introductionLimit, expiresAt }: IntroPointLife, introductions: number, now: number): boolean =>
  introductions >= introductionLimit || expiresAt <= now;
