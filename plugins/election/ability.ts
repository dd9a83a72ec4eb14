/**
 * Whether this node could publish, and the lease that a publisher must earn: its tor is ready and has a consensus, publishing
 * does not fail again and again, and while it is elected a cycle succeeds every so often.
 */
import type { TorClient } from '../../core/engine/index.ts';
import { isChimeraError } from '../../core/errors.ts';
import type { CycleResult } from '../../core/pipeline/index.ts';
import type { Clock, Timer } from '../../core/runtime/index.ts';

export interface Ability {
  readonly able: boolean;
  /** How often a cycle has shown that publishing works. */
  readonly published: number;
  /** An HSDir has taken a descriptor of this node. */
  uploaded(): void;
  /** Takes the result of a cycle of this node. */
  settled(result: CycleResult): void;
  /** This node's term began, or ended. */
  elected(now: boolean): void;
  close(): void;
}

/** A node that failed may try again after this: perhaps everybody fails, and somebody must. */
const forgetFailureMs = 30_000;

/** A failure that another node would meet as well: to hand over would not help. */
function isEverybodys({ error, uploads }: CycleResult): boolean {
  if (isChimeraError(error, 'CYCLE_NOT_ACCEPTED')) return uploads.some(({ reason }) => reason === 'UPLOAD_REJECTED');
  return (
    isChimeraError(error, 'CYCLE_NO_CANDIDATES') ||
    isChimeraError(error, 'ONION_REVISION') ||
    isChimeraError(error, 'ENGINE_STOPPED')
  );
}

/**
 * `changed` is called when `able` or `published` may have changed, `renew` when a cycle should show that publishing works.
 * `leaseMs`: failures must span as long. `publishMs`: a publisher has to succeed that often; it tries three times as often.
 */
export function watchAbility(options: {
  readonly tor: TorClient;
  readonly clock: Clock;
  readonly leaseMs: number;
  readonly publishMs: number;
  readonly changed: () => void;
  readonly renew: () => void;
}): Ability {
  const { tor, clock, leaseMs, publishMs, changed, renew } = options;
  let hasConsensus = false;
  let closed = false;
  let failure: { readonly sinceMs: number; readonly lastMs: number } | undefined;
  let published = 0;
  /** While elected: when the term began or publishing last succeeded. */
  let provenAtMs: number | undefined;
  /** When `published` last grew. */
  let toldAtMs = -Infinity;
  /** A publisher that did not earn its lease stays unable for a while. */
  let unprovenAtMs: number | undefined;
  let retry: Timer | undefined;
  let renewal: Timer | undefined;

  /** A tor that answers but has not bootstrapped cannot publish. Reading it now also makes a takeover fast. */
  const probe = async (): Promise<void> => {
    retry?.cancel();
    if (closed || tor.state !== 'ready') return;
    try {
      await tor.consensus();
      hasConsensus = true;
      if (!closed) changed();
    } catch {
      if (!closed) retry = clock.after(leaseMs, () => void probe());
    }
  };
  const unsubscribe = tor.onState(() => {
    hasConsensus = false;
    changed();
    void probe();
  });
  void probe();

  /** Two thirds of the lease: the others wait for the whole of it, so a node that finds out by itself hands over first. */
  const hasLapsed = (): boolean => {
    const now = clock.monotonic();
    if (provenAtMs !== undefined && now - provenAtMs >= (publishMs * 2) / 3) unprovenAtMs = now;
    if (unprovenAtMs !== undefined && now - unprovenAtMs > forgetFailureMs) unprovenAtMs = undefined;
    return unprovenAtMs !== undefined;
  };
  const renewLater = (): void => {
    renewal?.cancel();
    if (closed || provenAtMs === undefined) return;
    renewal = clock.after(publishMs / 3, () => {
      renew();
      changed();
      renewLater();
    });
  };
  const prove = (): void => {
    unprovenAtMs = undefined;
    // Who is not elected has nothing to prove.
    if (provenAtMs === undefined) return;
    provenAtMs = clock.monotonic();
    renewLater();
    // All others hear of each: no more often than they need to.
    if (provenAtMs - toldAtMs < publishMs / 6) return;
    toldAtMs = provenAtMs;
    published++;
  };

  return {
    get able() {
      if (failure !== undefined && clock.monotonic() - failure.lastMs > forgetFailureMs) failure = undefined;
      const failing = failure !== undefined && failure.lastMs - failure.sinceMs > leaseMs;
      return tor.state === 'ready' && hasConsensus && !failing && !hasLapsed();
    },
    get published() {
      return published;
    },
    uploaded: () => {
      prove();
      changed();
    },
    settled: (result) => {
      if (result.outcome !== 'failed' || isEverybodys(result)) {
        if (result.outcome !== 'standby' && result.outcome !== 'refused') failure = undefined;
        if (result.outcome !== 'standby') prove();
      } else {
        const now = clock.monotonic();
        failure = { sinceMs: failure?.sinceMs ?? now, lastMs: now };
      }
      changed();
    },
    elected: (now) => {
      if (now === (provenAtMs !== undefined)) return;
      provenAtMs = now ? clock.monotonic() : undefined;
      toldAtMs = -Infinity;
      renewLater();
    },
    close: () => {
      closed = true;
      retry?.cancel();
      renewal?.cancel();
      unsubscribe();
    },
  };
}
