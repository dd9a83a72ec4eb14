/** How a client gets descriptors (hs_client.c): which HSDir it asks, when it asks another, what controllers hear of it. */
import {
  clientSlot,
  defaultRingRules,
  hsdirIndex,
  nextPeriodStart,
  openDescriptor,
  periodIdentity,
  readOuter,
  responsibleHsdirs,
  type DescriptorSlot,
  type OnionAddress,
} from '../../../../core/onion/index.ts';
import { isChimeraError } from '../../../../core/errors.ts';
import { requestHistorySeconds } from '../rules/client.ts';
import type { ClientCache } from './client-cache.ts';
import type { SimulatedConsensus } from './consensus.ts';
import type { TorContext } from './context.ts';
import { DirectoryClient } from './directory-client.ts';
import { dataLines } from './event-bus.ts';
import type { FetchAnswer } from './hsdir.ts';
import { openOnce } from './opened.ts';
import type { SimulatedRelay } from './relay.ts';
import { defaultSendmeIncrement } from './service.ts';

/** How a fetch ended for those who wait for the descriptor. */
export type FetchOutcome =
  | 'arrived'
  /** No HSDir is left to be asked. */
  | 'no-hsdirs'
  /** It came, and needs a client key that this tor does not have. */
  | 'authorization';

export class DescriptorFetcher {
  readonly #tor: TorContext;
  readonly #cache: ClientCache;
  readonly #directory: DirectoryClient;
  readonly #pending = new Map<OnionAddress, number>();
  readonly #clientKey: (address: OnionAddress) => Uint8Array | undefined;
  readonly #ended: (address: OnionAddress, outcome: FetchOutcome) => void;
  /** Raised by NEWNYM: answers to earlier requests are not wanted any more. */
  #epoch = 0;

  constructor(
    tor: TorContext,
    cache: ClientCache,
    clientKey: (address: OnionAddress) => Uint8Array | undefined,
    ended: (address: OnionAddress, outcome: FetchOutcome) => void,
  ) {
    this.#tor = tor;
    this.#cache = cache;
    this.#directory = new DirectoryClient(tor);
    this.#clientKey = clientKey;
    this.#ended = ended;
  }

  cancelAll(): void {
    this.#epoch += 1;
    this.#pending.clear();
  }

  /** For a stream that has no usable descriptor. Does nothing while a fetch is under way or no consensus is known. */
  fetch(address: OnionAddress): void {
    const consensus = this.#tor.consensus();
    if (consensus === undefined || this.#pending.has(address)) return;
    if (this.hasUsable(address)) return;
    if (!this.#fetchFromAny(address, consensus)) {
      this.forgetRequests(address);
      this.#ended(address, 'no-hsdirs');
    }
  }

  /** HSFETCH: from each of the named relays, or from one of the responsible ones; the cache is not asked. */
  fetchForController(address: OnionAddress, servers: readonly SimulatedRelay[] | undefined): void {
    const consensus = this.#tor.consensus();
    if (consensus === undefined) return;
    if (servers === undefined) this.#fetchFromAny(address, consensus);
    else for (const relay of servers) this.#request(address, relay, this.#slot(consensus));
  }

  /** A stream got through: HSDirs may be asked again. */
  forgetRequests(address: OnionAddress): void {
    const consensus = this.#tor.consensus();
    if (consensus !== undefined) this.#cache.requests.forget(blindedKeyText(address, this.#slot(consensus)));
  }

  hasUsable(address: OnionAddress): boolean {
    const consensus = this.#tor.consensus();
    const cached = consensus && this.#cache.lookup(address, consensus.times.validAfter)?.descriptor;
    return cached !== undefined && this.#cache.usable(address, cached, this.#tor.now()).length > 0;
  }

  #slot(consensus: SimulatedConsensus): DescriptorSlot {
    return clientSlot(consensus.times, consensus.rules, consensus.sharedRandom);
  }

  /** False when all responsible directories have been asked lately. */
  #fetchFromAny(address: OnionAddress, consensus: SimulatedConsensus): boolean {
    const { network, random } = this.#tor;
    const slot = this.#slot(consensus);
    const { blindedPublicKey } = periodIdentity(address, slot.period);
    const ring = network.ring(consensus.hsdirs, slot.srv, slot.period);
    const blinded = blindedKeyText(address, slot);
    const now = this.#tor.now();
    const history = requestHistorySeconds[consensus.rules.testingNetwork ? 'testing' : 'public'];
    const fit = responsibleHsdirs(ring, blindedPublicKey, slot.period, defaultRingRules, 'fetch')
      .map((relay) => network.relay(relay.fingerprint))
      .filter((relay) => relay !== undefined)
      .filter((relay) => this.#cache.requests.mayAsk(relay.fingerprint, blinded, now, history));
    if (fit.length === 0) return false;
    const relay = fit[random.int(fit.length)] as SimulatedRelay;
    this.#cache.requests.note(relay.fingerprint, blinded, now);
    this.#request(address, relay, slot);
    return true;
  }

