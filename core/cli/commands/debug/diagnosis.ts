/**
 * A descriptor under the magnifying glass: everything that holds and everything that does not, where the pipeline would
 * stop at the first fault. Pure. Enter at `diagnose`.
 */
import { ChimeraError } from '../../../errors.ts';
import {
  certificateLifetimeSeconds,
  openDescriptor,
  periodIdentity,
  readOuter,
  verifyOuter,
  type Descriptor,
  type OnionAddress,
  type OuterDescriptor,
  type TimePeriod,
} from '../../../onion/index.ts';
import { sameBytes } from '../../../onion/bytes.ts';

export interface Diagnosis {
  /** Undefined when not even the outer form holds. */
  readonly outer?: OuterDescriptor;
  /** The period whose blinded key signed it; undefined when it is not the address' own. */
  readonly period?: TimePeriod;
  /** There unless something other than an expiry is wrong. */
  readonly descriptor?: Descriptor;
  /** Empty: genuine, and valid now. */
  readonly problems: readonly ChimeraError[];
}

export interface DiagnosisOptions {
  readonly address: OnionAddress;
  /** The time periods that it may be of, given when its certificate expires (unix seconds). */
  readonly periods: (certificateExpiresAt: number) => Iterable<TimePeriod>;
  /** Unix seconds. */
  readonly now: number;
  readonly clientKey?: Uint8Array;
}

/** The result of `work`, or the coded error that it threw. */
function attempt<T>(work: () => T): T | ChimeraError {
  try {
    return work();
  } catch (error) {
    if (error instanceof ChimeraError) return error;
    throw error;
  }
}

function periodOf(outer: OuterDescriptor, options: DiagnosisOptions): TimePeriod | undefined {
  for (const period of options.periods(outer.certificate.expiresAt)) {
    if (sameBytes(periodIdentity(options.address, period).blindedPublicKey, outer.blindedKey)) return period;
  }
  return undefined;
}

/**
 * Runs `check` now and, where a certificate is at fault, at the time at which the descriptor was made: what passes only
 * then has expired, and nothing else.
 */
function checkedTwice<T>(
  outer: OuterDescriptor,
  now: number,
  check: (now: number) => T,
): { readonly value?: T; readonly problems: readonly ChimeraError[] } {
  const today = attempt(() => check(now));
  if (!(today instanceof ChimeraError)) return { value: today, problems: [] };
  if (today.code !== 'ONION_CERTIFICATE') return { problems: [today] };
  const madeAt = outer.certificate.expiresAt - certificateLifetimeSeconds;
  const then = attempt(() => check(Math.min(now, madeAt)));
  if (!(then instanceof ChimeraError)) return { value: then, problems: [today] };
  return { problems: then.message === today.message ? [today] : [today, then] };
}

/** Examines the text of a descriptor of `address`. Never throws for what is wrong with the descriptor. */
export function diagnose(text: string | Uint8Array, options: DiagnosisOptions): Diagnosis {
  const { address, now, clientKey } = options;
  const outer = attempt(() => readOuter(text));
  if (outer instanceof ChimeraError) return { problems: [outer] };
  const period = periodOf(outer, options);
  if (period === undefined) {
    const { problems } = checkedTwice(outer, now, (at) => verifyOuter(text, { now: at }));
    const stranger = new ChimeraError(
      'ONION_WRONG_SERVICE',
      `the descriptor is not of ${address}.onion in any time period that it may be of: its key is not derived from that address`,
      { remedy: 'Give the address that it was fetched for; on an unusual network also --period-length.' },
    );
    return { outer, problems: [...problems, stranger] };
  }
  const { value: descriptor, problems } = checkedTwice(outer, now, (at) =>
    openDescriptor(text, {
      address,
      periods: [period],
      now: at,
      ...(clientKey === undefined ? {} : { clientKey }),
    }),
  );
  return { outer, period, problems, ...(descriptor === undefined ? {} : { descriptor }) };
}
