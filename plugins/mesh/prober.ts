/**
 * Failure detection after SWIM (Das, Gupta, Motivala 2002) and Lifeguard (Dadgar, Phillips, Currey 2017): in each period one
 * neighbour, in random order, is asked; without an answer, again, and through others; without any, it is suspect.
 *
 *   ping ─ no ack for a while ─► ping again, probes through three others, another session ─ nothing heard in time ─► suspect
 *
 * A leader is watched more closely: once it misses two beats it is asked directly and through others until it is heard, or dead.
 */
import { jittered, shuffled, type Clock, type Random, type Timer } from '../../core/runtime/index.ts';
import type { Message } from './message.ts';
import { closeNodes } from './overlay.ts';

export interface ProberSettings {
  /** How often a node asks one of its neighbours. */
  readonly probeIntervalMs: number;
  /** How long the direct and indirect questions may take together. */
  readonly probeTimeoutMs: number;
  readonly beaconIntervalMs: number;
}

const helperCount = 3;
/** After this share of the timeout without an answer others are asked. */
const directShare = 0.4;
/** A leader that has missed so many beats is asked. */
const missedBeats = 2.4;
const watchMs = 200;
/** How long an asked ping may be answered, and so counts as an echo. */
const nonceLifeMs = 10_000;
/** How much longer than set an interval is beyond a close cluster. */
const farShare = 1.25;
const clockAgainMs = 1_000;
const maximumNonces = 1_024;
/** One of those that are missing is asked at one turn of so many, and at each by a node that has just started or had nobody: they may not know it. */
const missingShare = 4;
const eagerMs = 15_000;
/** A node that is missed for so long may have lost its session. */
const lostMs = 5_000;
/** A helper that heard the node so lately answers without asking itself. */
const freshMs = 600;

export interface ProberHost {
  /** Neighbours that are there, in no order. */
  neighbours(): readonly string[];
  /** How many nodes are there, this one included. */
  size(): number;
  /** Members that are there and not neighbours or dead, or never heard: asked now and then, so that a cut heals. */
  missing(): readonly string[];
  /** Others that could help, with whom there is a session. */
  helpers(): readonly string[];
  /** Leaders that are not this node, with when they were heard. */
  leaders(): readonly { readonly node: string; readonly heardAtMs: number }[];
  suspects(): readonly string[];
  heardAtMs(node: string): number;
  send(node: string, messages: readonly Message[]): void;
  /** Opens another session. */
  renew(node: string): void;
  doubt(node: string): void;
  suspect(node: string): void;
}

interface Asked {
  readonly node: string;
  readonly sentAtMs: number;
  /** Who wants to know, by which nonce of its own. */
  readonly onBehalf: { readonly node: string; readonly nonce: number } | undefined;
}

export class Prober {
  readonly #host: ProberHost;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #settings: ProberSettings;
  readonly #asked = new Map<number, Asked>();
  /** Probes under way, each with its timer. */
  readonly #open = new Map<string, Timer>();
  readonly #watched = new Map<string, number>();
  /** When each was asked for its clock last. */
  readonly clocksAsked = new Map<string, number>();
  #round: string[] = [];
  #nonce: number;
  #tickTimer: Timer | undefined;
  #watchTimer: Timer | undefined;
  #eagerUntilMs = -Infinity;
  #stopped = false;

  constructor(host: ProberHost, clock: Clock, random: Random, settings: ProberSettings) {
    this.#host = host;
    this.#clock = clock;
    this.#random = random;
    this.#settings = settings;
    this.#nonce = random.int(2 ** 31);
  }