  #request(address: OnionAddress, relay: SimulatedRelay, slot: DescriptorSlot): void {
    const { events } = this.#tor;
    const { blindedPublicKey } = periodIdentity(address, slot.period);
    const blinded = blindedKeyText(address, slot);
    const epoch = this.#epoch;
    this.#pending.set(address, (this.#pending.get(address) ?? 0) + 1);
    events.emit('HS_DESC', () => {
      const index = Buffer.from(hsdirIndex(relay.ed25519, slot.srv, slot.period))
        .toString('hex')
        .toUpperCase();
      return `650 HS_DESC REQUESTED ${address} NO_AUTH ${relay.longName} ${blinded} HSDIR_INDEX=${index}`;
    });
    this.#directory.fetch(relay, blindedPublicKey, (answer) => {
      if (epoch !== this.#epoch) return;
      const left = (this.#pending.get(address) ?? 1) - 1;
      if (left === 0) this.#pending.delete(address);
      else this.#pending.set(address, left);
      this.#answered(address, relay, slot, blinded, answer);
    });
  }

  #answered(
    address: OnionAddress,
    relay: SimulatedRelay,
    slot: DescriptorSlot,
    blinded: string,
    answer: FetchAnswer,
  ): void {
    const outcome = answer.text === undefined ? undefined : this.#take(address, slot, answer.text);
    if (outcome === undefined) {
      const reason = answer.text !== undefined ? 'BAD_DESC' : answer.status === 404 ? 'NOT_FOUND' : 'UNEXPECTED';
      this.#tor.events.emit(
        'HS_DESC',
        () => `650 HS_DESC FAILED ${address} NO_AUTH ${relay.longName} ${blinded} REASON=${reason}`,
      );
      this.#tellContent(address, relay, blinded, '');
      this.fetch(address);
      return;
    }
    this.#ended(address, outcome);
    this.#tor.events.emit('HS_DESC', () => `650 HS_DESC RECEIVED ${address} NO_AUTH ${relay.longName} ${blinded}`);
    this.#tellContent(address, relay, blinded, answer.text as string);
  }

  #tellContent(address: OnionAddress, relay: SimulatedRelay, blinded: string, text: string): void {
    this.#tor.events.emit('HS_DESC_CONTENT', () => [
      `650+HS_DESC_CONTENT ${address} ${blinded} ${relay.longName}`,
      ...dataLines(text === '' ? '\n' : text),
      '650 OK',
    ]);
  }

  /** Checks and caches a descriptor. Undefined when it is no good. */
  #take(address: OnionAddress, slot: DescriptorSlot, text: string): FetchOutcome | undefined {
    const consensus = this.#tor.consensus();
    if (consensus === undefined) return undefined;
    const entry = {
      text,
      subcredential: periodIdentity(address, slot.period).subcredential,
      expiresAt: nextPeriodStart(consensus.times, consensus.rules),
    };
    try {
      const clientKey = this.#clientKey(address);
      const now = this.#tor.now();
      const descriptor =
        clientKey === undefined
          ? openOnce(text, address, slot.period, now)
          : openDescriptor(text, { address, periods: [slot.period], now, clientKey });
      const { flowControl } = descriptor.features;
      const increment = consensus.parameters.cc_sendme_inc ?? defaultSendmeIncrement;
      if (flowControl !== undefined && Math.abs(flowControl.sendmeIncrement - increment) > 1) return undefined;
      this.#cache.store(address, { ...entry, descriptor });
      return 'arrived';
    } catch (error) {
      if (!isChimeraError(error, 'ONION_DECRYPT')) return undefined;
      readOuter(text);
      this.#cache.store(address, { ...entry, descriptor: undefined });
      return 'authorization';
    }
  }
}

function blindedKeyText(address: OnionAddress, slot: DescriptorSlot): string {
  return Buffer.from(periodIdentity(address, slot.period).blindedPublicKey).toString('base64').replace(/=+$/, '');
}
