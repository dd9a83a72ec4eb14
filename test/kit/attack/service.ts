/**
 * The service side: heads with their introduction points, the relays' rate limit, the nodes' processors, and the ghosts. What
 * an attack sends comes as rates, once a tick; honest introductions come one by one.
 */
import type { Candidate } from '../../../core/pipeline/index.ts';
import type { Random } from '../../../core/runtime/index.ts';
import { step, type GhostSettings, type GhostState } from '../../../plugins/ghost/index.ts';
import { createDetectorState, observe, usualHeadSettings, type DetectorState } from '../../../plugins/siege/index.ts';
import { drawIntroPointLife, isWorn } from '../network/rules/intro-point.ts';
import { poisson } from './chance.ts';
import type { Scenario } from './scenario.ts';

export interface Point {
  readonly id: string;
  readonly index: number;
  readonly head: Head;
  readonly relay: number;
  /** On a relay of the attacker's. */
  readonly hostile: boolean;
  readonly introductionLimit: number;
  /** Unix seconds. */
  readonly expiresAt: number;
  readonly candidate: Candidate;
  introductions: number;
  /** False once its circuits are closed: the relay answers NACK. */
  alive: boolean;
  /** Of the relay's rate limit. */
  tokens: number;
  /** INTRODUCE1 a second that the attack sends. */
  attack: number;
  /** Honest ones of this tick, and their rate lately. */
  honest: number;
  honestPerSecond: number;
  /** Share of introductions that pass the limit. */
  passes: number;
}

export interface Head {
  readonly name: string;
  readonly index: number;
  /** Of tor's two descriptors: what stands in the merged one, and what does from midnight on. */
  current: Point[];
  next: Point[];
  ghost: GhostState;
  detector: DetectorState;
  /** As HeadView.siege; `reported` is what the publisher knows of it. */
  siege: number;
  reported: number;
  /** Honest introductions of this tick. */
  seen: number;
  /** Share of rendezvous that its processor manages, and how long each waits. */
  served: number;
  waitMs: number;
  /** All introductions a second. */
  perSecond: number;
  shedding: boolean;
  /** In the descriptor that is out. */
  listed: boolean;
  /** Rises when its tor is thrown away with all its sessions. */
  life: number;
}

export interface ServiceTotals {
  attackSent: number;
  attackOnLive: number;
  forcedCircuits: number;
  sieges: number;
  falseSieges: number;
  circuits: number;
  readonly relays: Set<number>;
  relaysDrawn: number;
}

/** Weight of the newest tick in a point's honest rate. */
const smoothing = 0.1;
const nothing = new Uint8Array(32);

export interface ServiceSettings {
  readonly detects: boolean;
  readonly ghost: GhostSettings | undefined;
  readonly relayShare: number;
}

export class Service {
  readonly heads: readonly Head[];
  /** All points there ever were, by index; and by id. */
  readonly points: Point[] = [];
  readonly byId = new Map<string, Point>();
  readonly totals: ServiceTotals = {
    attackSent: 0,
    attackOnLive: 0,
    forcedCircuits: 0,
    sieges: 0,
    falseSieges: 0,
    circuits: 0,
    relays: new Set(),
    relaysDrawn: 0,
  };
  readonly #scenario: Scenario;
  readonly #settings: ServiceSettings;
  readonly #random: Random;
  readonly #hostile: number;
  #flooded: Point[] = [];

  constructor(scenario: Scenario, settings: ServiceSettings, random: Random) {
    this.#scenario = scenario;
    this.#settings = settings;
    this.#random = random;
    this.#hostile = settings.relayShare * scenario.relays;
    const width = String(scenario.heads).length;
    this.heads = Array.from({ length: scenario.heads }, (_none, index): Head => ({
      name: `head-${String(index + 1).padStart(Math.max(2, width), '0')}`,
      index,
      current: [],
      next: [],
      ghost: { role: 'idle' },
      detector: createDetectorState(),
      siege: 0,
      reported: 0,
      seen: 0,
      served: 1,
      waitMs: 0,
      perSecond: 0,
      shedding: false,
      listed: false,
      life: 0,
    }));
    for (const head of this.heads) {
      head.current = this.#draw(head, scenario.startsAt);
      head.next = this.#draw(head, scenario.startsAt);
    }
  }

