/**
 * Panic mode in the lab: on by the operator's own command, some turns of the wheel, off again; two clients visit all the while,
 * one that keeps its descriptor and one that knows nothing, and no outage of theirs may be long. Enter at `panicStory`.
 */
import type { Clock } from '../../../core/runtime/index.ts';
import type { Visit } from './visitor.ts';

/** What the story asks of the lab. */
export interface PanicStage {
  readonly clock: Clock;
  readonly turnMs: number;
  readonly turns: number;
  /** `chimera panic on` and `off`. */
  panic(on: boolean): Promise<void>;
  /** The newest confirmed descriptor: the heads in it, and who published it; undefined while nobody has. */
  published(): { readonly heads: readonly string[]; readonly publisher: string } | undefined;
  /** The clients, by what they are: each makes one visit. */
  readonly clients: Readonly<Record<string, () => Promise<Visit>>>;
  until<T>(what: string, limitMs: number, look: () => T | undefined): Promise<T>;
  step(text: string): void;
  note(text: string): void;
  check(held: boolean, text: string, data?: Readonly<Record<string, unknown>>): void;
}

/** A node's settings: turns as quick as the lab's day, and the operator's socket where one is to be. */
export function panicTables(turnMs: number, socket: string | undefined): Record<string, Record<string, unknown>> {
  const seconds = turnMs / 1_000;
  return {
    election: { slot_secs: seconds },
    roulette: { every_secs: seconds, jitter_secs: 0, allow_fast: true },
    ...(socket === undefined ? {} : { admin: { socket } }),
  };
}

/** No client may go without an answer for longer. */
const longestOutageMs = 10_000;
/** A turn, its publication and its confirmation. */
const publishLimitMs = 30_000;

export interface Tally {
  readonly visits: number;
  readonly failed: number;
  /** From the begin of the first visit that failed to the end of the first that did not. Milliseconds. */
  readonly longestOutageMs: number;
}

/** Visits once a second until `over`. */
export async function tally(clock: Clock, visit: () => Promise<Visit>, over: () => boolean): Promise<Tally> {
  let visits = 0;
  let failed = 0;
  let longest = 0;
  let downSince: number | undefined;
  while (!over()) {
    const begun = clock.monotonic();
    const { head, durationMs } = await visit();
    visits++;
    if (head === undefined) failed++;
    // Who waits that long for an answer has had none meanwhile.
    if (head === undefined || durationMs > longestOutageMs) downSince ??= begun;
    if (downSince !== undefined) longest = Math.max(longest, clock.monotonic() - downSince);
    if (head !== undefined) downSince = undefined;
    await clock.sleep(Math.max(0, 1_000 - (clock.monotonic() - begun)));
  }
  return { visits, failed, longestOutageMs: Math.round(longest) };
}

const named = (heads: readonly string[]): string => [...heads].sort().join(', ');

export async function panicStory(stage: PanicStage): Promise<void> {
  const { clock, turnMs, turns } = stage;
  const before = stage.published();
  stage.step(`chimera panic on: other heads every ${turnMs / 1_000} s, ${turns} times`);
  let over = false;
  const tallies = Object.entries(stage.clients).map(
    async ([who, visit]) => [who, await tally(clock, visit, () => over)] as const,
  );
  const watched = Promise.all(tallies);
  watched.catch(() => undefined);
  try {
    await stage.panic(true);
    let last = named(before?.heads ?? []);
    const publishers = new Set<string>();
    const sets: string[] = [];
    // The first set is the one that panic begins with; each after it is a turn.
    for (let turn = 0; turn <= turns; turn++) {
      const { heads, publisher } = await stage.until(`turn ${turn}`, turnMs + publishLimitMs, () => {
        const found = stage.published();
        return found === undefined || named(found.heads) === last ? undefined : found;
      });
      last = named(heads);
      sets.push(last);
      publishers.add(publisher);
      stage.note(`${turn === 0 ? 'at first' : `turn ${turn}`}: ${last}, published by ${publisher}`);
    }
    stage.check(
      publishers.size > 1,
      `${turns} turns, ${new Set(sets).size} sets of heads, ${publishers.size} publishers`,
      { sets },
    );

    await stage.panic(false);
    stage.step('chimera panic off');
    const wanted = named(before?.heads ?? []);
    await stage.until('the descriptor of before', publishLimitMs, () =>
      named(stage.published()?.heads ?? []) === wanted ? true : undefined,
    );
    const settled = stage.published()?.publisher;
    const end = clock.monotonic() + turnMs * 1.5;
    let moved = false;
    await stage.until('a turn and a half', turnMs * 2, () => {
      const now = stage.published();
      moved ||= named(now?.heads ?? []) !== wanted || now?.publisher !== settled;
      return clock.monotonic() >= end ? true : undefined;
    });
    stage.check(!moved, `all heads are live again, and for a turn and a half neither they nor the publisher change`);
  } finally {
    over = true;
  }
  for (const [who, { visits, failed, longestOutageMs: longest }] of await watched) {
    stage.check(
      visits > 0 && longest <= longestOutageMs,
      `${who}: ${visits} visits, ${failed} failed, nothing for ${(longest / 1_000).toFixed(1)} s at most`,
      { visits, failed, longestOutageMs: longest },
    );
  }
}
