/**
 * Honest clients, each with a cache and failure marks of its own, by the rules of rules/client.ts; the course of an attempt is
 * that of the embedded network's client:
 *
 *   cached, else fetched → a usable introduction point at random → INTRODUCE1 → ACK → rendezvous → open
 *   NACK: the next point; none left: another descriptor.   Silence after an ACK: until SocksTimeout.
 */
import type { Random } from '../../../core/runtime/index.ts';
import { drawMs } from '../network/embedded/latency.ts';
import { hasExpired, IntroFailures, replaces, RequestHistory } from '../network/rules/client.ts';
import { exponential } from './chance.ts';
import type { Directory, Listing } from './directory.ts';
import type { EventQueue } from './queue.ts';
import type { Scenario } from './scenario.ts';
import type { Point, Service } from './service.ts';

/** Kinds of events that belong to clients. `subject` is an attempt. */
const clientEvents = { arrival: 1, fetched: 2, introduce: 3, nacked: 4, joined: 5, ended: 6 } as const;

interface Client {
  listing: Listing | undefined;
  expiresAt: number;
  readonly failures: IntroFailures<number>;
  readonly history: RequestHistory<number>;
  /** Attempts that wait for a descriptor; undefined while none is fetched. */
  waiting: number[] | undefined;
  asked: number;
}

interface Attempt {
  client: number;
  startedMs: number;
  /** It had no descriptor, and had to fetch one. */
  fresh: boolean;
  point: Point | undefined;
  /** Of the head when the session began. */
  life: number;
  introductions: number;
}

/** What happened to an attempt. */
export interface ClientListener {
  done(attempt: { readonly startedMs: number; readonly fresh: boolean }, atMs: number, success: boolean): void;
  /** An honest introduction's first try: whether it passed the relay. */
  firstTry(passed: boolean): void;
  /** A rendezvous was closed at a ghost. */
  refused(): void;
  sessionEnded(survived: boolean): void;
}

/** C tor's default; nobody waits longer. */
const socksTimeoutMs = 120_000;

export class Clients {
  readonly #scenario: Scenario;
  readonly #queue: EventQueue;
  readonly #directory: Directory;
  readonly #service: Service;
  readonly #random: Random;
  readonly #listener: ClientListener;
  readonly #clients: (Client | undefined)[];
  readonly #attempts: Attempt[] = [];
  readonly #free: number[] = [];
  fetches = 0;
  introductions = 0;
  nacks = 0;

  constructor(
    scenario: Scenario,
    queue: EventQueue,
    directory: Directory,
    service: Service,
    random: Random,
    listener: ClientListener,
  ) {
    this.#scenario = scenario;
    this.#queue = queue;
    this.#directory = directory;
    this.#service = service;
    this.#random = random;
    this.#listener = listener;
    this.#clients = Array.from({ length: scenario.clients }, () => undefined);
  }

  /** The first arrival; each brings the next. */
  start(): void {
    if (this.#scenario.sessionsPerSecond > 0) this.#arriveAfter(0);
  }

  #arriveAfter(nowMs: number): void {
    const wait = exponential(this.#random, 1_000 / this.#scenario.sessionsPerSecond);
    this.#queue.add(nowMs + wait, clientEvents.arrival, this.#random.int(this.#scenario.clients));
  }

  #seconds(nowMs: number): number {
    return this.#scenario.startsAt + nowMs / 1_000;
  }