  #draw(head: Head, now: number): Point[] {
    return Array.from({ length: this.#scenario.pointsPerHead }, () => this.#point(head, now));
  }

  #point(head: Head, now: number): Point {
    const relay = this.#random.int(this.#scenario.relays);
    const index = this.points.length;
    // As a key is: it tells an attacker nothing of its head or its age.
    const id = Buffer.from(this.#random.bytes(8)).toString('hex');
    const point: Point = {
      id,
      index,
      head,
      relay,
      hostile: relay < this.#hostile,
      ...drawIntroPointLife(this.#random, now),
      candidate: {
        id,
        head: head.name,
        node: head.name,
        provenance: 'service',
        introPoint: { linkSpecifiers: [], onionKey: nothing, authKey: nothing, encKey: nothing },
        features: { singleOnionService: false },
      },
      introductions: 0,
      alive: true,
      tokens: this.#scenario.introLimitBurst,
      attack: 0,
      honest: 0,
      honestPerSecond: 0,
      passes: 1,
    };
    this.points.push(point);
    this.byId.set(id, point);
    this.totals.relays.add(relay);
    this.totals.relaysDrawn++;
    this.totals.circuits++;
    return point;
  }

  /** 00:00 UTC: the points of the descriptor that was next are current, the others are closed. */
  turnMidnight(now: number): void {
    for (const head of this.heads) {
      for (const point of head.current) this.#close(point);
      head.current = head.next;
      head.next = this.#draw(head, now);
    }
  }

  /** All points of a head give way to others; with `sessions` its tor goes, and what was joined ends. */
  renew(head: Head, now: number, sessions: boolean): void {
    for (const point of [...head.current, ...head.next]) this.#close(point);
    head.current = this.#draw(head, now);
    head.next = this.#draw(head, now);
    if (sessions) {
      head.life++;
      head.detector = createDetectorState();
      head.siege = head.reported = 0;
    }
  }

  #close(point: Point): void {
    point.alive = false;
  }

  /** What the attack sends from now on, by id. Ids that never were are cells into nothing. */
  flood(rates: ReadonlyMap<string, number>): void {
    for (const point of this.#flooded) point.attack = 0;
    this.#flooded = [];
    for (const [id, rate] of rates) {
      const point = this.byId.get(id);
      if (point === undefined || !(rate > 0)) continue;
      point.attack = rate;
      this.#flooded.push(point);
    }
  }

  /** One honest introduction arrives at the relay: false is a NACK. */
  introduce(point: Point): boolean {
    point.honest++;
    if (!point.alive || (point.passes < 1 && this.#random.float() >= point.passes)) return false;
    point.introductions++;
    point.head.seen++;
    return true;
  }

  /** `tickMs` have passed. Tells whether introduction points have changed, and whether a siege has begun, moved or ended. */
  tick(nowMs: number, now: number): { readonly changed: boolean; readonly siege: boolean } {
    const { tickMs, introLimitPerSecond, introLimitBurst } = this.#scenario;
    const seconds = tickMs / 1_000;
    let changed = false;
    let siege = false;
    for (const point of this.#flooded) {
      this.totals.attackSent += point.attack * seconds;
      if (point.alive) this.totals.attackOnLive += point.attack * seconds;
    }
    for (const head of this.heads) {
      let arrived = head.seen;
      let attacked = 0;
      let honestRate = 0;
      for (const points of [head.current, head.next]) {
        for (const [place, point] of points.entries()) {
          point.honestPerSecond += smoothing * (point.honest / seconds - point.honestPerSecond);
          honestRate += point.honestPerSecond * point.passes;
          const rate = point.attack + point.honestPerSecond;
          if (point.attack > 0 || point.passes < 1 || point.tokens < introLimitBurst) {
            point.tokens = Math.min(introLimitBurst, point.tokens + (introLimitPerSecond - rate) * seconds);
            const limited = introLimitPerSecond > 0 && point.tokens <= 0;
            if (point.tokens < 0) point.tokens = 0;
            point.passes = limited ? Math.min(1, introLimitPerSecond / rate) : 1;
            const through = poisson(this.#random, point.attack * point.passes * seconds);
            point.introductions += through;
            arrived += through;
            attacked += through;
          }
          point.honest = 0;
          if (!isWorn(point, point.introductions, now)) continue;
          this.#close(point);
          points[place] = this.#point(head, now);
          changed = true;
        }
      }
      this.#load(head, attacked / seconds + honestRate);
      this.totals.forcedCircuits += attacked * head.served;
      if (this.#settings.detects) siege = this.#detect(head, arrived, attacked, nowMs) || siege;
      head.seen = 0;
      if (this.#settings.ghost !== undefined) changed = this.#haunt(head, nowMs, now) || changed;
    }
    return { changed, siege };
  }

  /** A processor that is asked for more than it has serves a share; below that, each waits as in an M/M/1 queue. */
  #load(head: Head, perSecond: number): void {
    const costMs = this.#scenario.introduceCostMs + this.#scenario.rendezvousCostMs;
    const use = (perSecond * costMs) / 1_000;
    head.perSecond = perSecond;
    head.served = use <= 1 ? 1 : 1 / use;
    head.waitMs = costMs / Math.max(0.02, 1 - Math.min(use, 0.98));
  }

  #detect(head: Head, arrived: number, attacked: number, nowMs: number): boolean {
    const cpu = Math.min(
      1,
      (head.perSecond * (this.#scenario.introduceCostMs + this.#scenario.rendezvousCostMs)) / 1_000,
    );
    const sample = { atMs: nowMs, durationMs: this.#scenario.tickMs, count: arrived, cpu };
    const { state, verdict } = observe(head.detector, sample, usualHeadSettings.introductions);
    head.detector = state;
    const before = head.siege;
    head.siege = verdict.besieged ? verdict.level : 0;
    if (before === 0 && head.siege > 0) {
      this.totals.sieges++;
      if (attacked === 0) this.totals.falseSieges++;
    }
    const told = head.reported;
    const moved = head.siege >= 2 * told || head.siege <= told / 2;
    return head.siege > 0 !== told > 0 || (head.siege > 0 && moved);
  }

  #haunt(head: Head, nowMs: number, now: number): boolean {
    const before = head.ghost;
    const input = { nowMs, listed: head.listed, besieged: head.siege >= 1 };
    head.ghost = step(before, input, this.#settings.ghost as GhostSettings);
    if (head.ghost.role !== 'refusing' || before.role === 'refusing') return false;
    this.renew(head, now, false);
    return true;
  }
}
