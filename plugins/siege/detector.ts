/**
 * When is a head under siege? Pure: a sample of each interval in, the state and a verdict out. What is counted, introductions
 * or connections, is all the same to it.
 *
 *   calm ─ level ≥ 1 ─► besieged ─ level < 1/2 for `calmMs` ─► calm
 *
 * The level is the larger of two figures. Fast: the rate of the last seconds over the threshold. Slow: a cumulative sum of what
 * is above half the threshold, which a drip below it cannot escape. Both stand on a baseline that outliers do not move
 * (median and median absolute deviation of the last hour), learned only while it is calm. Enter at `observe`.
 */

export interface DetectorSettings {
  /** What is counted, for the verdict's words: `introductions`. */
  readonly what: string;
  /** So many of them per second below which nothing is a siege, however quiet the head was. */
  readonly floorPerSecond: number;
  /** The threshold is at least this many times the baseline: a crowd of so many times the usual is no siege. */
  readonly factor: number;
  /** … and this many deviations above it. */
  readonly deviations: number;
  /** A rate in the middle between baseline and threshold and one threshold means: this many seconds at the threshold count as a siege. */
  readonly memorySecs: number;
  /** How long the level must be low until the siege is over. */
  readonly calmMs: number;
  /** A siege of ten times the threshold that lasts longer than this is the new normal; a milder one sooner, in proportion. */
  readonly adoptMs: number;
  /** Share of a core above which the process counts as busy: half the threshold is enough then. */
  readonly busyCpu: number;
}

/** What was seen at a head in one interval. */
export interface Sample {
  /** Monotonic. */
  readonly atMs: number;
  readonly durationMs: number;
  /** How many came. */
  readonly count: number;
  /** Share of one core that its tor used, 0–1; undefined when unknown. */
  readonly cpu?: number | undefined;
}

export interface DetectorState {
  /** Rates of the last hour, one of ten seconds each, newest last. */
  readonly history: readonly number[];
  /** The same of the siege under way, until it is adopted. */
  readonly during: readonly number[];
  /** Of the ten seconds under way. */
  readonly bucket: { readonly count: number; readonly durationMs: number };
  /** The last samples, for the fast figure. */
  readonly recent: readonly Sample[];
  /** What was above half the way to the threshold, summed up. */
  readonly excess: number;
  readonly besiegedSinceMs: number | undefined;
  /** Since when the level has been low in a siege. */
  readonly lowSinceMs: number | undefined;
  readonly baseline: Baseline;
}

export interface Baseline {
  /** Per second. */
  readonly median: number;
  readonly deviation: number;
}

export interface Verdict {
  readonly besieged: boolean;
  /** How far beyond the threshold: 1 is at it. 0 while calm. */
  readonly level: number;
  readonly perSecond: number;
  readonly threshold: number;
  readonly why: string;
}

const bucketMs = 10_000;
const historyBuckets = 360;
const recentMs = 3_000;
/** MAD of a normal distribution times this is its standard deviation. */
const normal = 1.4826;
export const highestLevel = 100;
/** Buckets until a baseline means something; before that the floor is twice as high. */
const learnedBuckets = 6;
/** A siege of this level takes the whole adoptMs. */
const fullLevel = 10;
/** Even the mildest siege is none of a moment. */
const leastAdoptShare = 1 / 12;

export function createDetectorState(): DetectorState {
  return {
    history: [],
    during: [],
    bucket: { count: 0, durationMs: 0 },
    recent: [],
    excess: 0,
    besiegedSinceMs: undefined,
    lowSinceMs: undefined,
    baseline: { median: 0, deviation: 0 },
  };
}

/** The value that would stand at `rank` if `values` were sorted (Hoare's selection); moves them about. */
function ranked(values: Float64Array, rank: number): number {
  let low = 0;
  let high = values.length - 1;
  while (low < high) {
    const pivot = values[(low + high) >> 1] as number;
    let left = low;
    let right = high;
    while (left <= right) {
      while ((values[left] as number) < pivot) left++;
      while ((values[right] as number) > pivot) right--;
      if (left > right) break;
      const moved = values[left] as number;
      values[left++] = values[right] as number;
      values[right--] = moved;
    }
    if (rank <= right) high = right;
    else if (rank >= left) low = left;
    else break;
  }
  return values[rank] as number;
}

