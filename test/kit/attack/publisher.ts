/**
 * The publisher: asks the strategy (or hydra), merges, uploads to every responsible HSDir, and tells the heads what is out.
 * One cycle at a time; a cycle that finds nothing new sends nothing.
 */
import type { Candidate, HeadView, Rotation, View } from '../../../core/pipeline/index.ts';
import type { Random } from '../../../core/runtime/random.ts';
import { createHydraState, decide, type HydraState } from '../../../plugins/hydra/index.ts';
import { distinctSets } from '../../../plugins/merge/distinct/index.ts';
import { distinctRelays, fairShare } from '../../../plugins/merge/fair-share/index.ts';
import { stackedShare } from '../../../plugins/merge/stacked/index.ts';
import type { Defence } from './defences.ts';
import { lifetimeSeconds, type Directory, type Listing } from './directory.ts';
import type { EventQueue } from './queue.ts';
import type { Scenario } from './scenario.ts';
import type { Head, Point, Service } from './service.ts';

/** `subject` is the publisher; of `upload`, twice the upload plus the publisher. */
export const publisherEvents = { cycle: 10, upload: 11, settled: 12, turn: 13 } as const;

/** What a descriptor pair was, for those who measure. */
export interface Publication {
  readonly atMs: number;
  readonly revision: number;
  /** Of each set, its points. */
  readonly sets: readonly (readonly Point[])[];
  readonly content: string;
}

export interface PublisherTotals {
  publications: Publication[];
  uploads: number;
  /** Uploads that an HSDir refused: a later epoch has published. */
  fenced: number;
  replacements: number;
  cycles: number;
}

interface Upload {
  readonly hsdir: number;
  readonly blindedKey: string;
  readonly listing: Listing;
}

/** Room for a million publications in an epoch. */
const epochStep = 2 ** 20;
/** What comes within this is answered by one cycle. */
const coalesceMs = 500;
/** A descriptor is renewed long before its lifetime ends. */
const renewMs = 3_600_000;

export class Publisher {
  readonly #scenario: Scenario;
  readonly #defence: Defence;
  readonly #queue: EventQueue;
  readonly #directory: Directory;
  readonly #service: Service;
  readonly #random: Random;
  readonly #seed: string;
  readonly #index: number;
  readonly #totals: PublisherTotals;
  readonly #uploads = new Map<number, Upload>();
  #nextUpload = 0;
  #strategyState: unknown;
  #hydra: HydraState = createHydraState();
  #waiting = false;
  #busyUntilMs = 0;
  #content = '';
  #placement = '';
  #publishedMs = -Infinity;
  #sequence = 0;
  /** When the strategy wants to be asked again: the last answer counts. */
  #turnAtMs = Infinity;
  #live: readonly string[] = [];
  #settling: readonly Point[] = [];
  epoch = 1;
  /** Heads that it does not hear. */
  missing: (head: Head) => boolean = () => false;

  constructor(
    parts: {
      readonly scenario: Scenario;
      readonly defence: Defence;
      readonly queue: EventQueue;
      readonly directory: Directory;
      readonly service: Service;
      readonly random: Random;
      readonly seed: string;
    },
    index: number,
    totals: PublisherTotals,
  ) {
    this.#scenario = parts.scenario;
    this.#defence = parts.defence;
    this.#queue = parts.queue;
    this.#directory = parts.directory;
    this.#service = parts.service;
    this.#random = parts.random;
    this.#seed = parts.seed;
    this.#index = index;
    this.#totals = totals;
    this.#strategyState = parts.defence.strategy?.initial();
  }

  /** Asks for a cycle, soon. */
  request(nowMs: number): void {
    if (this.#waiting) return;
    this.#waiting = true;
    this.#queue.add(Math.max(nowMs + coalesceMs, this.#busyUntilMs), publisherEvents.cycle, this.#index);
  }

  /** `subject` as in `publisherEvents`. */
  handle(kind: number, subject: number, nowMs: number): void {
    if (kind === publisherEvents.turn) this.#turn(nowMs);
    else if (kind === publisherEvents.cycle) this.#cycle(nowMs);
    else if (kind === publisherEvents.upload) this.#upload(subject >> 1, nowMs);
    else this.#settle(nowMs);
  }

  #turn(nowMs: number): void {
    if (nowMs >= this.#turnAtMs || nowMs >= this.#publishedMs + renewMs) this.request(nowMs);
  }

  #view(nowMs: number): View {
    return {
      nowMs: this.#scenario.startsAt * 1_000 + nowMs,
      seed: this.#seed,
      epoch: this.epoch,
      maximumIntroPoints: this.#scenario.places,
      live: this.#live,
      heads: this.#service.heads
        .filter((head) => !this.missing(head))
        .map((head): HeadView => ({
          head: head.name,
          node: head.name,
          siege: head.reported,
          candidates: head.current.filter(({ alive }) => alive).map(({ candidate }) => candidate),
        }))
        .filter(({ candidates }) => candidates.length > 0),
    };
  }

