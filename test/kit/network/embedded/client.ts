/**
 * A tor as a client of onion services: a stream asks for an address, and gets a rendezvous with the service behind it.
 *
 *   descriptor (cache, else HSDirs) → introduction point at random → INTRODUCE1 → ACK → RENDEZVOUS2 → BEGIN → open
 *   NACK: the next point; none left: another descriptor.   Silence after an ACK: wait, until SocksTimeout ends the stream.
 */
import type { Duplex } from 'node:stream';
import { fingerprintIn, ipv4In, type IntroPoint, type OnionAddress } from '../../../../core/onion/index.ts';
import { sameBytes } from '../../../../core/onion/bytes.ts';
import type { Timer } from '../../../../core/runtime/index.ts';
import type { Circuit } from './circuits.ts';
import { ClientCache, type CachedDescriptor } from './client-cache.ts';
import type { TorContext } from './context.ts';
import { DescriptorFetcher, type FetchOutcome } from './descriptor-fetch.ts';
import { introduce } from './introduction.ts';
import { drawMs } from './latency.ts';
import type { SimulatedRelay } from './relay.ts';
import { Rendezvous, type ServiceEnd } from './rendezvous.ts';

/** The SOCKS5 replies that tor gives for what can go wrong with an onion service. */
export const socksReplies = {
  succeeded: 0x00,
  generalFailure: 0x01,
  hostUnreachable: 0x04,
  connectionRefused: 0x05,
  ttlExpired: 0x06,
} as const;

export interface StreamRequest {
  readonly address: OnionAddress;
  readonly port: number;
  /** Streams of different keys never share a circuit. */
  readonly isolation: string;
  readonly opened: (stream: Duplex, service: ServiceEnd) => void;
  readonly failed: (reply: number) => void;
}

interface WaitingStream {
  readonly request: StreamRequest;
  timeout: Timer;
}

/** A rendezvous with one service, for the streams of one isolation key. */
class Meeting {
  readonly address: OnionAddress;
  readonly isolation: string;
  readonly waiting = new Set<WaitingStream>();
  rendezvousCircuit: Circuit | undefined;
  introCircuit: Circuit | undefined;
  rendezvous: Rendezvous | undefined;
  cached: CachedDescriptor | undefined;
  service: ServiceEnd | undefined;
  /** Unix milliseconds of the first stream. */
  dirtySince: number | undefined;
  rendezvousReady = false;
  point: IntroPoint | undefined;
  over = false;
  wait: Timer | undefined;
  /** Called when it is over. */
  readonly atEnd = new Set<() => void>();

  constructor(address: OnionAddress, isolation: string) {
    this.address = address;
    this.isolation = isolation;
  }
}

export class OnionClient {
  readonly #tor: TorContext;
  readonly #cache = new ClientCache();
  readonly #fetcher: DescriptorFetcher;
  readonly #authorizations = new Map<OnionAddress, Uint8Array>();
  /** Streams that wait for a descriptor. */
  readonly #waiting = new Map<OnionAddress, Set<WaitingStream>>();
  readonly #meetings = new Map<string, Meeting>();

