/**
 * An attacker: looks, remembers, and says what it floods. Pure, but for what it asks of the view: the same answers, state and
 * randomness give the same attack. It knows what a client can know, and what the relays show that it owns; never which
 * introduction points belong to one head. Enter at `Attacker.act`.
 */
import type { GenericSchema } from 'valibot';
import type { Random } from '../../../core/runtime/index.ts';
import type { RequestHistory } from '../network/rules/client.ts';
import type { BudgetName } from './scenario.ts';

/** A descriptor as its reader sees it. */
export interface Sight {
  readonly points: readonly string[];
  readonly revision: number;
  /** Unix seconds: cached until then. */
  readonly expiresAt: number;
}

export interface AttackView {
  readonly nowMs: number;
  /** Since the attack's beginning; negative before. */
  readonly sinceMs: number;
  /** What it can send, INTRODUCE1 a second. */
  readonly perSecond: number;
  readonly nowSeconds: number;
  /** consensus valid-after. */
  readonly validAfter: number;
  /**
   * Asks one of the HSDirs that clients ask. With a history, by the rules of a client that remembers whom it has asked;
   * undefined when the HSDir has nothing, or none is left.
   */
  fetch(history?: RequestHistory<number>): Sight | undefined;
  /** Forgets the requests of a history, as after a success. */
  forget(history: RequestHistory<number>): void;
  /** What the responsible HSDirs hold now that are the attacker's. */
  watch(): readonly Sight[];
  /** What the point's relay answers: false is a NACK, the point is no more. */
  answers(point: string): boolean;
  /** Whether the point lies on a relay of the attacker's. */
  owns(point: string): boolean;
}

export interface Attack {
  /** INTRODUCE1 a second, by introduction point. */
  readonly flood: ReadonlyMap<string, number>;
  /** Until it wants to act again. */
  readonly nextMs: number;
  /** What it holds for the live points, when that is not what it floods. */
  readonly believes?: readonly string[];
  /** Nodes that it cuts off from the publisher. `oneWay`: they hear it, and it does not hear them. */
  readonly cut?: { readonly share: number; readonly oneWay: boolean };
}

export interface Attacker<State = unknown> {
  readonly name: string;
  /** What it has; `small` when absent. */
  readonly budget?: BudgetName;
  /** Shares of relays that may be introduction points, and of HSDirs, that are its own. */
  readonly relayShare?: number;
  readonly hsdirShare?: number;
  initial(): State;
  act(view: AttackView, state: State, random: Random): { readonly attack: Attack; readonly state: State };
}

export interface AttackerDefinition<Options = never, State = unknown> {
  readonly name: string;
  /** One sentence for listings. */
  readonly summary: string;
  /** What should win against it. */
  readonly prediction: string;
  /** A default for every option. */
  readonly options: GenericSchema<unknown, Options>;
  create(options: Options): Attacker<State>;
}

/** `perSecond`, evenly over the points. */
export function evenly(points: Iterable<string>, perSecond: number): Map<string, number> {
  const all = [...new Set(points)];
  return new Map(all.map((point) => [point, perSecond / all.length]));
}

export const nothing: ReadonlyMap<string, number> = new Map();
