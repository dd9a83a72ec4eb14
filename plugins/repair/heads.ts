/**
 * Finds heads whose tor runs but which nobody can reach: no introduction circuit of theirs is established. A head is taken out
 * of what the publisher gets, and put back when it has one again.
 */
import type { HeadControl, OwnHead, TorClient } from '../../core/engine/index.ts';
import type { Clock } from '../../core/runtime/index.ts';
import { introductionCircuits } from '../tor/index.ts';
import type { Budget } from './budget.ts';
import type { Journal } from './journal.ts';

/** Addresses (56 characters) with at least one established introduction circuit, from the lines of GETINFO circuit-status. */
export function reachableServices(circuitStatus: string): ReadonlySet<string> {
  return new Set(introductionCircuits(circuitStatus).map(({ address }) => address));
}

export interface HeadWatch {
  look(): Promise<void>;
}

export function watchHeads(parts: {
  readonly control: HeadControl;
  readonly deadAfterMs: number;
  readonly backAfterMs: number;
  readonly clock: Clock;
  readonly journal: Journal;
  readonly budgetFor: (head: string) => Budget;
  /** Called at each look for a tor that answers, and of which all heads are left out and have no introduction circuit. */
  readonly cutOff: (tor: TorClient) => void;
}): HeadWatch {
  const { control, deadAfterMs, backAfterMs, clock, journal } = parts;
  /** Since when a head has been otherwise than it is treated. */
  const since = new Map<string, number>();
  const budgets = new Map<string, Budget>();

  const budgetOf = (head: string): Budget => {
    const budget = budgets.get(head) ?? parts.budgetFor(head);
    budgets.set(head, budget);
    return budget;
  };

  const judge = (head: string, excluded: boolean, reachable: boolean): void => {
    const now = clock.monotonic();
    if (reachable !== excluded) {
      since.delete(head);
      return;
    }
    const began = since.get(head) ?? now;
    since.set(head, began);
    const forMs = now - began;
    if (excluded && forMs >= backAfterMs) {
      since.delete(head);
      control.include(head, 'it has introduction circuits again');
      journal.add({ kind: 'head-back', head }, { kind: 'include-head', head }, 'done');
    } else if (!excluded && forMs >= deadAfterMs && budgetOf(head).take(now)) {
      since.delete(head);
      control.exclude(head, 'it has no introduction circuit');
      journal.add({ kind: 'head-dead', head, forMs }, { kind: 'exclude-head', head }, 'done');
    }
  };

  return {
    look: async () => {
      const heads = control.heads();
      for (const head of since.keys()) if (!heads.some((known) => known.head === head)) since.delete(head);
      for (const tor of new Set(heads.map((known): TorClient => known.tor))) {
        if (tor.state !== 'ready') continue;
        let services: ReadonlySet<string>;
        try {
          services = reachableServices(await tor.getInfo('circuit-status'));
        } catch {
          // It says nothing: too busy, or on its way down. That alone condemns nobody.
          continue;
        }
        for (const { head, address, excluded, tor: its } of heads) {
          if (its !== tor) continue;
          if (address === undefined) since.delete(head);
          else judge(head, excluded, services.has(address));
        }
        const judged = control.heads().filter((known) => known.tor === tor);
        const isGone = ({ address, excluded }: OwnHead): boolean =>
          excluded && (address === undefined || !services.has(address));
        if (judged.every(isGone)) parts.cutOff(tor);
      }
    },
  };
}