  constructor(tor: TorContext) {
    this.#tor = tor;
    this.#fetcher = new DescriptorFetcher(
      tor,
      this.#cache,
      (address) => this.#authorizations.get(address),
      (address, outcome) => this.#fetched(address, outcome),
    );
  }

  // What controllers ask for.

  fetchForController(address: OnionAddress, servers: readonly SimulatedRelay[] | undefined): void {
    this.#fetcher.fetchForController(address, servers);
  }

  cachedText(address: OnionAddress): string | undefined {
    const consensus = this.#tor.consensus();
    return consensus && this.#cache.lookup(address, consensus.times.validAfter)?.text;
  }

  /** SIGNAL NEWNYM: forgets everything about onion services, and uses no circuit again for a new stream. */
  newIdentity(): void {
    this.#fetcher.cancelAll();
    this.#cache.purge();
    this.#authorizations.clear();
    this.#meetings.clear();
    for (const address of this.#waiting.keys()) this.#fetcher.fetch(address);
  }

  get authorizations(): ReadonlyMap<OnionAddress, Uint8Array> {
    return this.#authorizations;
  }

  /** True when there was a key before. */
  authorize(address: OnionAddress, key: Uint8Array): boolean {
    const replaced = this.#authorizations.has(address);
    this.#authorizations.set(address, key);
    const consensus = this.#tor.consensus();
    const cached = consensus && this.#cache.lookup(address, consensus.times.validAfter);
    if (cached !== undefined && cached.descriptor === undefined) this.#cache.remove(address);
    return replaced;
  }

  /** False when there was none. */
  deauthorize(address: OnionAddress): boolean {
    this.#cache.remove(address);
    return this.#authorizations.delete(address);
  }

  // Streams.

  /** Asks for a stream; exactly one of the request's callbacks is called. Returns what gives it up. */
  connect(request: StreamRequest): () => void {
    const stream: WaitingStream = { request, timeout: this.#limit(request, () => this.#abandon(stream)) };
    this.#attach(stream);
    return () => {
      stream.timeout.cancel();
      this.#abandon(stream);
    };
  }

  consensusChanged(): void {
    for (const address of this.#waiting.keys()) this.#fetcher.fetch(address);
  }

  #limit(request: StreamRequest, late: () => void): Timer {
    return this.#tor.process.after(this.#tor.configuration.number('SocksTimeout') * 1000, () => {
      late();
      request.failed(socksReplies.ttlExpired);
    });
  }

  #abandon(stream: WaitingStream): void {
    this.#waiting.get(stream.request.address)?.delete(stream);
    for (const meeting of this.#meetings.values()) meeting.waiting.delete(stream);
  }

  #fail(stream: WaitingStream, reply: number): void {
    stream.timeout.cancel();
    stream.request.failed(reply);
  }

  /** Finds a way for the stream: an open circuit, one that is being made, a cached descriptor, or a fetch. */
  #attach(stream: WaitingStream): void {
    const { address, isolation } = stream.request;
    const key = `${isolation}\n${address}`;
    const known = this.#meetings.get(key);
    if (known !== undefined && !this.#tooOld(known)) {
      if (known.service === undefined) known.waiting.add(stream);
      else this.#begin(known, known.service, stream);
      return;
    }
    if (!this.#fetcher.hasUsable(address)) {
      const waiting = this.#waiting.get(address) ?? new Set();
      this.#waiting.set(address, waiting);
      waiting.add(stream);
      this.#fetcher.fetch(address);
      return;
    }
    const meeting = new Meeting(address, isolation);
    this.#meetings.set(key, meeting);
    meeting.waiting.add(stream);
    this.#meet(meeting);
  }

  #tooOld(meeting: Meeting): boolean {
    const lifeMs = this.#tor.configuration.number('MaxCircuitDirtiness') * 1000;
    return meeting.dirtySince !== undefined && meeting.dirtySince + lifeMs <= this.#tor.clock.monotonic();
  }

  #fetched(address: OnionAddress, outcome: FetchOutcome): void {
    const waiting = this.#waiting.get(address);
    this.#waiting.delete(address);
    const usable = outcome === 'arrived' && this.#fetcher.hasUsable(address);
    if (outcome === 'arrived' && !usable) this.#fetcher.forgetRequests(address);
    for (const stream of waiting ?? []) {
      if (usable) {
        // Tor counts SocksTimeout anew once the descriptor is there.
        stream.timeout.cancel();
        stream.timeout = this.#limit(stream.request, () => this.#abandon(stream));
        this.#attach(stream);
      } else {
        this.#fail(stream, outcome === 'authorization' ? socksReplies.generalFailure : socksReplies.hostUnreachable);
      }
    }
  }

  // Rendezvous and introduction.

  #meet(meeting: Meeting): void {
    const consensus = this.#tor.consensus();
    const relays = consensus?.relays.filter((relay) => relay.up) ?? [];
    if (consensus === undefined || relays.length === 0) {
      this.#giveUp(meeting, socksReplies.ttlExpired);
      return;
    }
    const { circuits, random } = this.#tor;
    const target = relays[random.int(relays.length)] as SimulatedRelay;
    meeting.rendezvous = new Rendezvous(target, {
      joined: (service) => this.#joined(meeting, service),
      serviceGone: () => meeting.rendezvousCircuit?.close('DESTROYED', 'FINISHED'),
    });
    meeting.rendezvousCircuit = circuits.launch(
      {
        purpose: 'HS_CLIENT_REND',
        hsState: 'HSCR_CONNECTING',
        flags: 'IS_INTERNAL,NEED_CAPACITY,NEED_UPTIME',
        target,
        hops: 3,
        address: meeting.address,
      },
      {
        built: (circuit) => {
          this.#tor.process.after(this.#roundTripMs(), () => {
            if (circuit.closed) return;
            meeting.rendezvousReady = true;
            circuit.changePurpose('HS_CLIENT_REND', 'HSCR_ESTABLISHED_IDLE');
            this.#considerIntroducing(meeting);
          });
        },
        closed: () => {
          meeting.rendezvous?.clientClosed();
          this.#restart(meeting);
        },
      },
    );
    this.#launchIntroduction(meeting);
  }

  #roundTripMs(): number {
    return drawMs(this.#tor.random, this.#tor.network.latency.cellMs) * 2;
  }

  #launchIntroduction(meeting: Meeting): void {
    const { circuits, random } = this.#tor;
    const cached = this.#lookup(meeting.address);
    const usable = cached?.descriptor ? this.#cache.usable(meeting.address, cached.descriptor, this.#tor.now()) : [];
    if (usable.length === 0) {
      meeting.rendezvousCircuit?.close('FINISHED');
      return;
    }
    meeting.cached = cached;
    const point = usable[random.int(usable.length)] as IntroPoint;
    meeting.point = point;
    const relay = this.#relayOf(point);
    if (relay === undefined) {
      // The circuit to it cannot be built; tor finds out after a few hops.
      this.#tor.process.after(this.#roundTripMs(), () => {
        if (!meeting.over && meeting.point === point) this.#pointFailed(meeting, point, 'unreachable');
      });
      return;
    }
    meeting.introCircuit = circuits.launch(
      {
        purpose: 'HS_CLIENT_INTRO',
        hsState: 'HSCI_CONNECTING',
        flags: 'IS_INTERNAL,NEED_CAPACITY,NEED_UPTIME',
        target: relay,
        hops: 4,
        address: meeting.address,
      },
      {
        built: () => this.#considerIntroducing(meeting),
        closed: (circuit) => {
          if (meeting.introCircuit !== circuit || meeting.over) return;
          meeting.introCircuit = undefined;
          this.#pointFailed(meeting, point, 'unreachable');
        },
      },
    );
  }

  #lookup(address: OnionAddress): CachedDescriptor | undefined {
    const consensus = this.#tor.consensus();
    return consensus && this.#cache.lookup(address, consensus.times.validAfter);
  }

  /** The relay of an introduction point, when address, identities and onion key of the descriptor are really its own. */
  #relayOf(point: IntroPoint): SimulatedRelay | undefined {
    const fingerprint = fingerprintIn(point.linkSpecifiers);
    const contact = ipv4In(point.linkSpecifiers);
    const relay = fingerprint === undefined ? undefined : this.#tor.network.relay(fingerprint);
    if (relay === undefined || contact === undefined || !relay.up) return undefined;
    const same = contact.host === relay.host && contact.port === relay.port && sameBytes(point.onionKey, relay.ntorKey);
    return same ? relay : undefined;
  }

  #considerIntroducing(meeting: Meeting): void {
    const { introCircuit, rendezvousCircuit, rendezvous, point, cached } = meeting;
    if (meeting.over || !introCircuit?.open || !meeting.rendezvousReady || !rendezvous || !point || !cached) return;
    if (introCircuit.hsState !== 'HSCI_CONNECTING') return;
    const { process } = this.#tor;
    introCircuit.changePurpose('HS_CLIENT_INTRO', 'HSCI_INTRO_SENT');
    const there = this.#roundTripMs() / 2;
    process.after(there, () => {
      const answer = introduce(introCircuit.target, {
        authKey: point.authKey,
        encKey: point.encKey,
        subcredential: cached.subcredential,
        rendezvous,
      });
      process.after(there, () => {
        if (introCircuit.closed || meeting.over) return;
        if (answer !== 'ack') {
          meeting.introCircuit = undefined;
          introCircuit.close('FINISHED');
          this.#pointFailed(meeting, point, answer === 'nack' ? 'nack' : 'unreachable');
          return;
        }
        introCircuit.changePurpose('HS_CLIENT_INTRO', 'HSCI_DONE');
        meeting.introCircuit = undefined;
        introCircuit.close('FINISHED');
        if (meeting.service === undefined) {
          rendezvousCircuit?.changePurpose('HS_CLIENT_REND', 'HSCR_ESTABLISHED_WAITING');
          const limitMs = this.#tor.configuration.number('CircuitBuildTimeout') * 3000 + 1000;
          meeting.wait = process.after(limitMs, () => rendezvousCircuit?.close('TIMEOUT'));
        }
      });
    });
  }

  #pointFailed(meeting: Meeting, point: IntroPoint, failure: 'nack' | 'unreachable'): void {
    this.#cache.noteFailure(meeting.address, point, failure, this.#tor.now());
    meeting.point = undefined;
    this.#launchIntroduction(meeting);
  }

  #joined(meeting: Meeting, service: ServiceEnd): boolean {
    if (meeting.over || meeting.rendezvousCircuit?.open !== true) return false;
    meeting.wait?.cancel();
    meeting.service = service;
    this.#tor.process.after(this.#roundTripMs() / 2, () => {
      if (meeting.over) return;
      meeting.rendezvousCircuit?.changePurpose('HS_CLIENT_REND', 'HSCR_JOINED');
      for (const stream of meeting.waiting) this.#begin(meeting, service, stream);
      meeting.waiting.clear();
    });
    return true;
  }

  #begin(meeting: Meeting, service: ServiceEnd, stream: WaitingStream): void {
    const { process, clock } = this.#tor;
    meeting.dirtySince ??= clock.monotonic();
    let answered = false;
    const lost = (): void => {
      if (answered) return;
      answered = true;
      this.#fail(stream, socksReplies.connectionRefused);
    };
    meeting.atEnd.add(lost);
    process.after(this.#roundTripMs() / 2, () => {
      service.process.run(() => {
        void service.begin(stream.request.port).then((opened) =>
          process.after(this.#roundTripMs() / 2, () => {
            meeting.atEnd.delete(lost);
            if (answered) {
              if (typeof opened !== 'string') opened.destroy();
              return;
            }
            answered = true;
            if (typeof opened === 'string') {
              this.#fail(stream, socksReplies.generalFailure);
              return;
            }
            stream.timeout.cancel();
            this.#fetcher.forgetRequests(meeting.address);
            stream.request.opened(opened, service);
          }),
        );
      });
    });
  }

  /** The rendezvous circuit is gone: streams that were still waiting look for another way. */
  #restart(meeting: Meeting): void {
    const streams = this.#end(meeting);
    if (this.#tor.process.ended) return;
    for (const stream of streams) this.#attach(stream);
  }

  #giveUp(meeting: Meeting, reply: number): void {
    for (const stream of this.#end(meeting)) this.#fail(stream, reply);
  }

  #end(meeting: Meeting): WaitingStream[] {
    if (meeting.over) return [];
    meeting.over = true;
    meeting.wait?.cancel();
    const key = `${meeting.isolation}\n${meeting.address}`;
    if (this.#meetings.get(key) === meeting) this.#meetings.delete(key);
    const intro = meeting.introCircuit;
    meeting.introCircuit = undefined;
    intro?.close('FINISHED');
    const streams = [...meeting.waiting];
    meeting.waiting.clear();
    for (const run of meeting.atEnd) run();
    return streams;
  }
}