  #clientOf(index: number): Client {
    const known = this.#clients[index];
    if (known !== undefined) return known;
    const fresh: Client = {
      listing: undefined,
      expiresAt: 0,
      failures: new IntroFailures(),
      history: new RequestHistory(),
      waiting: undefined,
      asked: -1,
    };
    this.#clients[index] = fresh;
    return fresh;
  }

  /** Share of clients with a cached descriptor that have an introduction point which is not flooded; of those looked at. */
  isolation(sample: number, flooded: (point: Point) => boolean): { readonly spared: number; readonly asked: number } {
    let spared = 0;
    let asked = 0;
    const stride = Math.max(1, Math.floor(this.#clients.length / sample));
    for (let index = 0; index < this.#clients.length; index += stride) {
      const listing = this.#clients[index]?.listing;
      if (listing === undefined) continue;
      asked++;
      if (listing.points.some((point) => point.alive && !flooded(point))) spared++;
    }
    return { spared, asked };
  }

  handle(kind: number, subject: number, nowMs: number): void {
    if (kind === clientEvents.arrival) {
      this.begin(subject, nowMs);
      this.#arriveAfter(nowMs);
      return;
    }
    if (kind === clientEvents.fetched) {
      this.#fetched(this.#clientOf(subject), subject, nowMs);
      return;
    }
    const attempt = this.#attempts[subject] as Attempt;
    if (kind === clientEvents.introduce) this.#introduce(subject, attempt, nowMs);
    else if (kind === clientEvents.nacked) this.#nacked(subject, attempt, nowMs);
    else if (kind === clientEvents.joined) this.#joined(subject, attempt, nowMs);
    else if (kind === clientEvents.ended) {
      this.#listener.sessionEnded(attempt.life === attempt.point?.head.life);
      this.#free.push(subject);
    }
  }

  /** One client wants a session. */
  begin(client: number, nowMs: number): void {
    const index = this.#free.pop() ?? this.#attempts.push({} as Attempt) - 1;
    const known = this.#clientOf(client);
    this.#forgetExpired(known);
    const fresh = known.listing === undefined;
    this.#attempts[index] = { client, startedMs: nowMs, fresh, point: undefined, life: 0, introductions: 0 };
    this.#attach(index, nowMs);
  }

  #forgetExpired(client: Client): void {
    if (client.listing !== undefined && hasExpired(client, this.#directory.validAfter)) client.listing = undefined;
  }

  #usable(client: Client, now: number): readonly Point[] {
    this.#forgetExpired(client);
    return client.listing?.points.filter(({ index }) => client.failures.usable(index, now)) ?? [];
  }

  #end(index: number, nowMs: number, success: boolean): void {
    this.#listener.done(this.#attempts[index] as Attempt, nowMs, success);
    if (!success) this.#free.push(index);
  }

  #attach(index: number, nowMs: number): void {
    const attempt = this.#attempts[index] as Attempt;
    if (nowMs - attempt.startedMs >= socksTimeoutMs) {
      this.#end(index, nowMs, false);
      return;
    }
    const client = this.#clientOf(attempt.client);
    const usable = this.#usable(client, this.#seconds(nowMs));
    if (usable.length > 0) {
      this.#launch(index, attempt, usable, nowMs, true);
      return;
    }
    if (client.waiting !== undefined) {
      client.waiting.push(index);
      return;
    }
    client.waiting = [index];
    this.#fetch(client, attempt.client, nowMs);
  }

  #fetch(client: Client, name: number, nowMs: number): void {
    const hsdir = this.#directory.choose(client.history, this.#random, this.#seconds(nowMs));
    if (hsdir === undefined) {
      client.history.forget(this.#directory.used.blindedKey);
      this.#release(client, nowMs, false);
      return;
    }
    this.fetches++;
    client.asked = hsdir;
    this.#queue.add(nowMs + drawMs(this.#random, this.#scenario.latency.directoryMs), clientEvents.fetched, name);
  }

  #fetched(client: Client, name: number, nowMs: number): void {
    const now = this.#seconds(nowMs);
    const found = this.#directory.read(client.asked, now);
    if (found === undefined) {
      this.#fetch(client, name, nowMs);
      return;
    }
    if (replaces(client.listing?.revision, found.revision)) {
      client.listing = found;
      client.expiresAt = this.#directory.expiresAt;
    }
    const usable = this.#usable(client, now).length > 0;
    if (!usable) client.history.forget(this.#directory.used.blindedKey);
    this.#release(client, nowMs, usable);
  }

  #release(client: Client, nowMs: number, usable: boolean): void {
    const waiting = client.waiting ?? [];
    client.waiting = undefined;
    for (const index of waiting) {
      if (usable) this.#attach(index, nowMs);
      else this.#end(index, nowMs, false);
    }
  }

  #launch(index: number, attempt: Attempt, usable: readonly Point[], nowMs: number, rendezvous: boolean): void {
    attempt.point = usable[this.#random.int(usable.length)] as Point;
    const { hopMs, cellMs } = this.#scenario.latency;
    const build = (hops: number): number => {
      let sum = 0;
      for (let hop = 0; hop < hops; hop++) sum += drawMs(this.#random, hopMs);
      return sum;
    };
    // The rendezvous point is asked beside; introducing waits for both.
    const other = rendezvous ? build(3) + 2 * drawMs(this.#random, cellMs) : 0;
    const readyMs = Math.max(build(4), other) + drawMs(this.#random, cellMs);
    this.#queue.add(nowMs + readyMs, clientEvents.introduce, index);
  }

  #introduce(index: number, attempt: Attempt, nowMs: number): void {
    const point = attempt.point as Point;
    const backMs = drawMs(this.#random, this.#scenario.latency.cellMs);
    this.introductions++;
    const passed = this.#service.introduce(point);
    if (attempt.introductions++ === 0 && point.alive) this.#listener.firstTry(passed);
    if (!passed) {
      this.nacks++;
      this.#queue.add(nowMs + backMs, clientEvents.nacked, index);
      return;
    }
    const { head } = point;
    if (head.served < 1 && this.#random.float() >= head.served) {
      // An ACK, and nothing more: the stream waits until it is too late.
      attempt.point = undefined;
      this.#queue.add(attempt.startedMs + socksTimeoutMs, clientEvents.joined, index);
      return;
    }
    const { hopMs, cellMs } = this.#scenario.latency;
    let wayMs = exponential(this.#random, head.waitMs) + 2 * drawMs(this.#random, cellMs);
    for (let hop = 0; hop < 4; hop++) wayMs += drawMs(this.#random, hopMs);
    this.#queue.add(nowMs + wayMs, clientEvents.joined, index);
  }

  #nacked(index: number, attempt: Attempt, nowMs: number): void {
    const client = this.#clientOf(attempt.client);
    const now = this.#seconds(nowMs);
    client.failures.note((attempt.point as Point).index, 'nack', now);
    const usable = this.#usable(client, now);
    if (usable.length > 0 && nowMs - attempt.startedMs < socksTimeoutMs)
      this.#launch(index, attempt, usable, nowMs, false);
    else this.#attach(index, nowMs);
  }

  #joined(index: number, attempt: Attempt, nowMs: number): void {
    const { point } = attempt;
    if (point === undefined) {
      this.#end(index, nowMs, false);
      return;
    }
    const { head } = point;
    if (head.ghost.role === 'refusing') {
      this.#listener.refused();
      this.#attach(index, nowMs);
      return;
    }
    const kept = head.shedding ? this.#scenario.shedPerSecond / Math.max(1e-9, head.perSecond) : 1;
    if (kept < 1 && this.#random.float() >= kept) {
      this.#attach(index, nowMs);
      return;
    }
    this.#clientOf(attempt.client).history.forget(this.#directory.used.blindedKey);
    this.#end(index, nowMs, true);
    attempt.life = head.life;
    this.#queue.add(nowMs + exponential(this.#random, this.#scenario.sessionMeanMs), clientEvents.ended, index);
  }
}
