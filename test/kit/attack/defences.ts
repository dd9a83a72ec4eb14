/** What is put to the test: the shipped strategies, the preset hydra, and a few that are worse on purpose. */
import * as v from 'valibot';
import type { RotationStrategy } from '../../../core/pipeline/index.ts';
import type { GhostSettings } from '../../../plugins/ghost/index.ts';
import { defaultHydraSettings, type HydraSettings } from '../../../plugins/hydra/index.ts';
import { strategies } from '../../../strategies/index.ts';
import type { Scenario } from './scenario.ts';

export interface Defence {
  readonly name: string;
  /** One sentence for listings. */
  readonly summary: string;
  readonly strategy?: RotationStrategy;
  /** Decides instead of a strategy, as the plugin does in its stage. */
  readonly hydra?: HydraSettings;
  /** Detectors are on; without them every head seems calm. */
  readonly detects: boolean;
  /** What becomes of heads outside the descriptor; without it they serve for ever. */
  readonly ghost?: GhostSettings;
  readonly merge: 'fair-share' | 'stacked' | 'distinct';
  /** Heads are thrown away, sessions and all, and come back at once on fresh relays. */
  readonly renews?: 'besieged' | 'left';
  /** What it needs of the scenario, unless that is said otherwise. */
  readonly scenario?: Partial<Scenario>;
}

/** Defaults of the plugin `ghost`. */
const shippedGhost: GhostSettings = { graceMs: 900_000, siegeGraceMs: 180_000 };

function shipped(name: string, options: object = {}): RotationStrategy {
  const definition = strategies.get(name);
  if (definition === undefined) throw new Error(`there is no strategy ${name}`);
  return definition.create(v.parse(definition.options, options));
}

const plain = (name: string, merge: Defence['merge'] = 'fair-share'): Defence => ({
  name,
  summary: strategies.get(name)?.summary ?? '',
  strategy: shipped(name),
  detects: false,
  merge,
});

/** Waits for no turn of a fast game: all points leave in a minute, and refuse. */
const noGrace: GhostSettings = { graceMs: 0, siegeGraceMs: 0 };

const all: readonly Defence[] = [
  plain('stable'),
  { ...plain('reactive'), detects: true, ghost: shippedGhost },
  { ...plain('roulette'), ghost: shippedGhost },
  { ...plain('staggered', 'stacked'), scenario: { pointsPerHead: 4 } },
  plain('stacked', 'stacked'),
  { ...plain('distinct', 'distinct') },
  {
    name: 'hydra',
    summary: 'The preset hydra: siege detectors, replacements within a budget, ghosts.',
    hydra: defaultHydraSettings,
    detects: true,
    ghost: shippedGhost,
    merge: 'fair-share',
  },
  {
    name: 'naive-hydra',
    summary: 'Worse on purpose: every besieged head is replaced at once by one on fresh relays, without a budget.',
    strategy: shipped('stable'),
    detects: true,
    renews: 'besieged',
    merge: 'fair-share',
  },
  {
    name: 'roulette-fast',
    summary: 'Worse on purpose: a turn every minute, and who left refuses at once.',
    strategy: shipped('roulette', { every_secs: 60, jitter_secs: 0 }),
    detects: false,
    ghost: noGrace,
    merge: 'fair-share',
  },
  {
    name: 'roulette-fresh',
    summary: 'Worse on purpose: a turn every ten minutes, each on fresh relays.',
    strategy: shipped('roulette'),
    detects: false,
    renews: 'left',
    merge: 'fair-share',
  },
];

export const defences: ReadonlyMap<string, Defence> = new Map(all.map((one) => [one.name, one]));

/** A strategy of one's own, with detectors and ghosts as in the preset hydra: it may use them or not. */
export const defenceOf = (strategy: RotationStrategy): Defence => ({
  name: strategy.name,
  summary: 'A strategy of one’s own.',
  strategy,
  detects: true,
  ghost: shippedGhost,
  merge: 'stacked',
});
