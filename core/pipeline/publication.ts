/**
 * What is known of the last publication at its HSDirs, and how it is seen to without a new one being sealed.
 *
 *   after the cycle that sealed it ─► keepPublication ─► recheck: the same texts once more to the HSDirs that lack them, and a
 *   fetch-back from those and from one other in turn, which finds what an HSDir has lost and what somebody else has published
 *
 * An HSDir refuses a counter that is not above the one it holds, so one that has the text already loses nothing by being asked again.
 */
import { ChimeraError } from '../errors.ts';
import { epochOfRevision, opeLimit, type SlotName } from '../onion/index.ts';
import type { Log } from '../runtime/index.ts';
import type { Confirmation, Sealed, Upload } from './model.ts';
import type { Sealer } from './seal.ts';

/** The last publication of this node. */
export interface KeptPublication {
  readonly sealed: Sealed;
  /** The last answer of each HSDir, by slot and fingerprint. */
  readonly uploads: ReadonlyMap<string, Upload>;
  /** What the fetch-back of the slot `asked` found last, by fingerprint. */
  readonly confirmations: ReadonlyMap<string, Confirmation>;
  readonly asked: SlotName;
  /** False until a fetch-back of all has come to its end. */
  readonly looked: boolean;
  /** How often each has refused this very text, by slot and fingerprint. */
  readonly refusals: ReadonlyMap<string, number>;
  /** How often it was rechecked: whose turn it is to be asked. */
  readonly turn: number;
}

/** An HSDir that refused the same text so often refuses it for good: it is left to the next publication. */
export const mostRefusals = 12;

const keyOf = (slot: SlotName, fingerprint: string): string => `${slot} ${fingerprint}`;

/** Takes note of a publication after its fetch-back; `confirmations` is undefined when that failed. */
export function keepPublication(
  sealed: Sealed,
  uploads: readonly Upload[],
  confirmations: readonly Confirmation[] | undefined,
): KeptPublication {
  const kept: KeptPublication = {
    sealed,
    uploads: new Map(),
    confirmations: new Map(),
    asked: sealed.slots.clientUses,
    looked: confirmations !== undefined,
    refusals: new Map(),
    turn: 0,
  };
  return joinAnswers(kept, uploads, confirmations ?? []);
}

/** The same with newer answers. */
export function joinAnswers(
  kept: KeptPublication,
  uploads: readonly Upload[],
  confirmations: readonly Confirmation[],
): KeptPublication {
  const answers = new Map(kept.uploads);
  const found = new Map(kept.confirmations);
  const refusals = new Map(kept.refusals);
  for (const upload of uploads) {
    const key = keyOf(upload.slot, upload.fingerprint);
    const before = answers.get(key);
    // What it took once it has, or has lost: that the fetch-back tells, and no refusal.
    if (before?.accepted !== true || upload.accepted) answers.set(key, upload);
    if (upload.reason === 'UPLOAD_REJECTED') refusals.set(key, (refusals.get(key) ?? 0) + 1);
    if (upload.accepted && upload.slot === kept.asked) found.delete(upload.fingerprint);
  }
  for (const confirmation of confirmations) found.set(confirmation.fingerprint, confirmation);
  return { ...kept, uploads: answers, confirmations: found, refusals };
}

/** Whether an HSDir has not got it, as far as is known: what was fetched back from it says more than what it answered. */
function lacks(kept: KeptPublication, slot: SlotName, fingerprint: string): boolean {
  const found = slot === kept.asked ? kept.confirmations.get(fingerprint) : undefined;
  return found === undefined ? kept.uploads.get(keyOf(slot, fingerprint))?.accepted !== true : !found.confirmed;
}

/** True when all HSDirs have it. */
export function isComplete(kept: KeptPublication): boolean {
  const { descriptors } = kept.sealed;
  return (
    kept.looked &&
    descriptors.every(({ slot, targets }) => targets.every((t) => !lacks(kept, slot, t.relay.fingerprint)))
  );
}

