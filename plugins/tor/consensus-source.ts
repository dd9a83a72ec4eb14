/**
 * The current consensus, kept until tor has another. A call asks tor for `consensus/valid-after` only; the consensus and the
 * microdescriptors are read once for each consensus, and again while microdescriptors are missing. Enter at `createConsensusSource`.
 */
import { ChimeraError, messageOf } from '../../core/errors.ts';
import type { Consensus } from '../../core/pipeline/model.ts';
import type { Clock, Log, Timer } from '../../core/runtime/index.ts';
import { getConf, getInfo, infoValue, refusal } from './commands.ts';
import { parseConsensus, parseTime } from './consensus.ts';
import type { Link } from './link.ts';

export interface ConsensusSource {
  readonly current: () => Promise<Consensus>;
  /** Called with every consensus object that is new. Returns the unsubscriber. */
  readonly onChange: (listener: (consensus: Consensus) => void) => () => void;
}

interface Known {
  readonly consensus: Consensus;
  readonly missing: number;
  /** Monotonic: when tor was asked for microdescriptors last. */
  readonly readAtMs: number;
}

const consensusKey = 'dir/status-vote/current/consensus-microdesc';
/** How long missing microdescriptors are waited for before tor is asked again; a client fetches them within seconds. */
const microdescriptorWaitMs = 2_000;

export function createConsensusSource(
  link: Link,
  runtime: { readonly clock: Clock; readonly log: Log },
): ConsensusSource {
  const { clock, log } = runtime;
  const listeners = new Set<(consensus: Consensus) => void>();
  let known: Known | undefined;
  let reading: Promise<Consensus> | undefined;
  let watching: (() => void) | undefined;
  let again: Timer | undefined;

  const none = (cause?: unknown): ChimeraError =>
    new ChimeraError('TOR_CONSENSUS', `tor ${link.name} has no consensus yet`, {
      remedy: 'Wait until tor has bootstrapped; it must be connected to the network.',
      ...(cause === undefined ? {} : { cause }),
    });

  const unchanged = async (): Promise<boolean> => {
    const reply = await link.exchange('GETINFO consensus/valid-after');
    if (reply.code !== 250) throw none(refusal(link, 'GETINFO consensus/valid-after', reply));
    const validAfter = parseTime(infoValue(link, 'consensus/valid-after', reply));
    if (validAfter === undefined) throw none();
    if (known?.consensus.times.validAfter !== validAfter) return false;
    return known.missing === 0 || clock.monotonic() - known.readAtMs < microdescriptorWaitMs;
  };

  const read = async (): Promise<Consensus> => {
    if ((await unchanged()) && known !== undefined) return known.consensus;
    const readAtMs = clock.monotonic();
    const [document, microdescriptors, testing] = await Promise.all([
      link.exchange(`GETINFO ${consensusKey}`),
      getInfo(link, 'md/all'),
      getConf(link, 'TestingTorNetwork'),
    ]);
    if (document.code !== 250) throw none(refusal(link, `GETINFO ${consensusKey}`, document));
    const text = infoValue(link, consensusKey, document);
    const { consensus, withoutMicrodescriptor: missing } = parseConsensus(text, microdescriptors, testing[0] === '1');
    const same =
      known !== undefined &&
      known.consensus.times.validAfter === consensus.times.validAfter &&
      known.consensus.hsdirs.length === consensus.hsdirs.length;
    known = { consensus: same && known !== undefined ? known.consensus : consensus, missing, readAtMs };
    if (same) return known.consensus;
    log.debug('read a consensus', {
      ...consensus.times,
      hsdirs: consensus.hsdirs.length,
      withoutMicrodescriptor: missing,
    });
    for (const listener of listeners) {
      try {
        listener(consensus);
      } catch (error) {
        log.error('a listener failed', { error });
      }
    }
    return consensus;
  };

  const current = (): Promise<Consensus> => {
    reading ??= read().finally(() => {
      reading = undefined;
    });
    return reading;
  };

  /** Looks for a new one on behalf of the listeners, and again while microdescriptors are missing. */
  const look = (): void => {
    again?.cancel();
    if (watching === undefined || link.state !== 'ready') return;
    current()
      .catch((error: unknown) => log.debug('no consensus', { error: messageOf(error) }))
      .finally(() => {
        again?.cancel();
        if (watching !== undefined && (known?.missing ?? 0) > 0) again = clock.after(microdescriptorWaitMs, look);
      })
      .catch(() => undefined);
  };

  const watch = (): (() => void) => {
    const stopEvents = link.onEvent('STATUS_CLIENT', (event) => {
      if (event.words.includes('CONSENSUS_ARRIVED')) look();
    });
    const stopState = link.onState((state) => {
      if (state === 'ready') look();
    });
    return () => {
      again?.cancel();
      stopEvents();
      stopState();
    };
  };

  return {
    current,
    onChange: (listener) => {
      listeners.add(listener);
      if (watching === undefined) {
        watching = watch();
        look();
      }
      return () => {
        listeners.delete(listener);
        if (listeners.size > 0) return;
        watching?.();
        watching = undefined;
      };
    },
  };
}
