/**
 * Which time period may a descriptor be of, when nobody says? Its certificate tells the hour in which it was made: tor
 * gives it 54 hours, rounded up. Enter at `candidatePeriods`.
 */
import {
  certificateLifetimeSeconds,
  neighbourPeriod,
  timePeriodAt,
  type ConsensusTimes,
  type PeriodRules,
  type TimePeriod,
} from '../../../onion/index.ts';

const publicLengthMinutes = 1440;
/** The offset of periods on the public network: 12 voting intervals of an hour. */
const publicOffsetMinutes = 720;
/** On the public network, what a service's clock may be off; testing networks run on one machine. */
const publicSlackSeconds = 12 * 3600;
const testingSlackSeconds = 600;
/** A period of a testing network lasts 24 voting intervals of 5 s to 5 min; 20 s are usual, and give 8 minutes. */
const usualTestingMinutes = 8;
const shortestTestingMinutes = 2;
const longestTestingMinutes = 120;
/** Before and after the period in which a descriptor was made: services publish for the next one and for the past one. */
const neighbours = 2;

function* periodsMadeIn(
  certificateExpiresAt: number,
  lengthMinutes: number,
  slackSeconds: number,
  offsetsMinutes: readonly number[],
): Generator<TimePeriod> {
  const latest = certificateExpiresAt - certificateLifetimeSeconds + slackSeconds;
  const earliest = latest - 3600 - 2 * slackSeconds;
  const numberAt = (seconds: number, offset: number): number =>
    Math.floor((Math.floor(seconds / 60) - offset) / lengthMinutes);
  const first = numberAt(earliest, Math.max(...offsetsMinutes)) - neighbours;
  const last = numberAt(latest, Math.min(...offsetsMinutes)) + neighbours;
  for (let number = Math.max(0, first); number <= last; number++) yield { number, lengthMinutes };
}

/** The periods that a descriptor may be of, the likeliest first. `lengthMinutes` when the user knows it. */
export function* candidatePeriods(certificateExpiresAt: number, lengthMinutes?: number): Generator<TimePeriod> {
  const length = lengthMinutes ?? publicLengthMinutes;
  const offsets = [publicOffsetMinutes, Math.floor(length / 2)];
  yield* periodsMadeIn(certificateExpiresAt, length, publicSlackSeconds, offsets);
  if (lengthMinutes !== undefined) return;
  const testing = [usualTestingMinutes];
  for (let minutes = shortestTestingMinutes; minutes <= longestTestingMinutes; minutes++) {
    if (minutes !== usualTestingMinutes) testing.push(minutes);
  }
  for (const minutes of testing) {
    yield* periodsMadeIn(certificateExpiresAt, minutes, testingSlackSeconds, [Math.floor(minutes / 2)]);
  }
}

/** The periods in use under a consensus: its own, the next and the last one. */
export function periodsOf(times: ConsensusTimes, rules: PeriodRules): TimePeriod[] {
  const current = timePeriodAt(times, rules);
  return [current, neighbourPeriod(current, 1), neighbourPeriod(current, -1)];
}
