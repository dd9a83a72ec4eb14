/** What the operator sees of the election, and the command `step-down`: a hand-over to another node, without a gap. */
import type { Admin, Election, Json } from '../../core/engine/index.ts';
import { ChimeraError } from '../../core/errors.ts';
import { withDeadline, type Clock } from '../../core/runtime/index.ts';
import type { Contender, ElectionState } from './state.ts';

const handOverLimitMs = 15_000;

export interface OperatorView {
  readonly clock: Clock;
  readonly view: Election;
  status(): {
    readonly state: ElectionState;
    readonly why: string | undefined;
    readonly able: boolean;
    readonly published: number;
  };
  contenders(): readonly Contender[];
  /** Asks this node to hand over, or takes it back; and looks. */
  ask(wanted: boolean): void;
  /** Called after each look. Returns the unsubscriber. */
  onLook(watcher: () => void): () => void;
}

export function offerToOperator(admin: Admin, parts: OperatorView): void {
  const { clock, view } = parts;

  admin.status('election', () => {
    const { state, why, able, published } = parts.status();
    const now = clock.monotonic();
    return {
      publisher: view.publisher ?? null,
      epoch: view.epoch,
      elected: view.elected,
      why: why ?? null,
      able,
      ready: state.readySinceMs !== undefined,
      published,
      merit: state.merit ?? null,
      others: parts.contenders().map(({ node, ready, claim, merit, heardAtMs }) => ({
        node,
        ready,
        claim: claim ?? null,
        merit: merit ?? null,
        silentMs: Math.round(now - heardAtMs),
      })),
    };
  });

  const noSuccessor = (what: string): ChimeraError =>
    new ChimeraError('ELECTION_NO_SUCCESSOR', `this node goes on publishing: ${what}`, {
      remedy: 'see in "chimera status" which nodes are ready: each needs a tor that has bootstrapped; then try again',
    });

  /** Resolves once another node publishes. */
  const handedOver = async (say: (progress: string) => void, signal: AbortSignal): Promise<void> => {
    let asked: string | undefined;
    let unsubscribe: () => void = () => undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
        const watch = (): void => {
          const to = parts.status().state.handing?.to;
          if (view.publisher !== undefined && !view.elected && parts.status().state.claim === undefined) resolve();
          else if (to === undefined) reject(noSuccessor('no other node is ready to publish'));
          else if (to !== asked) say(`${to} is asked to publish`);
          asked = to;
        };
        unsubscribe = parts.onLook(watch);
        parts.ask(true);
      });
    } finally {
      unsubscribe();
      parts.ask(false);
    }
  };

  admin.command({
    name: 'step-down',
    summary: 'Lets another node publish; this one goes on until that one does.',
    run: async (_args, say, signal): Promise<Json> => {
      if (!view.elected) {
        say('this node does not publish');
        return { steppedDown: false, publisher: view.publisher ?? null, epoch: view.epoch };
      }
      const late = (): Error => noSuccessor(`no other node took over within ${handOverLimitMs / 1_000} s`);
      await withDeadline(clock, handOverLimitMs, late, (inner) => handedOver(say, inner), signal);
      say(`${view.publisher} publishes`);
      return { steppedDown: true, publisher: view.publisher ?? null, epoch: view.epoch };
    },
  });
}
