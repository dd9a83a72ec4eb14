/**
 * Which heads are live while some are under siege. Pure: what is seen, the state and the settings in, the decision out.
 *
 *   spare ─ needed ─► live ─ besieged, and the budget allows ─► cut ─ calm for long ─► spare
 *                      └──── too old, and a rested one is there ────► spare
 *
 * Each change of a live head is a replacement and costs budget: without that, an attacker floods honest introduction points
 * and leaves its own alone, until the descriptor holds only its own. Beyond the budget the head stays and sheds. The floor of
 * live points stands above all else. Levels are what nodes say of themselves: the node whose heads were replaced least in
 * the last hour comes first, so that one that lies of several heads does not use up the budget. Enter at `decide`.
 */

export interface SeenHead {
  readonly head: string;
  readonly node: string;
  /** As HeadView.siege. */
  readonly siege: number;
  /** How many introduction points it has. */
  readonly points: number;
  /** Whether it is in the descriptor that this node published last. */
  readonly published: boolean;
}

export interface HydraSettings {
  /** Heads kept back; undefined: a quarter of all. */
  readonly spares: number | undefined;
  /** Live introduction points are never fewer while there are as many. */
  readonly floorPoints: number;
  /** Between two replacements. */
  readonly cooldownMs: number;
  readonly perHour: number;
  /** How long a cut head must be calm until it may be live again. */
  readonly returnMs: number;
  /** A head is live at most about so long while another one rests. */
  readonly ageMs: number;
}

export interface HeadState {
  readonly role: 'live' | 'spare' | 'cut';
  readonly sinceMs: number;
  /** When it was last seen under siege. */
  readonly siegeMs: number | undefined;
  /** When it gives way to one that has rested, if it is live. */
  readonly leaveMs: number;
}

export interface Replacement {
  readonly atMs: number;
  /** Whose besieged head was cut; undefined when a free place was filled or a quiet head rests. */
  readonly node: string | undefined;
}

export interface HydraState {
  readonly heads: ReadonlyMap<string, HeadState>;
  /** Heads that are away, with when they were last there; for an hour. One that comes back is not one that has grown. */
  readonly gone: ReadonlyMap<string, number>;
  /** Of the last hour, the oldest first. */
  readonly replacements: readonly Replacement[];
}

export interface Decision {
  readonly state: HydraState;
  readonly live: readonly string[];
  /** Besieged heads that stay: their nodes shed. */
  readonly shed: readonly string[];
  /** Nodes that should grow one more head, best first. */
  readonly grow: readonly string[];
  /** What the operator must know: the budget is spent, or nothing is left to put in. */
  readonly alarm: string | undefined;
  readonly why: string;
  /** When it is worth asking again, milliseconds from now. */
  readonly nextMs: number | undefined;
}

const hourMs = 3_600_000;
/** Heads that are away beyond so many are forgotten, those that left first. */
const maximumGone = 64;

export function createHydraState(): HydraState {
  return { heads: new Map(), gone: new Map(), replacements: [] };
}

/**
 * `chance` gives 0 ≤ x < 1: ages differ, so that nobody can tell when a head gives way. `resting`: nodes that were asked to grow
 * and have not, which are not asked now.
 */
