/**
 * The publish cycle, from top to bottom:
 *
 *   admit ─► gather ─► sift ─► rotate ─► merge ─► review ─► seal ─► upload ─► confirm ─► settled
 *
 * One call is one cycle; the queue (queue.ts) sees to it that there are never two. Each step has a deadline and an error
 * exit; whatever happens, what was published before stays, and `settled` is told the outcome. docs/pipeline.md draws it.
 */
import { ChimeraError, messageOf } from '../errors.ts';
import type { OnionAddress } from '../onion/index.ts';
import { withDeadline, type Clock, type Log, type Random } from '../runtime/index.ts';
import type { CycleSettings, Hooks } from './hooks.ts';
import type {
  Candidate,
  Confirmation,
  Consensus,
  CycleOutcome,
  CycleResult,
  CycleStep,
  Fault,
  HeadReport,
  HeadView,
  Merged,
  Published,
  View,
} from './model.ts';
import { describeAnswers, isComplete, keepPublication, learnRevisions, type KeptPublication } from './publication.ts';
import { recheck } from './recheck.ts';
import type { Sealer } from './seal.ts';
import type { createVerifier } from './verify.ts';

export interface CycleDependencies {
  readonly hooks: Hooks;
  readonly settings: CycleSettings;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly address: OnionAddress;
  readonly sealer: Sealer;
  readonly verify: ReturnType<typeof createVerifier>;
  consensus(): Promise<Consensus>;
  /** The publisher's term. */
  epoch(): number;
  /** Whether this node may publish in the term of this epoch, now. Without an election it may. */
  mayPublish?(epoch: number): boolean;
  /** `view.seed`; empty without. */
  rotationSeed?(): Promise<string>;
  /** x25519 keys of the clients that may read the descriptor; none means everybody. */
  clients(): readonly Uint8Array[];
  /** Aborts when the node stops: the running step ends at once. */
  readonly signal?: AbortSignal;
}

/** What one cycle leaves for the next. */
export interface CycleMemory {
  number: number;
  published: Published | undefined;
  /** What HSDirs are known to have of it; undefined from the first byte of an upload to the end of its fetch-back. */
  kept?: KeptPublication | undefined;
  /** Faults of the running cycle, or of the last one. The engine adds those that a plugin's tap is named for. */
  faults: Fault[];
}

export function createCycleMemory(): CycleMemory {
  return { number: 0, published: undefined, faults: [] };
}

/** Ends the cycle early with an outcome that is no failure. */
class Ended extends Error {
  readonly end: Pick<CycleResult, 'outcome' | 'why'>;
  constructor(end: Pick<CycleResult, 'outcome' | 'why'>) {
    super(end.why);
    this.end = end;
  }
}

/** Milliseconds; generous, since a step that is late has hung. */
export const defaultDeadlinesMs: Readonly<Record<CycleStep, number>> = {
  admit: 5_000,
  gather: 20_000,
  sift: 5_000,
  rotate: 5_000,
  merge: 5_000,
  review: 5_000,
  seal: 30_000,
  upload: 90_000,
  confirm: 60_000,
};

/** Limit of all `settled` taps together, milliseconds. */
const settledLimitMs = 30_000;

/** Tells a fault to whoever listens. A listener that throws does no harm. */
export function tellFault(hooks: Hooks, log: Log, fault: Fault): void {
  log.warn('a plugin failed', { plugin: fault.plugin, step: fault.step, error: fault.error });
  try {
    hooks.fault.call(fault);
  } catch (error) {
    log.error('a tap of the hook fault failed', { error });
  }
}

