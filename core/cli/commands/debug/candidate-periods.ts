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
/**
 * A period of a testing network lasts 24 voting intervals. These are the intervals that people set, the usual one first;
 * trying every second in between would take long to say no.
 */
const testingVotingSeconds = [20, 5, 10, 15, 25, 30, 35, 40, 45, 50, 55, 60, 120, 180, 240, 300];
/** Before and after the period in which a descriptor was made: services publish for the next one and for the past one. */
const neighbours = 1;

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
  for (const voting of testingVotingSeconds) {
    const minutes = Math.floor((24 * voting) / 60);
    // A consensus in use is up to three intervals old, and decides the period.
    yield* periodsMadeIn(certificateExpiresAt, minutes, 3 * voting, [Math.floor((12 * voting) / 60)]);
  }
}

/** The periods in use under a consensus: its own, the next and the last one. */
export function periodsOf(times: ConsensusTimes, rules: PeriodRules): TimePeriod[] {
  const current = timePeriodAt(times, rules);
  return [current, neighbourPeriod(current, 1), neighbourPeriod(current, -1)];
}
