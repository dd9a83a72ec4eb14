/**
 * When does a head that left the descriptor stop serving? Pure: state and what is known in, the next state out.
 *
 *   idle ─ in the descriptor ─► live ─ not in it ─► draining ─ grace over ─► refusing ─ in it again ─► live
 *                                ▲─────────── in it again ──────────┘
 *
 * `idle` (never in a descriptor) and `live` serve everything; `draining` too, for clients whose descriptor is from before;
 * `refusing` keeps what was joined before and closes what is joined after.
 */

export type GhostState =
  | { readonly role: 'idle' | 'live' }
  | { readonly role: 'draining'; readonly sinceMs: number; readonly besieged: boolean }
  | { readonly role: 'refusing'; readonly sinceMs: number };

export interface GhostSettings {
  /** From leaving the descriptor to refusing. */
  readonly graceMs: number;
  /** The same for a head that left it under siege. */
  readonly siegeGraceMs: number;
}

export interface GhostInput {
  readonly nowMs: number;
  /** Whether the head is in the descriptor; undefined while nobody has told. */
  readonly listed: boolean | undefined;
  readonly besieged: boolean;
}

export function step(state: GhostState, { nowMs, listed, besieged }: GhostInput, settings: GhostSettings): GhostState {
  if (listed === undefined) return state;
  if (listed) return state.role === 'live' ? state : { role: 'live' };
  if (state.role === 'live') return { role: 'draining', sinceMs: nowMs, besieged };
  if (state.role !== 'draining') return state;
  const siege = state.besieged || besieged;
  const graceMs = siege ? Math.min(settings.siegeGraceMs, settings.graceMs) : settings.graceMs;
  if (nowMs - state.sinceMs >= graceMs) return { role: 'refusing', sinceMs: nowMs };
  return siege === state.besieged ? state : { ...state, besieged: siege };
}

/** New rendezvous per second at heads in no descriptor: what is there without any attack. */
export interface Background {
  readonly seconds: number;
  readonly introductions: number;
}

/** Time constant of what is remembered. */
const memorySeconds = 86_400;

/** Learns from a time in which the head was a ghost or idle, and not under siege. */
export function learnBackground({ seconds, introductions }: Background, took: number, counted: number): Background {
  const keep = Math.exp(-took / memorySeconds);
  return { seconds: seconds * keep + took, introductions: introductions * keep + counted };
}

/**
 * How many of `counted` introductions in `took` seconds are more than the background explains: what is above the mean and
 * three deviations of a Poisson process, with one introduction an hour as the least background there is.
 */
export function suspects(background: Background, took: number, counted: number): number {
  const hour = 3_600;
  const rate = (background.introductions + 1) / (background.seconds + hour);
  const mean = rate * took;
  return Math.max(0, counted - Math.ceil(mean + 3 * Math.sqrt(mean)));
}