export async function runCycle(
  dependencies: CycleDependencies,
  memory: CycleMemory,
  reasons: readonly string[],
): Promise<CycleResult> {
  const { hooks, settings, clock, log, sealer } = dependencies;
  const started = { wall: clock.now(), monotonic: clock.monotonic() };
  const faults: Fault[] = [];
  const stepsMs: Partial<Record<CycleStep, number>> = {};
  let current: CycleStep = 'admit';
  let heads: readonly HeadView[] = [];
  let epoch = dependencies.epoch();
  let result: Pick<CycleResult, 'outcome' | 'why'> & Partial<CycleResult>;
  /** What is known of the publication so far, whatever becomes of it. */
  let sent: Partial<CycleResult> = {};
  memory.number++;
  memory.faults = faults;

  const fault = (plugin: string, step: Fault['step'], thrown: unknown): void => {
    const error = thrown instanceof Error ? thrown : new Error(messageOf(thrown));
    faults.push({ plugin, step, error });
    tellFault(hooks, log, { plugin, step, error });
  };

  const step = async <T>(name: CycleStep, work: (signal: AbortSignal) => Promise<T>): Promise<T> => {
    current = name;
    const begun = clock.monotonic();
    const limitMs = settings.deadlinesMs[name] ?? defaultDeadlinesMs[name];
    const late = (): Error =>
      new ChimeraError('CYCLE_STEP_LATE', `step ${name} was not done within ${limitMs} ms`, {
        remedy: `see the log for what it waits for; the limit is publish.deadlines_ms.${name}`,
      });
    try {
      return await withDeadline(clock, limitMs, late, work, dependencies.signal);
    } finally {
      stepsMs[name] = Math.round(clock.monotonic() - begun);
    }
  };

  try {
    const consensus = await step('admit', async () => {
      const refusal = await hooks.admit.promise({ reasons });
      if (refusal !== undefined) throw new Ended(refusal);
      // The term that this node was admitted in: should it end meanwhile, nothing may be sealed in its successor's.
      epoch = dependencies.epoch();
      return dependencies.consensus();
    });

    const reports = await gather((work) => step('gather', work), hooks, consensus, fault);
    dependencies.signal?.throwIfAborted();
    const now = Math.floor(clock.now() / 1000);
    const verified = dependencies.verify(reports, consensus, now);
    for (const { report, error } of verified.rejected) {
      log.warn('a head is left out: its descriptor does not verify', { head: report.head });
      fault(report.head, 'gather', error);
    }
    const known = verified.heads.filter(({ candidates }) => candidates.length > 0);
    if (known.length === 0) {
      throw new ChimeraError('CYCLE_NO_CANDIDATES', 'no head has an introduction point; nothing is published', {
        remedy: 'see whether the heads are up: each needs a running tor and a few seconds',
      });
    }

    heads = await step('sift', async () => {
      const sifted = await hooks.sift.promise(known, { consensus, published: memory.published });
      return neverZero(verifiedOnly(sifted, known), known, 'sift', fault);
    });

    let view: View = {
      nowMs: clock.now(),
      heads,
      live: memory.published?.live ?? [],
      epoch,
      maximumIntroPoints: settings.maximumIntroPoints,
      seed: '',
    };
    const rotation = await step('rotate', async () => {
      view = { ...view, seed: (await dependencies.rotationSeed?.()) ?? '' };
      const answer = await hooks.rotate.promise(view);
      if (answer === undefined) throw unanswered('rotate', 'a strategy');
      return answer;
    });

    const merged = await step('merge', async () => {
      const live = new Set(rotation.live);
      const everything = heads.flatMap(({ candidates }) => candidates);
      const chosen = everything.filter(({ id }) => live.has(id));
      const candidates = neverZero(chosen, everything, 'rotate', fault);
      const answer = await hooks.merge.promise({ view, rotation, candidates });
      if (answer === undefined) throw unanswered('merge', 'a merge policy');
      return checkedMerge(answer, candidates, settings.maximumIntroPoints, fault);
    });

    const placement = sealer.place(consensus, merged.sets.length);
    const clients = dependencies.clients();
    const content = contentOf(merged, clients);
    const { published, kept } = memory;
    const same =
      published?.content === content && published.placement === placement.text && published.epoch === view.epoch;
    const again = same && kept !== undefined && sealer.isLatest(kept.sealed) ? kept : undefined;
    const rechecks = await step('review', async () => {
      const answer = await hooks.review.promise({
        merged,
        reasons,
        published,
        content,
        placement: placement.text,
        epoch: view.epoch,
        validAfter: consensus.times.validAfter,
        resendable: again !== undefined,
      });
      if (answer !== undefined && answer.outcome !== 'recheck') throw new Ended(answer);
      return answer !== undefined;
    });

    // A node that stood still in between may have been replaced: whatever has not been sent by then is not sent any more.
    const current = (): boolean => dependencies.mayPublish?.(view.epoch) ?? true;
    const inTerm = (doing: string): void => {
      if (!current()) throw new Ended({ outcome: 'standby', why: `the term of epoch ${view.epoch} ended ${doing}` });
    };
    const introPoints = new Set(merged.sets.flat().map(({ id }) => id));
    const leading = [...new Set(merged.sets.flat().map(({ head }) => head))].sort();
    const counts = `${introPoints.size} introduction points of ${leading.length} ${leading.length === 1 ? 'head' : 'heads'}`;
    if (rechecks && again !== undefined && published !== undefined) {
      inTerm('before the upload');
      const {
        outcome,
        why,
        kept: known,
        ...answers
      } = await recheck(again, {
        ...dependencies,
        slots: placement.slots,
        complete: published.confirmed,
        step,
        fault,
        current,
      });
      memory.kept = known;
      memory.published = { ...published, confirmed: outcome !== 'unconfirmed' };
      sent = outcome === 'unchanged' ? answers : { ...answers, live: leading, introPoints: introPoints.size };
      inTerm('during the upload');
      throw new Ended({ outcome, why: `${counts}, ${why}` });
    }

    const { sealed, certificatesExpireAt } = await step('seal', () =>
      sealer.seal({ merged, placement, consensus, epoch: view.epoch, now, clients }),
    );
    inTerm('before the upload');
    memory.kept = undefined;
    // From the first byte sent until all is confirmed, nobody knows which of the two descriptors an HSDir holds.
    if (memory.published !== undefined) memory.published = { ...memory.published, confirmed: false };
    sent = { sealed };
    const uploads = await step('upload', async (signal) => {
      const answer = await hooks.upload.promise({ sealed, signal, current });
      if (answer === undefined) throw unanswered('upload', 'a publishing plugin');
      return answer;
    });
    sent = { sealed, uploads };
    const accepted = uploads.filter((upload) => upload.accepted).length;

    const remember = (confirmed: boolean): void => {
      memory.published = {
        live: [...introPoints],
        content,
        placement: placement.text,
        epoch: view.epoch,
        publishedAt: clock.now(),
        publishedAtMonotonicMs: clock.monotonic(),
        certificatesExpireAt,
        confirmed,
      };
    };
    // From here on clients may hold it, whatever the fetch-back says.
    if (accepted > 0) {
      remember(false);
      sent = { ...sent, live: leading, introPoints: introPoints.size };
    }
    try {
      hooks.uploaded.call(sealed, uploads);
    } catch (error) {
      fault('uploaded', 'upload', error);
    }

    inTerm('during the upload');

    let confirmations: readonly Confirmation[] | undefined;
    try {
      confirmations = (await step('confirm', (signal) => hooks.confirm.promise({ sealed, signal, current }))) ?? [];
      await learnRevisions(dependencies, sealed, uploads, confirmations);
    } catch (error) {
      // What is out is out: a fetch-back that fails leaves it unconfirmed.
      fault('confirm', 'confirm', error);
    }
    sent = { ...sent, confirmations: confirmations ?? [] };
    if (accepted === 0) {
      const given = [...new Set(uploads.map((upload) => upload.reason ?? 'none'))].join(', ');
      throw new ChimeraError('CYCLE_NOT_ACCEPTED', `none of ${uploads.length} HSDirs took the descriptor`, {
        remedy:
          uploads.length === 0
            ? 'see whether tor has a whole consensus: no HSDir is known'
            : `the reasons they gave: ${given}`,
      });
    }
    memory.kept = keepPublication(sealed, uploads, confirmations);
    const complete = isComplete(memory.kept);
    remember(complete);
    const outcome: CycleOutcome = complete ? 'published' : 'unconfirmed';
    result = { outcome, why: `${counts}, ${describeAnswers(uploads, confirmations)}; ${rotation.why}` };
  } catch (error) {
    if (error instanceof Ended) result = error.end;
    else {
      const cause = error instanceof Error ? error : new Error(messageOf(error));
      result = { outcome: 'failed', why: `${current}: ${cause.message}`, error: cause };
    }
  }

  const settled: CycleResult = {
    number: memory.number,
    reasons,
    step: current,
    startedAt: started.wall,
    durationMs: Math.round(clock.monotonic() - started.monotonic),
    stepsMs,
    epoch,
    heads: heads.map(({ head }) => head),
    live: [],
    introPoints: 0,
    uploads: [],
    confirmations: [],
    faults,
    ...sent,
    ...result,
  };
  const late = (): Error =>
    new ChimeraError('CYCLE_STEP_LATE', `the hook settled was not done within ${settledLimitMs} ms`, {
      remedy: 'see which plugins tap it; what they wait for belongs into their background work',
    });
  try {
    await withDeadline(clock, settledLimitMs, late, () => hooks.settled.promise(settled));
  } catch (error) {
    fault('settled', 'settled', error);
  }
  return settled;
}

