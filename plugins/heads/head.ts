/**
 * One head: an onion service in one tor, set up by Chimera, and what is known of its introduction points.
 *
 *   absent ─ set up ─► waiting (tor makes introduction points) ─► live ─ tor lost ─► dead ─ tor back ─ set up ─► …
 *
 * Two sources tell its introduction points. tor's own copy of the service's first descriptor is at hand at once. While
 * clients use the second one (from the start of a time period until the next shared random value), only the HSDirs have
 * that: it is fetched as a client would, because the first one's introduction points die at the end of that half. A head
 * that is set up in that half is told of when they have it: who fetched earlier would be left with points that die.
 */
import type { Front, TorClient, TorEvent } from '../../core/engine/index.ts';
import { ChimeraError, isChimeraError, messageOf, type ErrorCode } from '../../core/errors.ts';
import {
  clientSlot,
  descriptorSlots,
  introPointId,
  openDescriptor,
  parseOnionAddress,
  readOuter,
  type OnionAddress,
} from '../../core/onion/index.ts';
import { usablePeriods, type Consensus, type HeadReport } from '../../core/pipeline/index.ts';
import { jittered, withDeadline, type Log, type Runtime, type Timer } from '../../core/runtime/index.ts';
import { createEarlyConsensus } from './early-consensus.ts';
import { alone, directoryOf, readServices, silenced, writeServices, type ServiceSettings } from './settings.ts';
import type { HeadOptions } from './options.ts';

/** What differs between the identity modes. */
export interface IdentityMode {
  /** Writes what must lie in the HiddenServiceDir before tor sees it. */
  prepare(directory: string): Promise<void>;
  /** Whether the head publishes its own descriptor (torrc PublishHidServDescriptors). */
  readonly publishesItself: boolean;
}

export interface HeadContext {
  readonly node: string;
  /** `node/head`. */
  readonly head: string;
  readonly tor: TorClient;
  readonly options: HeadOptions;
  readonly mode: IdentityMode;
  readonly runtime: Runtime;
  readonly log: Log;
  /** Where the virtual port leads instead of the target itself, where a proxy stands before it. */
  readonly front?: (target: string) => Promise<Front>;
  /** Called whenever report() may answer differently. */
  changed(why: string): void;
}

export interface Head {
  /** What is known now; undefined while it is not live. */
  report(): HeadReport | undefined;
  /** Works until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
  /** Takes the service out of tor again and removes its directory. */
  remove(): Promise<void>;
}

/** An HSDir copy is fetched again after this, with jitter: introduction points are replaced once a day, uploads tell sooner. */
const refetchMs = 600_000;
/** A descriptor that stays the same is looked into again after this, for what expires. */
const lookAgainMs = 300_000;
/** While the copy at the HSDirs is missing. */
const retryFetchMs = 2_000;
/** How long a head that has just been set up waits for it; its tor's copy serves then, which is better than no head. */
const copyWaitMs = 30_000;
/** After the last of a round of uploads. */
const uploadQuietMs = 700;
/** When a head that cannot be set up is tried again: the wait doubles from one to the other. */
const shortestRefusalMs = 1_000;
const longestRefusalMs = 15_000;
/** How long tor may take to let go of a head at the stop, which has to be over soon. */
const takeOutLimitMs = 800;
/** Bytes of the file that tor writes a service's address to. */
const longestHostname = 1_024;
/** tor has forgotten the service when it does not know its descriptor this many polls in a row. */
const pollsUntilForgotten = 5;

/** What keeps a head from being set up; anything else is its tor that does not answer. */
const setUpFailures: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'HEADS_DIRECTORY',
  'HEADS_REFUSED',
  'PROXY_LISTEN',
  'VAULT_LOCKED',
  'VAULT_ON_DISK',
]);