  #rotate(view: View, nowMs: number): { rotation: Rotation; nextMs: number | undefined } {
    const { hydra, strategy } = this.#defence;
    if (hydra !== undefined) {
      const live = new Set(view.live);
      const seen = view.heads.map(({ head, node, siege, candidates }) => ({
        head,
        node,
        siege,
        points: candidates.length,
        published: candidates.some(({ id }) => live.has(id)),
      }));
      const before = this.#hydra.replacements.at(-1);
      const decision = decide(seen, this.#hydra, nowMs, hydra, () => this.#random.float());
      this.#hydra = decision.state;
      if (decision.state.replacements.at(-1) !== before) this.#totals.replacements++;
      const shed = new Set(decision.shed);
      for (const head of this.#service.heads) head.shedding = shed.has(head.name);
      const chosen = new Set(decision.live);
      const ids = view.heads.filter(({ head }) => chosen.has(head)).flatMap(({ candidates }) => candidates);
      return { rotation: { live: ids.map(({ id }) => id), why: decision.why }, nextMs: decision.nextMs };
    }
    if (strategy === undefined) throw new Error(`${this.#defence.name} has neither a strategy nor hydra`);
    const decision = strategy.decide(view, this.#strategyState, this.#random);
    this.#strategyState = decision.state;
    return { rotation: decision.rotation, nextMs: decision.nextMs };
  }

  #merge(view: View, rotation: Rotation): readonly (readonly Candidate[])[] {
    const wanted = new Set(rotation.live);
    let candidates = view.heads.flatMap((head) => head.candidates.filter(({ id }) => wanted.has(id)));
    // The pipeline overrules whoever leaves nothing.
    if (candidates.length === 0) candidates = view.heads.flatMap((head) => head.candidates);
    const live = new Set(view.live);
    const { places } = this.#scenario;
    const groups = rotation.groups ?? [];
    if (this.#defence.merge === 'distinct') return distinctSets(candidates, groups, places, this.#random, live);
    if (this.#defence.merge === 'stacked') return [stackedShare(candidates, groups, places, this.#random, live)];
    return [fairShare(distinctRelays(candidates, this.#random, live), places, this.#random, live)];
  }

  #cycle(nowMs: number): void {
    this.#waiting = false;
    this.#totals.cycles++;
    if (this.#defence.renews === 'besieged') this.#renewBesieged(nowMs);
    const view = this.#view(nowMs);
    if (view.heads.length === 0) return;
    const { rotation, nextMs } = this.#rotate(view, nowMs);
    this.#turnAtMs = nowMs + (nextMs ?? Infinity);
    if (nextMs !== undefined) this.#queue.add(this.#turnAtMs, publisherEvents.turn, this.#index);
    const sets = this.#merge(view, rotation);
    const content = sets
      .map((set) =>
        set
          .map(({ id }) => id)
          .sort()
          .join(' '),
      )
      .join('|');
    const { first, second } = this.#directory;
    const placement = [first, second].map(({ blindedKey, store }) => `${blindedKey}:${store.join()}`).join('|');
    const due = nowMs - this.#publishedMs >= renewMs;
    if (content === this.#content && placement === this.#placement && !due) return;
    this.#publish(sets, content, nowMs);
    this.#placement = placement;
  }

  #renewBesieged(nowMs: number): void {
    for (const head of this.#service.heads) {
      if (head.reported < 1) continue;
      this.#service.renew(head, this.#scenario.startsAt + nowMs / 1_000, true);
      this.#totals.replacements += this.#scenario.pointsPerHead;
    }
  }

  #publish(sets: readonly (readonly Candidate[])[], content: string, nowMs: number): void {
    const pointsOf = (set: readonly Candidate[]): Point[] =>
      set.map(({ id }) => this.#service.byId.get(id)).filter((point) => point !== undefined);
    const revision = this.epoch * epochStep + ++this.#sequence;
    const listings = sets.map((set): Listing => ({
      revision,
      points: pointsOf(set),
      publishedMs: nowMs,
      lifetimeSeconds,
    }));
    const { uploadMs } = this.#scenario;
    for (const { blindedKey, store, fetch } of [this.#directory.first, this.#directory.second]) {
      for (const [position, hsdir] of store.entries()) {
        const place = fetch.indexOf(hsdir);
        const listing = listings[(place < 0 ? position : place) % listings.length] as Listing;
        const index = this.#nextUpload++;
        this.#uploads.set(index, { hsdir, blindedKey, listing });
        const atMs = nowMs + uploadMs * (0.05 + 0.95 * this.#random.float());
        this.#queue.add(atMs, publisherEvents.upload, 2 * index + this.#index);
      }
    }
    this.#totals.publications.push({ atMs: nowMs, revision, sets: listings.map(({ points }) => points), content });
    this.#content = content;
    this.#publishedMs = nowMs;
    this.#busyUntilMs = nowMs + uploadMs;
    this.#settling = [...new Set(listings.flatMap(({ points }) => points))];
    this.#queue.add(this.#busyUntilMs, publisherEvents.settled, this.#index);
    this.#queue.add(nowMs + renewMs, publisherEvents.turn, this.#index);
  }

  #upload(index: number, nowMs: number): void {
    const upload = this.#uploads.get(index);
    if (upload === undefined) return;
    this.#uploads.delete(index);
    const { hsdir, blindedKey, listing } = upload;
    this.#totals.uploads++;
    const taken = this.#directory.upload(hsdir, blindedKey, listing, this.#scenario.startsAt + nowMs / 1_000);
    if (!taken) this.#totals.fenced++;
  }

  #settle(nowMs: number): void {
    this.#live = this.#settling.map(({ id }) => id);
    const listed = new Set(this.#settling.map(({ head }) => head));
    for (const head of this.#service.heads) {
      const left = head.listed && !listed.has(head);
      head.listed = listed.has(head);
      if (left && this.#defence.renews === 'left') {
        this.#service.renew(head, this.#scenario.startsAt + nowMs / 1_000, true);
      }
    }
  }

  /** Another publisher has come to its end: the next epoch begins after all that was. */
  succeed(epoch: number): void {
    this.epoch = epoch;
    this.#content = '';
  }
}