/** For a recheck: what to send, and what to fetch back, each with the HSDirs concerned only. */
export function recheckOf(
  before: KeptPublication,
  slots: Sealed['slots'],
): { readonly kept: KeptPublication; readonly toSend: Sealed; readonly toLook: Sealed; readonly sends: number } {
  const moved = slots.clientUses !== before.asked;
  const kept: KeptPublication = {
    ...before,
    sealed: { ...before.sealed, slots },
    turn: before.turn + 1,
    // From noon on clients ask for the other descriptor, of which nothing was fetched back yet.
    ...(moved ? { asked: slots.clientUses, confirmations: new Map(), looked: false } : {}),
  };
  let sends = 0;
  const toSend = narrowed(kept.sealed, (slot, { fingerprint }) => {
    const wanted = lacks(kept, slot, fingerprint) && (kept.refusals.get(keyOf(slot, fingerprint)) ?? 0) < mostRefusals;
    if (wanted) sends++;
    return wanted;
  });
  const fetched = kept.sealed.descriptors
    .find(({ slot }) => slot === kept.asked)
    ?.targets.flatMap(({ relay, fetched }) => (fetched ? [relay.fingerprint] : []));
  const inTurn = fetched?.[before.turn % Math.max(1, fetched.length)];
  const toLook = narrowed(
    kept.sealed,
    (slot, { fingerprint }) => !kept.looked || lacks(kept, slot, fingerprint) || fingerprint === inTurn,
  );
  return { kept, toSend, toLook, sends };
}

type Target = Sealed['descriptors'][number]['targets'][number];

function narrowed(sealed: Sealed, wanted: (slot: SlotName, relay: Target['relay']) => boolean): Sealed {
  const descriptors = sealed.descriptors.map((descriptor) => ({
    ...descriptor,
    targets: descriptor.targets.filter(({ relay }) => wanted(descriptor.slot, relay)),
  }));
  return { ...sealed, descriptors };
}

/** In a few words, for people. */
export function describeAnswers(
  uploads: readonly Upload[],
  confirmations: readonly Confirmation[] | undefined,
): string {
  const taken = `taken by ${uploads.filter(({ accepted }) => accepted).length} of ${uploads.length} HSDirs`;
  if (confirmations === undefined) return `${taken}, the fetch-back failed`;
  const confirmed = confirmations.filter((confirmation) => confirmation.confirmed).length;
  return `${taken}, fetched back from ${confirmed} of ${confirmations.length}`;
}

/**
 * A counter above ours at an HSDir means that another publisher was there, and so does ours above another text: two that came
 * to one epoch on two sides of a cut have the same counter at the same time. The next one must be above it. Only the
 * descriptor that clients use now can be fetched; when all HSDirs refuse the other one, the next try goes a step up.
 */
export async function learnRevisions(
  { sealer, log }: { readonly sealer: Sealer; readonly log: Log },
  sealed: Sealed,
  uploads: readonly Upload[],
  confirmations: readonly Confirmation[],
): Promise<void> {
  for (const { slot, blindedKey, revision } of sealed.descriptors) {
    const known = slot === sealed.slots.clientUses ? confirmations : [];
    const others = known.flatMap(({ fingerprint, confirmed, revision: counter }) =>
      !confirmed && counter !== undefined && counter >= revision ? [{ fingerprint, counter }] : [],
    );
    const [first] = others;
    if (first !== undefined) warnOfAnother(log, first, revision);
    for (const { counter } of others) {
      await sealer.sawRevision(blindedKey, counter === revision ? steppedUp(revision, 1n) : counter);
    }
    const own = uploads.filter((upload) => upload.slot === slot);
    const refused = own.length > 0 && own.every(({ reason }) => reason === 'UPLOAD_REJECTED');
    if (refused && others.length === 0) await sealer.sawRevision(blindedKey, steppedUp(revision, refusedStep));
  }
}

/** Once for each publication of another: the counter is learned with it, and the next publication goes above. */
function warnOfAnother(
  log: Log,
  { fingerprint, counter }: { readonly fingerprint: string; readonly counter: bigint },
  own: bigint,
): void {
  const error = new ChimeraError(
    'CYCLE_ANOTHER_PUBLISHER',
    `HSDir ${fingerprint} holds a descriptor of this address, of epoch ${epochOfRevision(counter)}, that this node has not made; its own is of epoch ${epochOfRevision(own)}`,
    {
      remedy:
        'this node publishes above it; if no other node of the cluster was cut off from this one, find who else has the key: an old copy of a machine, an OnionBalance, a tor',
    },
  );
  log.warn('somebody else has published this address', { hsdir: fingerprint, revision: counter.toString(), error });
}

/** About eight minutes of tor's own counter. */
const refusedStep = 2n ** 24n;

/** Never beyond the epoch: a later one is not ours to overwrite. */
function steppedUp(revision: bigint, step: bigint): bigint {
  const left = opeLimit - 2n - (revision % opeLimit);
  return revision + (left < step ? left : step);
}
