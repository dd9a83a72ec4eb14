/**
 * One head of this node: what came to it since the last sample, by source, and the verdict. Introductions and connections each
 * have a baseline and a detector of their own; the head is besieged when either says so, and the graver one gives the reason,
 * with the introduction points where most comes from, which decide nothing.
 */
import { ConnectionCount } from './connections.ts';
import { createDetectorState, observe, type DetectorSettings, type DetectorState, type Verdict } from './detector.ts';
import { IntroductionCount } from './introductions.ts';
import type { ServiceCounts } from './metrics.ts';
import { concentration, type PointRate } from './points.ts';

export interface HeadSettings {
  readonly introductions: DetectorSettings;
  readonly connections: DetectorSettings;
  /** What one client circuit counts for at most, connections per second. */
  readonly perCircuitPerSecond: number;
}

/** What is known of one source, for the status. */
export type SourceFigures = Readonly<Record<'perSecond' | 'threshold' | 'usual', number>>;

class Source {
  state: DetectorState = createDetectorState();
  verdict: Verdict | undefined;

  figures(): SourceFigures {
    return {
      perSecond: Number((this.verdict?.perSecond ?? 0).toFixed(2)),
      threshold: Number((this.verdict?.threshold ?? 0).toFixed(2)),
      usual: Number(this.state.baseline.median.toFixed(2)),
    };
  }

  observe(
    atMs: number,
    durationMs: number,
    count: number,
    cpu: number | undefined,
    settings: DetectorSettings,
  ): Verdict {
    const { state, verdict } = observe(this.state, { atMs, durationMs, count, cpu }, settings);
    this.state = state;
    this.verdict = verdict;
    return verdict;
  }
}

export class WatchedHead {
  readonly head: string;
  readonly introductionCount = new IntroductionCount();
  readonly connectionCount: ConnectionCount;
  verdict: Verdict | undefined;
  /** Its introduction points as of the last sample, the one with most first. */
  points: readonly PointRate[] = [];
  /** What the others were told last. */
  told = { level: 0, atMs: -Infinity };
  readonly #settings: HeadSettings;
  readonly #introductions = new Source();
  readonly #connections = new Source();
  #lastSampleAtMs: number;

  constructor(head: string, settings: HeadSettings, nowMs: number) {
    this.head = head;
    this.#settings = settings;
    this.connectionCount = new ConnectionCount(settings.perCircuitPerSecond);
    this.#lastSampleAtMs = nowMs;
  }

  /** Looks at what came since the last time; undefined when no time has passed. */
  sample(
    atMs: number,
    cpu: number | undefined,
    counts: ServiceCounts | undefined,
    points: readonly PointRate[] = [],
  ): Verdict | undefined {
    const durationMs = atMs - this.#lastSampleAtMs;
    if (durationMs <= 0) return undefined;
    this.points = points;
    this.#lastSampleAtMs = atMs;
    const { introductions, connections } = this.#settings;
    const came = this.introductionCount.take(counts);
    const byTor = this.#introductions.observe(atMs, durationMs, came, cpu, introductions);
    const { counted, circuits } = this.connectionCount.take(durationMs);
    const byProxy = this.#connections.observe(atMs, durationMs, counted, cpu, connections);
    const graver = byProxy.level > byTor.level ? byProxy : byTor;
    const more = graver === byProxy ? `over ${circuits} client circuits` : graver.besieged && concentration(points);
    this.verdict = more ? { ...graver, why: `${graver.why}, ${more}` } : graver;
    return this.verdict;
  }

  get figures(): { readonly introductions: SourceFigures; readonly connections: SourceFigures } {
    return { introductions: this.#introductions.figures(), connections: this.#connections.figures() };
  }
}
