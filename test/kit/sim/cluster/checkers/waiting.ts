/**
 * Who does not publish because the election's rule says so (plugins/election/README.md): a publisher that finds a descriptor of a
 * later epoch while a member is missing waits, since that one may publish out of its hearing. Fifteen leases at first, and
 * twice as long each time that it happens again. Nobody else claims meanwhile: the others hear that there is a publisher.
 * And a node whose own cycles failed for longer than a lease, as on a full disk, is not able to publish for as long from the last of
 * them. That keeps nobody else from it, and what would fail elsewhere as well does not count.
 */
import { isChimeraError } from '../../../../../core/errors.ts';
import type { CycleResult } from '../../../../../core/pipeline/index.ts';
import type { SeenUpload } from '../directories.ts';
import { claimOf } from '../observe.ts';
import type { SimulatedNode } from '../world.ts';
import type { CheckerContext } from './checker.ts';

const firstWaitMs = 30_000;
const mostDoublings = 7;
const failedWaitMs = 30_000;
const leaseMs = 2_000;
/** Until it is noticed that the wait, or a member's absence, is over. */
const noticedMs = 1_000;
const missedMs = 15_000;

/** Of one node in one life. */
interface Known {
  readonly life: number;
  claim: number | undefined;
  /** How often it was outbid since it last followed somebody. */
  outbid: number;
  /** The later epoch for which it waits, and since when. */
  wait: { readonly epoch: number; readonly sinceMs: number; readonly missing: boolean } | undefined;
  /** Since when its cycles have failed one after the other, and when one did last. */
  failure: { readonly sinceMs: number; readonly lastMs: number } | undefined;
}

const isEverybodys = ({ error }: CycleResult): boolean =>
  isChimeraError(error, 'CYCLE_NO_CANDIDATES') || isChimeraError(error, 'CYCLE_NOT_ACCEPTED');

export function watchWaiting({ world }: Pick<CheckerContext, 'world'>) {
  const nodes = new Map<string, Known>();
  /** Of all that an HSDir has taken. */
  let latest = -1;

  const isSomebodyMissing = (): boolean =>
    !world.bus.whole ||
    world.awake().length < world.nodes.length ||
    world.nodes.some(({ changedAtMs }) => world.nowMs - changedAtMs < missedMs);

  /** What is known of this life of a node. */
  const knownOf = ({ name, lives: life }: SimulatedNode): Known => {
    const before = nodes.get(name);
    if (before?.life === life) return before;
    const known: Known = { life, claim: undefined, outbid: 0, wait: undefined, failure: undefined };
    nodes.set(name, known);
    return known;
  };

  const look = (node: SimulatedNode): void => {
    const { id, daemon } = node;
    const { publisher, epoch = 0, elected } = daemon?.election ?? {};
    const known = knownOf(node);
    const claim = claimOf(daemon?.mesh, id);
    // One term after the other, without a pause between: it has outbid whoever had outbid it.
    if (claim !== undefined && known.claim !== undefined && claim > known.claim) known.outbid++;
    known.claim = claim;
    if (publisher !== undefined && publisher !== id) known.outbid = 0;
    if (publisher !== id || elected === true || epoch >= latest) {
      known.wait = undefined;
      return;
    }
    if (known.wait?.epoch === latest) return;
    if (known.wait !== undefined) known.outbid++;
    known.wait = { epoch: latest, sinceMs: world.nowMs, missing: isSomebodyMissing() };
  };

  return {
    result: (node: SimulatedNode, result: CycleResult): void => {
      // A standby's cycle shows nothing.
      if (result.outcome === 'standby') return;
      const known = knownOf(node);
      const isOwnFailure = result.outcome === 'failed' && !isEverybodys(result);
      known.failure = isOwnFailure
        ? { sinceMs: known.failure?.sinceMs ?? world.nowMs, lastMs: world.nowMs }
        : undefined;
    },
    upload: ({ accepted, epoch }: SeenUpload): void => {
      if (accepted) latest = Math.max(latest, epoch);
    },
    sample: (): void => {
      for (const node of world.awake()) look(node);
    },
    /** Whether this node has failed to publish, and rightly does not try again yet. */
    hasFailed: (node: SimulatedNode): boolean => {
      const { failure } = knownOf(node);
      if (failure === undefined || failure.lastMs - failure.sinceMs <= leaseMs) return false;
      return world.nowMs - failure.lastMs <= failedWaitMs + noticedMs;
    },
    /** Whether this node rightly waits, and with it all that hear it. */
    waits: (node: SimulatedNode): boolean => {
      const { wait, outbid } = knownOf(node);
      if (wait?.missing !== true) return false;
      const longMs = firstWaitMs * 2 ** Math.min(outbid, mostDoublings);
      return world.nowMs - wait.sinceMs <= longMs + noticedMs;
    },
  };
}
