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

/** What HiddenServiceEnableIntroDoSDefense asks of a relay (proposal 305), introductions per second and at once. */
export interface IntroductionLimit {
  readonly perSecond: number;
  readonly burst: number;
}
export const defaultIntroductionLimit: IntroductionLimit = { perSecond: 25, burst: 200 };

/** A relay's bucket of tokens for one introduction circuit (hs_dos.c): it counts whole seconds, and the last token is never spent. */
export class IntroductionBucket {
  readonly #limit: IntroductionLimit;
  #tokens: number;
  #filledAt: number;

  /** `now` in seconds. */
  constructor(limit: IntroductionLimit, now: number) {
    this.#limit = limit;
    this.#tokens = limit.burst;
    this.#filledAt = Math.floor(now);
  }

  /** Whether an INTRODUCE1 may go on to the service. */
  take(now: number): boolean {
    const { perSecond, burst } = this.#limit;
    const second = Math.floor(now);
    this.#tokens = Math.min(burst, this.#tokens + perSecond * Math.max(0, second - this.#filledAt));
    this.#filledAt = second;
    if (this.#tokens > 0) this.#tokens--;
    return this.#tokens > 0;
  }
}