/**
 * Calls all gather taps at once. What they have told when the last one is done, or when the time is over, counts; a tap
 * that fails or is late is a fault.
 */
async function gather(
  step: (work: (signal: AbortSignal) => Promise<void>) => Promise<void>,
  hooks: Hooks,
  consensus: Consensus,
  fault: (plugin: string, step: CycleStep, error: unknown) => void,
): Promise<readonly HeadReport[]> {
  const reports: HeadReport[] = [];
  // The engine's interceptor has wrapped each tap so that none rejects: only a late one ends here, or one without an engine.
  try {
    await step((signal) => hooks.gather.promise({ consensus, signal, add: (report) => reports.push(report) }));
  } catch (error) {
    fault('gather', 'gather', error);
  }
  return [...reports];
}

function unanswered(hook: string, what: string): ChimeraError {
  return new ChimeraError('CYCLE_UNANSWERED', `no plugin answered the hook ${hook}`, {
    remedy: `the preset needs ${what}`,
  });
}

/** A plugin may cut, but not to nothing while something is known. */
function neverZero<T>(
  kept: readonly T[],
  known: readonly T[],
  step: CycleStep,
  fault: (plugin: string, step: CycleStep, error: unknown) => void,
): readonly T[] {
  if (kept.length > 0) return kept;
  fault(step, step, new ChimeraError('CYCLE_NEVER_ZERO', `${step} left nothing; all that is known is used instead`));
  return known;
}