export function decide(
  seen: readonly SeenHead[],
  before: HydraState,
  nowMs: number,
  settings: HydraSettings,
  chance: () => number,
  resting: ReadonlySet<string> = new Set(),
): Decision {
  const fresh = before.heads.size === 0;
  const views = new Map([...seen].sort((a, b) => (a.head < b.head ? -1 : 1)).map((view) => [view.head, view]));
  const replacements = before.replacements.filter(({ atMs }) => nowMs - atMs < hourMs && atMs <= nowMs);
  const heads = new Map<string, HeadState>();
  for (const view of views.values()) {
    const known = before.heads.get(view.head) ?? {
      role: 'spare',
      sinceMs: nowMs,
      siegeMs: undefined,
      leaveMs: Infinity,
    };
    heads.set(view.head, view.siege >= 1 ? { ...known, siegeMs: nowMs } : known);
  }
  const left = [...before.heads.keys()].map((head) => [head, nowMs] as const);
  const gone = new Map(
    [...before.gone, ...left].filter(([head, atMs]) => !views.has(head) && nowMs - atMs < hourMs).slice(-maximumGone),
  );

  const stateOf = (head: string): HeadState => heads.get(head) as HeadState;
  const inRole = (role: HeadState['role']): SeenHead[] =>
    [...views.values()].filter(({ head }) => stateOf(head).role === role);
  const put = (head: string, role: HeadState['role']): void => {
    const leaveMs = role === 'live' ? nowMs + settings.ageMs * (0.75 + 0.5 * chance()) : Infinity;
    heads.set(head, { ...stateOf(head), role, sinceMs: nowMs, leaveMs });
  };
  const points = (): number => inRole('live').reduce((sum, view) => sum + view.points, 0);
  /** Spares without a siege: the one that has rested longest first. */
  const rested = (): SeenHead[] =>
    inRole('spare')
      .filter(({ siege }) => siege < 1)
      .sort((a, b) => stateOf(a.head).sinceMs - stateOf(b.head).sinceMs || (a.head < b.head ? -1 : 1));
  const waitMs = (): number => {
    const last = replacements.at(-1);
    const cooldown = last === undefined ? 0 : last.atMs + settings.cooldownMs - nowMs;
    const oldest = replacements.at(-settings.perHour);
    return Math.max(0, cooldown, oldest === undefined ? 0 : oldest.atMs + hourMs - nowMs);
  };
  const spend = (node?: string): void => void replacements.push({ atMs: nowMs, node });
  const spentOn = (node: string): number => replacements.filter((one) => one.node === node).length;

  for (const { head, siege } of inRole('cut')) {
    if (siege < 1 && nowMs - (stateOf(head).siegeMs ?? stateOf(head).sinceMs) >= settings.returnMs) put(head, 'spare');
  }

  const reserve = Math.min(settings.spares ?? Math.floor(views.size / 4), Math.max(0, views.size - 1));
  const target = views.size - reserve;

  // A publisher that has just begun knows nothing: what is published stays, and what is besieged is not put in.
  if (fresh) {
    const order = [...views.values()].sort(
      (a, b) =>
        Number(a.siege >= 1) - Number(b.siege >= 1) ||
        Number(b.published) - Number(a.published) ||
        (a.head < b.head ? -1 : 1),
    );
    for (const { head, siege } of order.slice(0, target)) if (siege < 1) put(head, 'live');
    for (const { head, siege } of views.values()) if (siege >= 1) put(head, 'cut');
  }

  // A besieged head gives way, to a rested one if there is one.
  const besieged = (): SeenHead[] =>
    inRole('live')
      .filter(({ siege }) => siege >= 1)
      .sort((a, b) => spentOn(a.node) - spentOn(b.node) || b.siege - a.siege || (a.head < b.head ? -1 : 1));
  const news: string[] = [];
  const [worst] = besieged();
  if (worst !== undefined && waitMs() === 0) {
    const [next] = rested();
    // One that the floor keeps does not keep the others.
    const leaver = besieged().find((one) => next !== undefined || points() - one.points >= settings.floorPoints);
    if (leaver !== undefined) {
      put(leaver.head, 'cut');
      spend(leaver.node);
      news.push(`${leaver.head} is cut`);
      if (next !== undefined) {
        put(next.head, 'live');
        news.push(`${next.head} grows`);
      }
    }
  }

  // Places that are free: heads have died, come, or are back from a siege. One that has grown takes its place at once: what made
  // it free was paid for, or was a death, and a flood makes no heads. Any other waits for the budget.
  for (;;) {
    if (inRole('live').length >= target) break;
    const waits = !fresh && waitMs() > 0 && points() >= settings.floorPoints;
    const hasGrown = ({ head }: SeenHead): boolean => !before.heads.has(head) && !before.gone.has(head);
    const next = rested().find((one) => !waits || hasGrown(one));
    if (next === undefined) break;
    const returns = !before.heads.has(next.head) && worst === undefined;
    put(next.head, 'live');
    if (!fresh && !returns && !hasGrown(next)) spend();
    news.push(`${next.head} grows`);
  }

  // Quiet ones give way too, so that nobody chooses by flooding which remain.
  const [tired] = inRole('live')
    .filter(({ head }) => stateOf(head).leaveMs <= nowMs)
    .sort((a, b) => stateOf(a.head).sinceMs - stateOf(b.head).sinceMs);
  const [restedOne] = rested();
  if (tired !== undefined && restedOne !== undefined && waitMs() === 0 && besieged().length === 0) {
    put(tired.head, 'spare');
    put(restedOne.head, 'live');
    spend();
    news.push(`${tired.head} rests, ${restedOne.head} takes its place`);
  }

  // Whatever is said above: never below the floor while there is anything, the least besieged first.
  const out = (): SeenHead[] =>
    [...inRole('spare'), ...inRole('cut')].sort((a, b) => a.siege - b.siege || (a.head < b.head ? -1 : 1));
  for (let next = out()[0]; next !== undefined && points() < settings.floorPoints; next = out()[0]) {
    put(next.head, 'live');
    news.push(`${next.head} stays for the floor`);
  }

  const shed = besieged().map(({ head }) => head);
  const cut = inRole('cut');
  const lacking = cut.length > 0 && rested().length === 0 && inRole('live').length < target;
  const short = shed.length > 0 && rested().length === 0;
  const alarm =
    shed.length === 0
      ? undefined
      : `${shed.join(', ')} under siege and not replaced: ` +
        (waitMs() > 0
          ? `${replacements.length} replacements in the last hour, the next one in ${Math.ceil(waitMs() / 1_000)} s`
          : 'no other head could take the place');
  const due = [
    ...(shed.length > 0 || inRole('live').length < target ? [waitMs()] : []),
    ...cut.map(({ head }) => (stateOf(head).siegeMs ?? nowMs) + settings.returnMs - nowMs),
    ...(rested().length > 0 ? inRole('live').map(({ head }) => stateOf(head).leaveMs - nowMs) : []),
  ].filter((ms) => Number.isFinite(ms));
  const busy = new Map<string, number>();
  for (const { node, siege } of views.values()) busy.set(node, (busy.get(node) ?? 0) + siege);
  const calmest = [...busy].sort((a, b) => a[1] - b[1] || (a[0] < b[0] ? -1 : 1)).map(([node]) => node);
  const grow = lacking || short ? calmest.filter((node) => !resting.has(node)) : [];
  const live = inRole('live').map(({ head }) => head);
  return {
    state: { heads, gone, replacements },
    live,
    shed,
    grow: grow.slice(0, Math.max(cut.length, shed.length)),
    alarm,
    why: [`${live.length} of ${views.size} heads are live`, ...news].join('; '),
    nextMs: due.length === 0 ? undefined : Math.max(1_000, Math.min(...due)),
  };
}