export function createHead(context: HeadContext): Head {
  const { tor, options, mode, runtime, log, node } = context;
  const { clock, random, store } = runtime;
  /** Where the head lies, and below what; from the moment on when something of it may be there. */
  let place: { readonly own: string; readonly base: string } | undefined;
  let address: OnionAddress | undefined;
  let report: HeadReport | undefined;
  /** What the report says, as text; empty without one. */
  let content = '';
  /** The HSDirs' copy, with the half of the day that it is good for. */
  let fetched: { text: string; half: string; revision: bigint } | undefined;
  let fetchAgainAtMs = 0;
  /** What was last looked into, what it says, and until when that stands. */
  let lookedInto: { name: string; content: string; untilMs: number } | undefined;
  /** False until an upload was seen: before that the HSDirs may hold a descriptor of a service that has died. */
  let uploadSeen = false;
  let setUpAtMs = 0;
  let missing = 0;
  const early = createEarlyConsensus(tor, clock, log);
  /** Why it could not be set up last, and how often in a row. */
  let refusal: string | undefined;
  let refusals = 0;
  let lost: Timer | undefined;
  let quiet: Timer | undefined;
  let wake: () => void = () => undefined;

  const replace = (next: HeadReport | undefined, nextContent: string, why: string): void => {
    if (nextContent === content) return;
    report = next;
    content = nextContent;
    context.changed(why);
  };
  const drop = (why: string): void => replace(undefined, '', why);

  const halfOf = (consensus: Consensus): string => {
    const { period } = clientSlot(consensus.times, consensus.rules, consensus.sharedRandom);
    return `${period.number}/${period.lengthMinutes}`;
  };

  /** What a descriptor says, as text. tor encrypts its copy anew at each request, so the texts themselves always differ. */
  const contentOf = (descriptor: string, service: OnionAddress, consensus: Consensus): string => {
    const now = Math.floor(clock.now() / 1_000);
    const opened = openDescriptor(descriptor, { address: service, periods: usablePeriods(consensus), now });
    return JSON.stringify([opened.introPoints.map(introPointId).sort(), opened.features]);
  };

  /**
   * The same, from memory where it was looked into before. A copy of the HSDirs stays as it was fetched; tor's own, asked for
   * every few seconds, says something new only with a new revision and certificate (C tor, refresh_service_descriptor).
   */
  const knownContentOf = (
    descriptor: string,
    provenance: HeadReport['provenance'],
    service: OnionAddress,
    consensus: Consensus,
  ): string => {
    const named = provenance === 'hsdir' ? descriptor : descriptor.slice(0, descriptor.indexOf('\nsuperencrypted'));
    const name = `${halfOf(consensus)} ${named}`;
    if (lookedInto?.name === name && clock.monotonic() < lookedInto.untilMs) return lookedInto.content;
    const said = contentOf(descriptor, service, consensus);
    lookedInto = { name, content: said, untilMs: clock.monotonic() + lookAgainMs };
    return said;
  };

  const baseDirectory = async (): Promise<string> => {
    if (options.hidden_service_dir !== undefined) return options.hidden_service_dir;
    const [data] = await tor.getConf('DataDirectory');
    if (data !== undefined && data !== '') return `${data}/chimera`;
    throw new ChimeraError('HEADS_DIRECTORY', `${context.head}: tor does not tell its DataDirectory`, {
      remedy: 'set heads.hidden_service_dir',
    });
  };

  /** Makes tor run the head, beside whatever services it has. Harmless when it does already. */
  const setUp = async (signal: AbortSignal): Promise<void> => {
    const base = await baseDirectory();
    const own = `${base}/${context.head.replace(/[^A-Za-z0-9._-]/g, '-')}`;
    const uid = Number(await tor.getInfo('process/uid').catch(() => '0'));
    // From here on every step is either not begun after a stop, or taken back by it.
    signal.throwIfAborted();
    place = { own, base };
    try {
      // A directory of the operator's that is in use stays whose it is.
      const fresh = (await store.list(base)).length === 0;
      await store.makeDirectory(base);
      await store.makeDirectory(own);
      await mode.prepare(own);
      const files = (await store.list(own)).map((name) => `${own}/${name}`);
      for (const path of [...(fresh ? [base] : []), own, ...files]) await store.own(path, uid);
    } catch (error) {
      // What the identity mode itself refuses speaks for itself.
      if (isChimeraError(error)) throw error;
      const full = ['ENOSPC', 'EDQUOT'].includes((error as NodeJS.ErrnoException).code ?? '');
      throw new ChimeraError('HEADS_DIRECTORY', `${context.head}: cannot prepare ${own}: ${messageOf(error)}`, {
        remedy: full
          ? 'make room on the disk; it is tried again by itself'
          : 'run Chimera as root or as tor’s user, or set heads.hidden_service_dir to a directory of that user',
        cause: error,
      });
    }
    signal.throwIfAborted();
    const front = (await context.front?.(options.target)) ?? { target: options.target, settings: [] };
    signal.throwIfAborted();
    const limit = options.introduction_limit ? ([['HiddenServiceEnableIntroDoSDefense', '1']] as const) : [];
    const service: ServiceSettings = [
      ['HiddenServiceDir', own],
      ['HiddenServicePort', `${options.virtual_port} ${front.target}`],
      ['HiddenServiceNumIntroductionPoints', String(options.num_introduction_points)],
      ['HiddenServiceOnionBalanceInstance', '1'],
      ...limit.filter(([option]) => !(option in options.torrc)),
      ...front.settings.filter(([option]) => !(option in options.torrc)),
      ...Object.entries(options.torrc),
    ];
    const known = await alone(tor, async () => {
      const running = await readServices(tor);
      signal.throwIfAborted();
      const others = running.filter((one) => directoryOf(one) !== own);
      if (!mode.publishesItself) {
        const before = silenced.get(tor)?.before ?? (await tor.getConf('PublishHidServDescriptors'))[0] ?? '1';
        signal.throwIfAborted();
        silenced.set(tor, { before, heads: new Set([...(silenced.get(tor)?.heads ?? []), own]) });
      }
      try {
        const publish = mode.publishesItself ? [] : ([['PublishHidServDescriptors', '0']] as const);
        await writeServices(tor, [...others, service], publish);
      } catch (error) {
        throw new ChimeraError('HEADS_REFUSED', `${context.head}: tor refuses the onion service: ${messageOf(error)}`, {
          remedy:
            'see tor’s own log for the reason; the directory must belong to tor’s user and nobody else may read it',
          cause: error,
        });
      }
      return others.length < running.length;
    });
    const hostname = await store.read(`${own}/hostname`, longestHostname);
    if (hostname === undefined) {
      throw new ChimeraError('HEADS_DIRECTORY', `${context.head}: tor wrote no ${own}/hostname`, {
        remedy: 'let Chimera read tor’s HiddenServiceDir: run it as root or as tor’s user',
      });
    }
    address = parseOnionAddress(new TextDecoder().decode(hostname).trim());
    refusal = undefined;
    refusals = 0;
    uploadSeen = known;
    setUpAtMs = clock.monotonic();
    missing = 0;
    log.info('the head is set up', { head: context.head, address, directory: own });
  };

  /** Whether tor still has the service, be it without introduction points so far. */
  const isListed = async (): Promise<boolean> => {
    missing = 0;
    return (await readServices(tor)).some((known) => directoryOf(known) === place?.own);
  };

  const takeOut = async (own: string): Promise<void> => {
    const running = await readServices(tor);
    const left = running.filter((known) => directoryOf(known) !== own);
    const silent = silenced.get(tor);
    silent?.heads.delete(own);
    // The last one leaves tor as it was; before that tor would publish over what the others are in.
    const reset = silent?.heads.size === 0 ? ([['PublishHidServDescriptors', silent.before]] as const) : [];
    if (reset.length > 0) silenced.delete(tor);
    if (left.length < running.length || reset.length > 0) await writeServices(tor, left, reset);
  };

  /** The HSDirs' copy for this half of the day, from memory or fetched. */
  const fromHsdirs = async (service: OnionAddress, consensus: Consensus): Promise<string | undefined> => {
    const half = halfOf(consensus);
    const due = clock.monotonic() >= fetchAgainAtMs || fetched?.half !== half;
    if (due && uploadSeen) {
      fetchAgainAtMs = clock.monotonic() + jittered(random, refetchMs, 0.3);
      try {
        const { text } = await tor.fetchDescriptor(service);
        // Whatever an HSDir gives: if it is no good, tor's own copy serves.
        contentOf(text, service, consensus);
        const { revision } = readOuter(text);
        if (fetched?.half !== half || revision >= fetched.revision) fetched = { text, half, revision };
      } catch (error) {
        fetchAgainAtMs = clock.monotonic() + jittered(random, retryFetchMs, 0.3);
        log.debug('the HSDirs do not have the head’s descriptor yet', { head: context.head, error });
      }
    }
    return fetched?.half === half ? fetched.text : undefined;
  };

  const poll = async (signal: AbortSignal): Promise<void> => {
    if (address === undefined) await setUp(signal);
    const service = address as OnionAddress;
    const own = await tor.serviceDescriptor(service);
    missing = own === undefined ? missing + 1 : 0;
    if (missing >= pollsUntilForgotten && (report !== undefined || !(await isListed()))) {
      // Somebody reloaded tor's configuration (SIGHUP): services that only SETCONF knows are gone.
      log.warn('tor has forgotten the head; it is set up again', { head: context.head });
      drop('tor has forgotten the head');
      address = undefined;
      return;
    }
    const consensus = await tor.consensus();
    if (mode.publishesItself) await early.look(consensus);
    const slots = descriptorSlots(consensus.times, consensus.rules, consensus.sharedRandom);
    const second = mode.publishesItself && slots.clientUses === 'second';
    const remote = second ? await fromHsdirs(service, consensus) : undefined;
    const descriptor = remote ?? own;
    const awaited = second && remote === undefined && report === undefined;
    if (awaited && clock.monotonic() < setUpAtMs + copyWaitMs) return;
    if (descriptor === undefined || tor.state !== 'ready') return;
    const provenance = remote === undefined ? 'service' : 'hsdir';
    const next = knownContentOf(descriptor, provenance, service, consensus);
    // A service that has just begun publishes no introduction point yet; that is nothing to tell.
    if (next.startsWith('[[]')) return;
    replace(
      { head: context.head, node, address: service, descriptor, provenance, observedAt: clock.now() },
      next,
      `its introduction points, from ${provenance === 'service' ? 'its tor' : 'the HSDirs'}`,
    );
  };

  const onUpload = ({ words }: TorEvent): void => {
    if (words[0] !== 'UPLOADED' || words[1] !== address) return;
    uploadSeen = true;
    quiet?.cancel();
    quiet = clock.after(uploadQuietMs, () => {
      fetchAgainAtMs = 0;
      wake();
    });
  };

  const onState = (state: TorClient['state']): void => {
    lost?.cancel();
    if (state === 'ready') {
      // tor may have been restarted: what SETCONF told it is gone, and so are its introduction points.
      address = undefined;
      fetched = undefined;
      wake();
      return;
    }
    lost = clock.after(options.lost_after_ms, () => drop('its tor is gone'));
  };

  return {
    report: () => report,
    run: async (signal) => {
      const releases = [tor.onEvent('HS_DESC', onUpload), tor.onState(onState), tor.onConsensus(() => wake())];
      try {
        while (!signal.aborted) {
          let delayMs = options.poll_interval_ms;
          try {
            if (tor.state === 'ready') await poll(signal);
            if (report === undefined) delayMs = Math.min(delayMs, 500);
          } catch (error) {
            if (signal.aborted) break;
            if (isChimeraError(error) && setUpFailures.has(error.code)) {
              // Told once while it stays the same.
              if (error.message !== refusal) log.error('the head cannot be set up', { head: context.head, error });
              refusal = error.message;
              delayMs = Math.min(longestRefusalMs, shortestRefusalMs * 2 ** Math.min(refusals++, 16));
            } else {
              log.warn('the head’s tor does not answer', { head: context.head, error });
              // A connection that was lost meanwhile has its own time to come back.
              if (tor.state === 'ready') drop('its tor does not answer');
            }
          }
          const pause = new AbortController();
          const stop = (): void => pause.abort();
          wake = stop;
          signal.addEventListener('abort', stop, { once: true });
          await clock.sleep(delayMs, pause.signal).catch(() => undefined);
          signal.removeEventListener('abort', stop);
        }
      } finally {
        lost?.cancel();
        quiet?.cancel();
        for (const release of releases) release();
        await early.release();
      }
    },
    remove: async () => {
      if (place === undefined) return;
      const { own, base } = place;
      const late = (): Error =>
        new ChimeraError('TOR_TIMEOUT', `${context.head}: tor was not done with its removal in ${takeOutLimitMs} ms`, {
          remedy: 'restart tor: it runs the head until then',
        });
      try {
        // One that is gone has forgotten the service with its end.
        if (tor.state === 'ready') await withDeadline(clock, takeOutLimitMs, late, () => takeOut(own));
      } finally {
        await store.remove(own);
        if (options.hidden_service_dir === undefined) await store.removeEmpty(base);
      }
    },
  };
}
