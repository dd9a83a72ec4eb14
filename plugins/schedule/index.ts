/**
 * schedule: publishes when something changed and otherwise at random times, as tor does; retries after a failure.
 *
 *   settled published/unchanged ─► next in 60–120 min ─► tick
 *   settled failed/unconfirmed  ─► next in 2, 4, 8 … 60 s ─► tick
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
  }),
  v.check(
    (value) => value.refresh_min_secs <= value.refresh_max_secs && value.retry_min_ms <= value.retry_max_ms,
    'a minimum is above its maximum',
  ),
);

/** Why a cycle may not end `unchanged`. Signals arrive as `tick: …` and `operator: …`. */
const insists = (reason: string): boolean => /^(tick|operator)\b/.test(reason);

export const schedule = definePlugin<v.InferOutput<typeof options>>({
  name: 'schedule',
  summary: 'Publishes on change, else at random times within the limits of the protocol; retries after failures.',
  needs: [torContract],
  section: 'schedule',
  options,
  apply(host, { refresh_min_secs, refresh_max_secs, retry_min_ms, retry_max_ms }) {
    const { clock, random } = host.runtime;
    let timer: Timer | undefined;
    let failures = 0;
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
      if (published === undefined || !published.confirmed) return undefined;
      if (published.content !== content || published.placement !== placement) return undefined;
      // Between two terms of this node another one may have published.
      if (published.epoch !== epoch) return undefined;
      if (reasons.some(insists)) return undefined;
      return { outcome: 'unchanged', why: 'the same introduction points at the same HSDirs' };
    });

    host.hooks.settled.tap('schedule', ({ outcome }) => {
      if (outcome === 'standby' || outcome === 'refused') {
        timer?.cancel();
        failures = 0;
      } else if (outcome === 'failed' || outcome === 'unconfirmed') {
        const delayMs = jittered(random, Math.min(retry_max_ms, retry_min_ms * 2 ** Math.min(failures++, 16)), 0.2);
        wake(delayMs, `retry ${failures} after ${outcome}`);
      } else {
        failures = 0;
        const now = clock.monotonic();
        if (outcome === 'published' || refreshAtMs === undefined) {
          const span = refresh_max_secs - refresh_min_secs;
          refreshAtMs = now + 1000 * (refresh_min_secs + span * random.float());
        }
        wake(Math.max(0, refreshAtMs - now), 'refresh');
      }
    });
  },
});
export default schedule;
