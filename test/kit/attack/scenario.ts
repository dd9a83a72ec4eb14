/** What is simulated: sizes, rates and costs, with the defaults of docs/attack-simulator.md. Rates are per second. */
import { publicLatency, type LatencyProfile } from '../network/embedded/latency.ts';
import { requestHistorySeconds } from '../network/rules/client.ts';

export interface Scenario {
  readonly hours: number;
  /** Unix seconds; 06:00 UTC: the time period changes six hours later, the shared random value twelve hours after that. */
  readonly startsAt: number;
  /** The attack begins so long after the start. */
  readonly attackAtMs: number;
  readonly clients: number;
  /** New sessions of all clients together. */
  readonly sessionsPerSecond: number;
  readonly sessionMeanMs: number;
  /** One on each node. */
  readonly heads: number;
  readonly pointsPerHead: number;
  /** Introduction points of a descriptor. */
  readonly places: number;
  /** Relays that may be introduction points, alike in weight. */
  readonly relays: number;
  readonly hsdirs: number;
  /** Milliseconds of one core for an INTRODUCE2, and for the rendezvous that follows (proposal 327: 180 a second together). */
  readonly introduceCostMs: number;
  readonly rendezvousCostMs: number;
  /** HiddenServiceEnableIntroDoSDefense (proposal 305); 0 turns it off. */
  readonly introLimitPerSecond: number;
  readonly introLimitBurst: number;
  /** From a decision to the last HSDir that has it. */
  readonly uploadMs: number;
  /** From a change at a head to the publisher's knowledge of it. */
  readonly reportMs: number;
  /** New rendezvous that a head keeps while it sheds. */
  readonly shedPerSecond: number;
  /** How often rates, detectors and ghosts are looked at. */
  readonly tickMs: number;
  /** False: one time period without end, as if there were no midnight. For known answers alone. */
  readonly rollovers: boolean;
  /** No HSDir is asked twice within this. */
  readonly historySeconds: number;
  readonly latency: LatencyProfile;
}

export const defaultScenario: Scenario = {
  hours: 6,
  startsAt: Date.UTC(2026, 0, 5, 6) / 1_000,
  attackAtMs: 30 * 60_000,
  clients: 2_000,
  sessionsPerSecond: 5,
  sessionMeanMs: 10 * 60_000,
  heads: 10,
  pointsPerHead: 2,
  places: 10,
  relays: 7_000,
  hsdirs: 400,
  introduceCostMs: 0.3,
  rendezvousCostMs: 5.5,
  introLimitPerSecond: 25,
  introLimitBurst: 200,
  uploadMs: 60_000,
  reportMs: 1_000,
  shedPerSecond: 25,
  tickMs: 3_000,
  rollovers: true,
  historySeconds: requestHistorySeconds.public,
  latency: publicLatency,
};

/** Attackers' means, as INTRODUCE1 a second, and what they cost once (proposal 327; docs/attack-simulator.md). */
export const budgets = {
  kiddie: { perSecond: 30, dollars: 0 },
  small: { perSecond: 1_500, dollars: 400 },
  large: { perSecond: 20_000, dollars: 36_000 },
} as const;
export type BudgetName = keyof typeof budgets;
