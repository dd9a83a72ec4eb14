/**
 * Time periods and shared random values (rend-spec-v3, "Deriving blinded keys and subcredentials", "Publishing shared
 * random values"): which two descriptors exist at a moment and which of them clients use. Every decision takes the
 * consensus' own times, never a clock. Enter at `descriptorSlots`.
 *
 *   00–12 UTC: clients use the current period with the previous SRV ("first"); "second" is the next period, current SRV.
 *   12–24 UTC: clients use the current period with the current SRV ("second"); "first" is the past period, previous SRV.
 */
import { ChimeraError } from '../errors.ts';
import { ascii, int8 } from './bytes.ts';
import { sha3 } from './hash.ts';

export interface TimePeriod {
  readonly number: number;
  readonly lengthMinutes: number;
}

/** A consensus' times, unix seconds. */
export interface ConsensusTimes {
  readonly validAfter: number;
  readonly freshUntil: number;
}

export interface PeriodRules {
  /** TestingTorNetwork: a period lasts one shared-random run (24 voting intervals) and `hsdir_interval` is ignored. */
  readonly testingNetwork: boolean;
  /** Consensus parameter `hsdir_interval`, minutes; 1440 when absent, clamped to 5–14400 as tor does. */
  readonly hsdirIntervalMinutes?: number;
}

/** The consensus' shared random values, 32 bytes each, where it has them. */
export interface SharedRandom {
  readonly current?: Uint8Array;
  readonly previous?: Uint8Array;
}

export type SlotName = 'first' | 'second';

/** One of the two descriptors that a service publishes: tor's desc_current is "first", desc_next is "second". */
export interface DescriptorSlot {
  readonly name: SlotName;
  readonly period: TimePeriod;
  /** 32 bytes; the disaster value where the consensus has none. */
  readonly srv: Uint8Array;
  /** Unix seconds: start of the shared-random run that the descriptor's revision counter counts from. */
  readonly revisionStart: number;
}

export interface DescriptorSlots {
  readonly first: DescriptorSlot;
  readonly second: DescriptorSlot;
  /** The slot whose descriptor clients fetch at these times. */
  readonly clientUses: SlotName;
}

const roundsPerRun = 24;
const roundsPerPhase = 12;
const defaultLengthMinutes = 1440;
const shortestLengthMinutes = 5;
const longestLengthMinutes = 14_400;

/** Seconds between two votes, and so between two consensuses. Throws ONION_CONSENSUS for times that make none. */
export function votingIntervalSeconds(times: ConsensusTimes): number {
  const seconds = times.freshUntil - times.validAfter;
  if (
    !Number.isSafeInteger(times.validAfter) ||
    !Number.isSafeInteger(seconds) ||
    times.validAfter <= 0 ||
    seconds <= 0
  ) {
    throw new ChimeraError(
      'ONION_CONSENSUS',
      `valid-after ${times.validAfter} and fresh-until ${times.freshUntil} are not the times of a consensus`,
      { remedy: 'Give both as unix seconds, valid-after first; fresh-until is one voting interval later.' },
    );
  }
  return seconds;
}

/** Length of a time period, minutes. */
export function periodLengthMinutes(times: ConsensusTimes, rules: PeriodRules): number {
  const voting = votingIntervalSeconds(times);
  if (rules.testingNetwork) return Math.max(1, Math.floor((roundsPerRun * voting) / 60));
  const minutes = Math.trunc(rules.hsdirIntervalMinutes ?? defaultLengthMinutes);
  return Math.min(
    longestLengthMinutes,
    Math.max(shortestLengthMinutes, Number.isNaN(minutes) ? defaultLengthMinutes : minutes),
  );
}

/** The time period that `at` (unix seconds) falls into, by the voting interval of `times`. */
function periodContaining(at: number, times: ConsensusTimes, rules: PeriodRules): TimePeriod {
  const offsetMinutes = Math.floor((roundsPerPhase * votingIntervalSeconds(times)) / 60);
  const lengthMinutes = periodLengthMinutes(times, rules);
  return { number: Math.floor((Math.floor(at / 60) - offsetMinutes) / lengthMinutes), lengthMinutes };
}

/** Unix seconds at which the period after the one that contains `at` begins. */
function periodStartAfter(at: number, times: ConsensusTimes, rules: PeriodRules): number {
  const period = periodContaining(at, times, rules);
  return (period.number + 1) * period.lengthMinutes * 60 + roundsPerPhase * votingIntervalSeconds(times);
}

/** The time period at the consensus' valid-after. */
export function timePeriodAt(times: ConsensusTimes, rules: PeriodRules): TimePeriod {
  return periodContaining(times.validAfter, times, rules);
}

/** Unix seconds at which the next time period begins. */
export function nextPeriodStart(times: ConsensusTimes, rules: PeriodRules): number {
  return periodStartAfter(times.validAfter, times, rules);
}

/** Unix seconds at which the current shared-random run began (00:00 UTC on the public network). */
export function srvRunStart(times: ConsensusTimes): number {
  const voting = votingIntervalSeconds(times);
  return times.validAfter - (Math.floor(times.validAfter / voting) % roundsPerRun) * voting;
}

/** True from the start of a time period until the next shared random value: 12–24 UTC on the public network. */
export function isBetweenTimePeriodAndSrv(times: ConsensusTimes, rules: PeriodRules): boolean {
  const runStart = srvRunStart(times);
  return !(times.validAfter >= runStart && times.validAfter < periodStartAfter(runStart, times, rules));
}

const disasterPrefix = ascii('shared-random-disaster');

/** The value that stands in for a missing SRV (rend-spec-v3, "Disaster SRV"). */
export function disasterSrv(period: TimePeriod): Uint8Array {
  return Uint8Array.from(sha3(disasterPrefix, int8(period.lengthMinutes), int8(period.number)));
}

/** The period next to another one; `step` may be negative. */
export function neighbourPeriod(period: TimePeriod, step: number): TimePeriod {
  return { number: period.number + step, lengthMinutes: period.lengthMinutes };
}

/** The two descriptors to publish at these times, and which of them clients use. */
export function descriptorSlots(times: ConsensusTimes, rules: PeriodRules, random: SharedRandom): DescriptorSlots {
  const current = timePeriodAt(times, rules);
  const between = isBetweenTimePeriodAndSrv(times, rules);
  const runStart = srvRunStart(times);
  const firstPeriod = between ? neighbourPeriod(current, -1) : current;
  const secondPeriod = between ? current : neighbourPeriod(current, 1);
  return {
    first: {
      name: 'first',
      period: firstPeriod,
      srv: random.previous ?? disasterSrv(firstPeriod),
      revisionStart: runStart - roundsPerRun * votingIntervalSeconds(times),
    },
    second: {
      name: 'second',
      period: secondPeriod,
      srv: random.current ?? disasterSrv(secondPeriod),
      revisionStart: runStart,
    },
    clientUses: between ? 'second' : 'first',
  };
}

/** What a client derives at these times: the slot of the descriptor it fetches. */
export function clientSlot(times: ConsensusTimes, rules: PeriodRules, random: SharedRandom): DescriptorSlot {
  const slots = descriptorSlots(times, rules, random);
  return slots[slots.clientUses];
}

/** The time period whose descriptor a client fetches at these times. */
export function clientPeriod(times: ConsensusTimes, rules: PeriodRules): TimePeriod {
  return clientSlot(times, rules, {}).period;
}
