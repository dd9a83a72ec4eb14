/** Whether this node could publish: its tor is ready and has a consensus, and publishing does not fail again and again. */
import type { TorClient } from '../../../core/engine/index.ts';
import { isChimeraError } from '../../../core/errors.ts';
import type { CycleResult } from '../../../core/pipeline/index.ts';
import type { Clock, Timer } from '../../../core/runtime/index.ts';

export interface Ability {
  readonly able: boolean;
  /** Takes the result of a cycle of this node. */
  settled(result: CycleResult): void;
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

/** `changed` is called when `able` may have changed. `leaseMs`: failures must span as long. */
export function watchAbility(options: {
  readonly tor: TorClient;
  readonly clock: Clock;
  readonly leaseMs: number;
  readonly changed: () => void;
}): Ability {
  const { tor, clock, leaseMs, changed } = options;
  let hasConsensus = false;
  let closed = false;
  let failure: { readonly sinceMs: number; readonly lastMs: number } | undefined;
  let retry: Timer | undefined;

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

  return {
    get able() {
      if (failure !== undefined && clock.monotonic() - failure.lastMs > forgetFailureMs) failure = undefined;
      const failing = failure !== undefined && failure.lastMs - failure.sinceMs > leaseMs;
      return tor.state === 'ready' && hasConsensus && !failing;
    },
    settled: (result) => {
      if (result.outcome !== 'failed' || isEverybodys(result)) {
        if (result.outcome !== 'standby' && result.outcome !== 'refused') failure = undefined;
      } else {
        const now = clock.monotonic();
        failure = { sinceMs: failure?.sinceMs ?? now, lastMs: now };
      }
      changed();
    },
    close: () => {
      closed = true;
      retry?.cancel();
      unsubscribe();
    },
  };
}