  start(): void {
    this.#eagerUntilMs = this.#clock.monotonic() + eagerMs;
    for (const node of shuffled(this.#random, [...this.#host.missing(), ...this.#host.neighbours()]).slice(0, 12)) {
      this.ping(node);
    }
    this.#tick();
    this.#watch();
  }

  stop(): void {
    this.#stopped = true;
    for (const timer of [this.#tickTimer, this.#watchTimer, ...this.#open.values()]) timer?.cancel();
  }

  /** Asks once; the answer counts, its absence does not. */
  ping(node: string, onBehalf?: Asked['onBehalf']): void {
    this.#nonce = (this.#nonce + 1) % 2 ** 32;
    if (this.#asked.size >= maximumNonces) this.#asked.delete(this.#asked.keys().next().value as number);
    this.#asked.set(this.#nonce, { node, sentAtMs: this.#clock.monotonic(), onBehalf });
    this.#host.send(node, [{ type: 'ping', nonce: this.#nonce }]);
  }

  /** Asks one whose clock was not compared for long, once a second at most. */
  askClock(node: string): void {
    const now = this.#clock.monotonic();
    if (now - (this.clocksAsked.get(node) ?? -Infinity) < clockAgainMs) return;
    this.clocksAsked.set(node, now);
    this.ping(node);
  }

  /** Takes an ack; gives when its ping was sent, if it is the answer to one. */
  ack(from: string, nonce: number): number | undefined {
    const asked = this.#asked.get(nonce);
    const now = this.#clock.monotonic();
    if (asked?.node !== from || now - asked.sentAtMs > nonceLifeMs) return undefined;
    this.#asked.delete(nonce);
    const { onBehalf, sentAtMs } = asked;
    if (onBehalf !== undefined) {
      this.#host.send(onBehalf.node, [{ type: 'probed', nonce: onBehalf.nonce, node: from, ageMs: now - sentAtMs }]);
    }
    return sentAtMs;
  }

  /** True when this node has asked others for that one. */
  probed(nonce: number, node: string): boolean {
    return this.#asked.get(nonce)?.node === node;
  }

  /** Another asks this node to look. */
  probe(from: string, nonce: number, node: string): void {
    const ageMs = this.#clock.monotonic() - this.#host.heardAtMs(node);
    if (ageMs < freshMs) this.#host.send(from, [{ type: 'probed', nonce, node, ageMs }]);
    else this.ping(node, { node: from, nonce });
  }

  /** Looks at a node now, with all that a probe has. */
  investigate(node: string): void {
    if (this.#open.has(node) || this.#stopped) return;
    const fromMs = this.#clock.monotonic();
    const { probeTimeoutMs } = this.#settings;
    const answered = (): boolean => this.#host.heardAtMs(node) >= fromMs;
    this.ping(node);
    const first = this.#clock.after(probeTimeoutMs * directShare, () => {
      this.#open.delete(node);
      if (answered()) return;
      this.#host.doubt(node);
      this.#host.renew(node);
      this.ping(node);
      this.#askHelpers(node);
      const second = this.#clock.after(probeTimeoutMs * (1 - directShare), () => {
        this.#open.delete(node);
        if (!answered()) this.#host.suspect(node);
      });
      this.#open.set(node, second);
    });
    this.#open.set(node, first);
  }

  #askHelpers(node: string): void {
    const helpers = this.#host.helpers().filter((helper) => helper !== node);
    for (const helper of shuffled(this.#random, helpers).slice(0, helperCount)) {
      this.#host.send(helper, [{ type: 'probe', nonce: this.#nonce, node }]);
    }
  }

  #tick(): void {
    if (this.#stopped) return;
    const neighbours = this.#host.neighbours();
    const known = new Set(neighbours);
    this.#round = this.#round.filter((node) => known.has(node));
    if (this.#round.length === 0) this.#round = shuffled(this.#random, neighbours);
    const next = this.#round.pop();
    if (next !== undefined) this.investigate(next);
    const missing = this.#host.missing();
    const now = this.#clock.monotonic();
    if (next === undefined) this.#eagerUntilMs = now + eagerMs;
    const eager = now < this.#eagerUntilMs;
    if (missing.length > 0 && (eager || this.#random.int(missingShare) === 0)) {
      const node = missing[this.#random.int(missing.length)] as string;
      this.ping(node);
      this.#renewLost(node);
    }
    // A small cluster can afford to look more often; beyond a close one there are leases to pass on.
    const size = this.#host.size();
    const share = size > closeNodes ? farShare : Math.min(1, 0.54 + 0.046 * size);
    const intervalMs = share * this.#settings.probeIntervalMs;
    this.#tickTimer = this.#clock.after(jittered(this.#random, intervalMs, 0.1), () => this.#tick());
  }

  /**
   * Each of two may hold a session that the other has lost to a copy of it: neither hears a ping of the other's, and both take
   * each other for dead. Another session is opened now and then.
   */
  #renewLost(node: string): void {
    const now = this.#clock.monotonic();
    const sinceMs = Math.max(this.#host.heardAtMs(node), this.#watched.get(node) ?? -Infinity);
    if (now - sinceMs < lostMs) return;
    this.#watched.set(node, now);
    this.#host.renew(node);
  }

  /** Leaders that are late, and suspects: asked again and again until they are heard. */
  #watch(): void {
    if (this.#stopped) return;
    const now = this.#clock.monotonic();
    const late = this.#host
      .leaders()
      .filter(({ heardAtMs }) => now - heardAtMs > missedBeats * this.#settings.beaconIntervalMs)
      .map(({ node }) => node);
    for (const node of new Set([...late, ...this.#host.suspects()])) {
      if (now - (this.#watched.get(node) ?? -Infinity) < 2 * watchMs - 20) continue;
      this.#watched.set(node, now);
      this.ping(node);
      this.#host.renew(node);
      if (late.includes(node)) this.#askHelpers(node);
    }
    for (const [node, atMs] of this.#watched) if (now - atMs > 10_000) this.#watched.delete(node);
    this.#watchTimer = this.#clock.after(watchMs, () => this.#watch());
  }
}