/** Selected, not sorted: every head looks at an hour of rates every ten seconds. */
function median(rates: readonly number[]): number {
  if (rates.length === 0) return 0;
  const values = new Float64Array(rates);
  const middle = values.length >> 1;
  const upper = ranked(values, middle);
  return values.length % 2 === 1 ? upper : (upper + Math.max(...values.subarray(0, middle))) / 2;
}

export function baselineOf(history: readonly number[]): Baseline {
  const middle = median(history);
  return { median: middle, deviation: normal * median(history.map((rate) => Math.abs(rate - middle))) };
}

/** The rate per second at which a head is besieged. */
export function thresholdOf({ median: usual, deviation }: Baseline, settings: DetectorSettings): number {
  // A quiet hour has no deviation at all: that of a Poisson process over the fast window is the least to expect.
  const least = Math.sqrt(usual / (recentMs / 1_000));
  const byDeviation = usual + settings.deviations * Math.max(deviation, least);
  return Math.max(settings.floorPerSecond, settings.factor * usual, byDeviation);
}

export function observe(
  state: DetectorState,
  sample: Sample,
  settings: DetectorSettings,
): { readonly state: DetectorState; readonly verdict: Verdict } {
  const seconds = Math.max(sample.durationMs, 1) / 1_000;
  const learned = state.history.length >= learnedBuckets;
  const threshold = Math.max(thresholdOf(state.baseline, settings), learned ? 0 : 2 * settings.floorPerSecond);
  const { median: usual } = state.baseline;

  const recent = [...state.recent, sample].filter(({ atMs }) => atMs > sample.atMs - recentMs).slice(-64);
  const counted = recent.reduce((sum, { count }) => sum + count, 0);
  // Over the whole window even when it has just begun: a single one at the start is no flood.
  const perSecond = counted / (recentMs / 1_000);
  const busy = recent.length > 1 && recent.every(({ cpu }) => cpu !== undefined && cpu >= settings.busyCpu);
  const fast = (busy ? 2 : 1) * (perSecond / threshold);

  const margin = threshold - usual;
  const limit = margin * settings.memorySecs;
  const above = sample.count - (usual + margin / 2) * seconds;
  const excess = Math.min(Math.max(0, state.excess + above), 1.5 * limit);
  const slow = excess / limit;

  const raw = Math.min(Math.max(fast, slow), highestLevel);
  const wasBesieged = state.besiegedSinceMs !== undefined;
  const low = raw < 0.5;
  const lowSinceMs = wasBesieged && low ? (state.lowSinceMs ?? sample.atMs) : undefined;
  const over = lowSinceMs !== undefined && sample.atMs - lowSinceMs >= settings.calmMs;
  const besieged = wasBesieged ? !over : raw >= 1;
  const besiegedSinceMs = besieged ? (state.besiegedSinceMs ?? sample.atMs) : undefined;
  const adoptMs = settings.adoptMs * Math.min(1, Math.max(leastAdoptShare, raw / fullLevel));
  const adopted = besiegedSinceMs !== undefined && sample.atMs - besiegedSinceMs >= adoptMs;

  let { history, during, bucket, baseline } = state;
  bucket = {
    count: bucket.count + sample.count,
    durationMs: bucket.durationMs + sample.durationMs,
  };
  if (besieged !== wasBesieged) {
    // What led to the siege, or what is left of it, is neither's usual.
    bucket = { count: 0, durationMs: 0 };
    during = [];
  } else if (bucket.durationMs >= bucketMs) {
    const rate = bucket.count / (bucket.durationMs / 1_000);
    if (besieged) during = [...during, rate].slice(-historyBuckets);
    else history = [...history, rate].slice(-historyBuckets);
    bucket = { count: 0, durationMs: 0 };
    if (adopted) history = during;
    if (!besieged || adopted) baseline = baselineOf(history);
  }

  const figures = `${perSecond.toFixed(1)} ${settings.what}/s, usual ${usual.toFixed(1)}, threshold ${threshold.toFixed(1)}`;
  const cause =
    busy && fast >= slow ? ', its tor is busy' : slow > fast ? `, summed up ${slow.toFixed(1)} times the limit` : '';
  return {
    state: { history, during, bucket, recent, excess, besiegedSinceMs, lowSinceMs, baseline },
    verdict: { besieged, level: besieged ? Math.max(raw, 0.5) : 0, perSecond, threshold, why: `${figures}${cause}` },
  };
}
