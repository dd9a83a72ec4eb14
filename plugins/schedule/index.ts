/**
 * schedule: publishes when something changed and otherwise at random times, as tor does; retries after a failure.
 *
 *   settled published   ─► next in 60–120 min ─► tick
 *   settled failed      ─► next in 2, 4, 8 … 60 s ─► tick
 *   settled unconfirmed ─► the same, then rarer ─► tick: recheck, which sends to those HSDirs only that lack it
 *   every two minutes   ─► tick: recheck, which looks after the descriptor at one HSDir
 *   new consensus       ─► a cycle, which ends `unchanged` unless a period, an SRV or an HSDir moved
 */
import * as v from 'valibot';
import { integer } from '../../core/config/schema.ts';
import { definePlugin, torContract } from '../../core/engine/index.ts';
import { jittered, type Timer } from '../../core/runtime/index.ts';

const options = v.pipe(
  v.strictObject({
    /** A descriptor is published again between these two, even if nothing changed. tor's own are 60 and 120 minutes. */
    refresh_min_secs: v.optional(integer(60, 9_000), 3_600),
    refresh_max_secs: v.optional(integer(60, 9_000), 7_200),
    retry_min_ms: v.optional(integer(100, 60_000), 2_000),
    retry_max_ms: v.optional(integer(1_000, 600_000), 60_000),
    /** Rechecks of an unconfirmed publication in the steps above, … */
    unconfirmed_retries: v.optional(integer(0, 100), 10),
    /** … and the longest wait between those that follow. */
    unconfirmed_max_secs: v.optional(integer(1, 9_000), 600),
    /** How often an HSDir is asked whether it has the descriptor still; 0: never. */
    watch_secs: v.optional(integer(0, 9_000), 120),
    /** Each publication is 16 uploads or more; beyond this many in an hour changes wait. */
    max_publishes_per_hour: v.optional(integer(1, 3_600), 120),
  }),
  v.check(
    (value) => value.refresh_min_secs <= value.refresh_max_secs && value.retry_min_ms <= value.retry_max_ms,
    'a minimum is above its maximum',
  ),
);

const hourMs = 3_600_000;

const recheck = 'recheck';
/** Why a cycle may not end `unchanged`. Signals arrive as `tick: …` and `operator: …`. */
const insists = (reason: string): boolean => /^(tick(?!: recheck\b)|operator)\b/.test(reason);
const rechecks = (reason: string): boolean => reason.startsWith(`tick: ${recheck}`);