/** What a sift may do: cut heads and candidates, and say how besieged a head is. What nobody has verified does not come in. */
function verifiedOnly(sifted: readonly HeadView[], known: readonly HeadView[]): readonly HeadView[] {
  const left = new Map(known.flatMap(({ candidates }) => candidates.map((candidate) => [candidate.id, candidate])));
  const take = ({ id }: Candidate): readonly Candidate[] => {
    const candidate = left.get(id);
    left.delete(id);
    return candidate === undefined ? [] : [candidate];
  };
  return sifted
    .map((head) => ({ ...head, candidates: head.candidates.flatMap(take) }))
    .filter(({ candidates }) => candidates.length > 0);
}

/** Holds a merge policy to its contract: 1 to the maximum, only candidates it was given, none twice in a set. */
function checkedMerge(
  merged: Merged,
  candidates: readonly Candidate[],
  maximum: number,
  fault: (plugin: string, step: CycleStep, error: unknown) => void,
): Merged {
  const known = new Set(candidates);
  const broken = merged.sets.some(
    (set) => set.length > maximum || new Set(set).size !== set.length || set.some((candidate) => !known.has(candidate)),
  );
  if (broken) {
    throw new ChimeraError(
      'CYCLE_BAD_MERGE',
      `the merge policy broke its contract (at most ${maximum} known candidates, none twice)`,
      {
        remedy: 'run describeMergePolicy from chimera-mtd/testing on it',
      },
    );
  }
  const sets = merged.sets.filter((set) => set.length > 0);
  if (sets.length === merged.sets.length && sets.length > 0) return merged;
  return { sets: sets.length > 0 ? sets : [neverZero([], candidates.slice(0, maximum), 'merge', fault)] };
}

/** Equal when the same introduction points would be published to the same clients. Order within a set does not count. */
function contentOf(merged: Merged, clients: readonly Uint8Array[]): string {
  const sets = merged.sets.map((set) =>
    set
      .map(({ id }) => id)
      .sort()
      .join(' '),
  );
  return [...sets, ...clients.map((client) => Buffer.from(client).toString('hex')).sort()].join('\n');
}
