/**
 * The cycle's other end: instead of sealing anew it sees to the last publication (publication.ts). Nothing here is a failure:
 * what is out there stays as it is, and is known a little better.
 */
import type { Clock, Log } from '../runtime/index.ts';
import type { Hooks, UploadContext } from './hooks.ts';
import type { Confirmation, CycleResult, CycleStep, Sealed, Upload } from './model.ts';
import {
  describeAnswers,
  isComplete,
  joinAnswers,
  learnRevisions,
  recheckOf,
  type KeptPublication,
} from './publication.ts';
import type { Sealer } from './seal.ts';

export interface RecheckTools {
  readonly hooks: Hooks;
  readonly clock: Clock;
  readonly log: Log;
  readonly sealer: Sealer;
  readonly slots: Sealed['slots'];
  /** Whether all HSDirs had it, as far as was known. */
  readonly complete: boolean;
  readonly current: () => boolean;
  readonly step: <T>(name: CycleStep, work: (signal: AbortSignal) => Promise<T>) => Promise<T>;
  readonly fault: (plugin: string, step: CycleStep, error: unknown) => void;
  readonly signal?: AbortSignal;
}

export type Rechecked = Pick<CycleResult, 'outcome' | 'why' | 'confirmations'> &
  Partial<Pick<CycleResult, 'sealed' | 'uploads'>> & { readonly kept: KeptPublication };

/** Rejects only when the node stops. `unchanged`: all had it, and whoever was asked has it still. */
export async function recheck(before: KeptPublication, tools: RecheckTools): Promise<Rechecked> {
  const { hooks, step, fault, current, signal: stopping } = tools;
  const { kept, toSend, toLook, sends } = recheckOf(before, tools.slots);
  const context = (sealed: Sealed, signal: AbortSignal): UploadContext => ({ sealed, signal, current });

  const answered = async <T>(name: CycleStep, ask: (signal: AbortSignal) => Promise<readonly T[] | undefined>) => {
    try {
      return (await step(name, ask)) ?? [];
    } catch (error) {
      stopping?.throwIfAborted();
      fault(name, name, error);
      return undefined;
    }
  };
  let uploads: readonly Upload[] = [];
  if (sends > 0) {
    uploads = (await answered('upload', (signal) => hooks.upload.promise(context(toSend, signal)))) ?? [];
  }
  const found = await answered<Confirmation>('confirm', (signal) => hooks.confirm.promise(context(toLook, signal)));
  const known = joinAnswers({ ...kept, looked: kept.looked || found !== undefined }, uploads, found ?? []);
  const all = [...known.uploads.values()];
  try {
    await learnRevisions(tools, known.sealed, all, found ?? []);
  } catch (error) {
    fault('confirm', 'confirm', error);
  }

  const complete = isComplete(known);
  if (complete && tools.complete && sends === 0) {
    const why = `and the ${found?.length ?? 0} HSDirs that were asked have them still`;
    return { outcome: 'unchanged', why, confirmations: found ?? [], kept: known };
  }
  const confirmations = [...known.confirmations.values()];
  const why = `${describeAnswers(all, confirmations)}; sent again to ${sends} that lacked it`;
  const outcome = complete ? 'published' : 'unconfirmed';
  return { outcome, why, sealed: known.sealed, uploads: all, confirmations, kept: known };
}
