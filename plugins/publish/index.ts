/**
 * publish: sends the sealed descriptors to their HSDirs by name, awaits and retries every upload, then fetches the
 * descriptor back from the HSDirs that clients ask.
 */
import * as v from 'valibot';
import { definePlugin, torContract, type TorClient } from '../../core/engine/index.ts';
import { messageOf } from '../../core/errors.ts';
import { readOuter } from '../../core/onion/index.ts';
import type { Confirmation, Sealed, SealedDescriptor, Upload, UploadContext } from '../../core/pipeline/index.ts';
import { jittered, type Clock, type Random } from '../../core/runtime/index.ts';
import { integer } from '../../core/config/schema.ts';

const options = v.strictObject({
  /** Tries of an upload that got no answer; a refusal is final. */
  attempts: v.optional(integer(1, 10), 3),
  timeout_ms: v.optional(integer(1_000, 120_000), 20_000),
  /** Which HSDirs are asked for the descriptor afterwards: all that clients may ask, one of each replica, or none. */
  fetch_back: v.optional(v.picklist(['all', 'sample', 'none'], 'must be "all", "sample" or "none"'), 'all'),
});

const retryDelayMs = 500;
const fetchesAtOnce = 3;

interface Tools {
  readonly tor: TorClient;
  readonly clock: Clock;
  readonly random: Random;
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
  /** False once this node's term is over. */
  readonly current: () => boolean;
}

/** Uploads one text to its HSDirs; tries again where none answered. */
async function uploadText(
  { tor, clock, random, signal, timeoutMs, current }: Tools,
  sealed: Sealed,
  descriptor: SealedDescriptor,
  text: number,
  attempts: number,
): Promise<Upload[]> {
  const done = new Map<string, Upload>();
  let waiting = descriptor.targets.filter((target) => target.text === text).map(({ relay }) => relay.fingerprint);
  for (let attempt = 1; waiting.length > 0 && attempt <= attempts && !signal.aborted; attempt++) {
    if (attempt > 1) await clock.sleep(jittered(random, retryDelayMs * attempt, 0.5), signal);
    if (!current()) break;
    let answers: readonly Omit<Upload, 'slot'>[];
    try {
      answers = await tor.postDescriptor(sealed.address, descriptor.texts[text] ?? '', waiting, { timeoutMs });
    } catch (error) {
      answers = waiting.map((fingerprint) => ({ fingerprint, accepted: false, reason: messageOf(error) }));
    }
    for (const answer of answers) done.set(answer.fingerprint, { slot: descriptor.slot, ...answer });
    waiting = answers.filter((a) => !a.accepted && a.reason !== 'UPLOAD_REJECTED').map((a) => a.fingerprint);
  }
  return [...done.values()];
}

/** Asks one HSDir for the descriptor and compares it with what was sent. */
async function fetchBack(
  { tor, timeoutMs }: Tools,
  sealed: Sealed,
  descriptor: SealedDescriptor,
  target: SealedDescriptor['targets'][number],
): Promise<Confirmation> {
  const { fingerprint } = target.relay;
  try {
    const { text } = await tor.fetchDescriptor(sealed.address, { server: fingerprint, timeoutMs });
    const { revision } = readOuter(text);
    if (text.trim() === (descriptor.texts[target.text] ?? '').trim()) return { fingerprint, confirmed: true, revision };
    const reason = `it has revision ${revision}, sent was ${descriptor.revision}`;
    return { fingerprint, confirmed: false, reason, revision };
  } catch (error) {
    return { fingerprint, confirmed: false, reason: messageOf(error) };
  }
}

export const publish = definePlugin<v.InferOutput<typeof options>>({
  name: 'publish',
  summary: 'Uploads both descriptors to their HSDirs by name and fetches them back.',
  needs: [torContract],
  section: 'upload',
  options,
  apply(host, { attempts, timeout_ms, fetch_back }) {
    const tools = ({ signal, current }: UploadContext): Tools => ({
      tor: host.need(torContract).primary,
      clock: host.runtime.clock,
      random: host.runtime.random,
      signal,
      timeoutMs: timeout_ms,
      current,
    });

    host.hooks.upload.tapPromise('publish', async (context) => {
      const { sealed } = context;
      const uploads: Upload[] = [];
      // The descriptor that clients use now goes first. One after the other: tor's answers name the HSDir, not the descriptor.
      const order = [...sealed.descriptors].sort(
        (a, b) => Number(b.slot === sealed.slots.clientUses) - Number(a.slot === sealed.slots.clientUses),
      );
      for (const descriptor of order) {
        for (const text of descriptor.texts.keys()) {
          uploads.push(...(await uploadText(tools(context), sealed, descriptor, text, attempts)));
        }
      }
      return uploads;
    });

    host.hooks.confirm.tapPromise('publish', async (context) => {
      const { sealed, signal } = context;
      const descriptor = sealed.descriptors.find(({ slot }) => slot === sealed.slots.clientUses);
      if (descriptor === undefined || fetch_back === 'none') return [];
      const asked = descriptor.targets.filter(({ fetched }) => fetched);
      const targets =
        fetch_back === 'all' ? asked : asked.filter((_target, index) => index % Math.ceil(asked.length / 2) === 0);
      const confirmations: Confirmation[] = [];
      const rest = [...targets];
      const worker = async (): Promise<void> => {
        for (let target = rest.shift(); target !== undefined && !signal.aborted; target = rest.shift()) {
          let answer = await fetchBack(tools(context), sealed, descriptor, target);
          if (!answer.confirmed && answer.revision === undefined) {
            await host.runtime.clock.sleep(retryDelayMs, signal);
            answer = await fetchBack(tools(context), sealed, descriptor, target);
          }
          confirmations.push(answer);
        }
      };
      await Promise.all(Array.from({ length: fetchesAtOnce }, worker));
      return confirmations;
    });
  },
});
export default publish;