export const schedule = definePlugin<v.InferOutput<typeof options>>({
  name: 'schedule',
  summary: 'Publishes on change, else at random times within the limits of the protocol; retries after failures.',
  needs: [torContract],
  section: 'schedule',
  options,
  apply(host, settings) {
    const { refresh_min_secs, refresh_max_secs, retry_min_ms, retry_max_ms, unconfirmed_retries } = settings;
    const { clock, random } = host.runtime;
    /** For the next try, or the next refresh. */
    let timer: Timer | undefined;
    let retrying = false;
    let watch: Timer | undefined;
    let failures = 0;
    /** After a failed upload some HSDirs may have what the others have not. */
    let uncertain = false;
    /** The cycle was to recheck a publication above which another's counter is. */
    let superseded = false;
    /** The cycle has sealed something. */
    let sealed = false;
    /** When each publication of the last hour was, monotonic milliseconds. */
    let recent: number[] = [];
    /** Monotonic time of the next refresh; a cycle that seals nothing does not move it. */
    let refreshAtMs: number | undefined;

    const wake = (delayMs: number, why: string, retries = false): void => {
      timer?.cancel();
      retrying = retries;
      timer = clock.after(delayMs, () => {
        timer = undefined;
        retrying = false;
        host.signal('tick', { why });
      });
    };
    const wakeToRefresh = (): void => {
      const span = refresh_max_secs - refresh_min_secs;
      refreshAtMs ??= clock.monotonic() + 1000 * (refresh_min_secs + span * random.float());
      wake(Math.max(0, refreshAtMs - clock.monotonic()), 'refresh');
    };
    const quickMs = (tries: number): number => Math.min(retry_max_ms, retry_min_ms * 2 ** Math.min(tries, 16));
    /** An HSDir that is out of reach for long is asked ever more rarely. */
    const recheckMs = (tries: number): number => {
      if (tries < unconfirmed_retries) return quickMs(tries);
      const slowMs = retry_max_ms * 2 ** Math.min(tries - unconfirmed_retries + 1, 16);
      return Math.min(Math.max(retry_max_ms, settings.unconfirmed_max_secs * 1000), slowMs);
    };
    const watchLater = (): void => {
      if (settings.watch_secs === 0 || watch !== undefined) return;
      watch = clock.after(jittered(random, settings.watch_secs * 1000, 0.2), () => {
        watch = undefined;
        // Where a retry waits, it looks as well.
        if (retrying) watchLater();
        else host.signal('tick', { why: `${recheck}: whether it is there still` });
      });
    };
    const rest = (): void => {
      timer?.cancel();
      watch?.cancel();
      timer = watch = undefined;
      retrying = false;
    };

    host.hooks.start.tap('schedule', () => {
      host.defer(host.need(torContract).primary.onConsensus(() => host.signal('newPeriod', { why: 'new consensus' })));
      host.defer(rest);
    });

    host.hooks.review.tap({ name: 'schedule', stage: 100 }, (context) => {
      const { published, content, placement, epoch, reasons, resendable } = context;
      const same = published !== undefined && published.content === content && published.placement === placement;
      // Between two terms of this node another one may have published.
      const current = same && published.epoch === epoch && (published.confirmed || !uncertain);
      const wanted = reasons.some(rechecks);
      superseded = wanted && current && !resendable;
      if (current && !superseded && !reasons.some(insists)) {
        if (wanted) return { outcome: 'recheck', why: 'whether the HSDirs have it' };
        return { outcome: 'unchanged', why: 'the same introduction points at the same HSDirs' };
      }
      const now = clock.monotonic();
      recent = recent.filter((at) => now - at < hourMs);
      const [oldest] = recent;
      if (oldest === undefined || recent.length < settings.max_publishes_per_hour) return undefined;
      wake(oldest + hourMs - now, 'a change has waited');
      const why = `${recent.length} publications in an hour, the most that schedule.max_publishes_per_hour allows`;
      return { outcome: 'refused', why };
    });
    host.hooks.uploaded.tap('schedule', () => {
      sealed = true;
      recent.push(clock.monotonic());
    });

    host.hooks.settled.tap('schedule', ({ outcome }) => {
      const isNew = sealed;
      sealed = false;
      if (outcome === 'refused') return;
      if (outcome === 'standby') {
        rest();
        failures = 0;
        return;
      }
      // A publication has been looked after at its end.
      if (outcome === 'published' || outcome === 'unconfirmed') {
        watch?.cancel();
        watch = undefined;
      }
      watchLater();
      if (outcome === 'failed') {
        uncertain = true;
        wake(jittered(random, quickMs(failures++), 0.2), `retry ${failures} after ${outcome}`, true);
        return;
      }
      if (outcome === 'unchanged') {
        if (timer === undefined) wakeToRefresh();
        return;
      }
      uncertain = false;
      if (isNew) refreshAtMs = undefined;
      wakeToRefresh();
      // A new publication is tried anew; one that only went above another's counter is not.
      if (outcome === 'published' || (isNew && !superseded)) failures = 0;
      if (outcome === 'published') return;
      const untilRefreshMs = (refreshAtMs ?? Infinity) - clock.monotonic();
      const delayMs = jittered(random, recheckMs(failures++), 0.2);
      if (delayMs < untilRefreshMs) wake(delayMs, `${recheck} ${failures}: some HSDirs lack it`, true);
    });
  },
});
export default schedule;
