/**
 * schedule: publishes when something changed and otherwise at random times, as tor does; retries after a failure.
 *
 *   settled published/unchanged ─► next in 60–120 min ─► tick
 *   settled failed              ─► next in 2, 4, 8 … 60 s ─► tick
 *   settled unconfirmed         ─► the same, a few times, then as published
 *   new consensus               ─► a cycle, which ends `unchanged` unless a period, an SRV or an HSDir moved
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
    /** Unconfirmed publications in a row until the HSDirs that lack it are left to the next refresh. */
    unconfirmed_retries: v.optional(integer(0, 100), 5),
    /** Each publication is 16 uploads or more; beyond this many in an hour changes wait. */
    max_publishes_per_hour: v.optional(integer(1, 3_600), 120),
  }),
  v.check(
    (value) => value.refresh_min_secs <= value.refresh_max_secs && value.retry_min_ms <= value.retry_max_ms,
    'a minimum is above its maximum',
  ),
);

const hourMs = 3_600_000;

/** Why a cycle may not end `unchanged`. Signals arrive as `tick: …` and `operator: …`. */
const insists = (reason: string): boolean => /^(tick|operator)\b/.test(reason);

export const schedule = definePlugin<v.InferOutput<typeof options>>({
  name: 'schedule',
  summary: 'Publishes on change, else at random times within the limits of the protocol; retries after failures.',
  needs: [torContract],
  section: 'schedule',
  options,
  apply(host, settings) {
    const { refresh_min_secs, refresh_max_secs, retry_min_ms, retry_max_ms } = settings;
    const { clock, random } = host.runtime;
    let timer: Timer | undefined;
    let failures = 0;
    /** Some HSDir of the public network is always out of reach; that is no reason to publish for ever. */
    let satisfied = true;
    /** When each publication of the last hour was, monotonic milliseconds. */
    let recent: number[] = [];
    /** Monotonic time of the next refresh; a cycle that changes nothing does not move it. */
    let refreshAtMs: number | undefined;

    const wake = (delayMs: number, why: string): void => {
      timer?.cancel();
      timer = clock.after(delayMs, () => host.signal('tick', { why }));
    };

    host.hooks.start.tap('schedule', () => {
      host.defer(host.need(torContract).primary.onConsensus(() => host.signal('newPeriod', { why: 'new consensus' })));
      host.defer(() => timer?.cancel());
    });

    host.hooks.review.tap({ name: 'schedule', stage: 100 }, (context) => {
      const { published, content, placement, epoch, reasons } = context;
      const same = published !== undefined && published.content === content && published.placement === placement;
      // Between two terms of this node another one may have published.
      const current = same && (published.confirmed || satisfied) && published.epoch === epoch;
      if (current && !reasons.some(insists)) {
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
    host.hooks.uploaded.tap('schedule', () => void recent.push(clock.monotonic()));

    host.hooks.settled.tap('schedule', ({ outcome }) => {
      if (outcome === 'refused') return;
      if (outcome === 'unconfirmed') satisfied = failures >= settings.unconfirmed_retries;
      else if (outcome === 'published') satisfied = true;
      // If it was the upload that failed, some HSDirs may have what the others have not.
      else if (outcome === 'failed') satisfied = false;
      if (outcome === 'standby') {
        timer?.cancel();
        failures = 0;
      } else if (outcome === 'failed' || (outcome === 'unconfirmed' && !satisfied)) {
        const delayMs = jittered(random, Math.min(retry_max_ms, retry_min_ms * 2 ** Math.min(failures++, 16)), 0.2);
        wake(delayMs, `retry ${failures} after ${outcome}`);
      } else {
        failures = 0;
        const now = clock.monotonic();
        if (outcome !== 'unchanged' || refreshAtMs === undefined) {
          const span = refresh_max_secs - refresh_min_secs;
          refreshAtMs = now + 1000 * (refresh_min_secs + span * random.float());
        }
        wake(Math.max(0, refreshAtMs - now), 'refresh');
      }
    });
  },
});
export default schedule;
