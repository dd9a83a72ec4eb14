/**
 * One run: a world, a storm drawn from the seed, checkers that watch. The seed alone replays it, to the byte. Enter at
 * `simulate`; `npm run sim` runs many.
 */
import type { AnyPlugin } from '../../../../core/engine/index.ts';
import { createSeededRandom, type SeededRandom } from '../seeded-random.ts';
import type { Datagram } from './bus.ts';
import { calmMs, makeCheckers, sampleMs, type Broken, type Checker } from './checkers/index.ts';
import { watchDirectories, type SeenUpload } from './directories.ts';
import { denser, drawFaults, faultClasses, type FaultClass, type FaultOptions } from './faults.ts';
import { measure, type Figures } from './figures.ts';
import { Storm } from './storm.ts';
import type { TraceLine } from './trace.ts';
import { isHanding, World } from './world.ts';

export const fewestNodes = 2;
export const mostNodes = 10;

const elections = ['election/uptime', 'election/priority', 'election/highest-id', 'election/time-hash'] as const;
type Election = (typeof elections)[number];
/** The share of seeds of the first one; the others have the rest. */
const usualShare = 0.7;

/** Seconds of a term with `election/time-hash`. */
const slots = { shortest: 15, longest: 120 } as const;

const drawTerm = (random: SeededRandom): { readonly slot_secs: number } => ({
  slot_secs: slots.shortest + random.int(slots.longest - slots.shortest),
});

function drawElection(random: SeededRandom): Election {
  const [usual, ...others] = elections;
  return random.float() < usualShare ? usual : (others[random.int(others.length)] ?? usual);
}

export interface SimulationOptions {
  readonly seed: string;
  /** `fewestNodes` to `mostNodes`. */
  readonly nodes: number;
  /** Of virtual time, from the cluster's start on. */
  readonly hours: number;
  /** Classes of faults that may be on; each is with probability one half. All by default; none for a run without faults. */
  readonly among?: readonly FaultClass[];
  /** Faults come so many times as often, 1 by default: more is found in an hour, and fewer takeovers are quiet enough to be measured. */
  readonly density?: number;
  /** These instead of any drawn. */
  readonly faults?: FaultOptions;
  /** What a test puts in the place of shipped plugins. */
  readonly mutate?: (plugins: readonly AnyPlugin[], node: string) => readonly AnyPlugin[];
  /** The plugin that elects; drawn by the seed without it, mostly that of preset cluster. */
  readonly election?: Election;
  /** Over every node's configuration. */
  readonly settings?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** Ends the run at the first broken invariant. */
  readonly stopAtFirst?: boolean;
}

export interface SimulationReport {
  readonly seed: string;
  readonly nodes: number;
  readonly hours: number;
  readonly on: readonly FaultClass[];
  readonly election: string;
  readonly faults: FaultOptions;
  readonly broken: readonly Broken[];
  readonly figures: Figures;
  /** SHA-256 of all that happened. */
  readonly digest: string;
  /** What happened last. */
  readonly trace: readonly TraceLine[];
}

/** How long a storm lasts, milliseconds. */
const stormMs = 900_000;
const settleMs = 60_000;

export async function simulate(options: SimulationOptions): Promise<SimulationReport> {
  const { seed, nodes, hours, stopAtFirst = false } = options;
  const chance = createSeededRandom(`${seed}/storm`);
  const drawn = drawFaults(chance.fork('classes'), options.among ?? faultClasses);
  const faults = denser(options.faults ?? drawn.faults, options.density ?? 1);
  const { mutate } = options;
  const election = options.election ?? drawElection(chance.fork('election'));
  const term = election === 'election/time-hash' ? drawTerm(chance.fork('slot')) : {};
  const settings = { ...options.settings, election: { ...term, ...options.settings?.['election'] } };
  const world = new World({ seed, nodes, faults, mutate, settings, election });
  await world.build();
  const storm = new Storm(world, faults, chance.fork('events'));
  world.observations.onSending = (node) => storm.sending(node);
  const broken: Broken[] = [];
  const context = {
    world,
    storm,
    broken: (invariant: string, what: string): void => {
      if (broken.length < 50) broken.push({ invariant, atMs: Math.round(world.nowMs), what });
      world.trace.line(`BROKEN ${invariant}: ${what}`);
    },
  };
  let checkers: readonly Checker[] = [];
  const figures = measure(world, storm);
  const onUpload = (upload: SeenUpload): void => {
    figures.upload(upload);
    for (const checker of checkers) checker.upload?.(upload);
  };
  const directories = watchDirectories(world, onUpload);
  checkers = makeCheckers(context, directories);
  const sent = checkers.filter((checker) => checker.sent !== undefined);
  const onWire = (datagram: Datagram): void => {
    world.trace.bytes(`${datagram.from} ${datagram.to}`, datagram.bytes);
    for (const checker of sent) checker.sent?.(datagram);
  };
  world.bus.onSent = onWire;
  world.onBytes = onWire;
  world.onLog = (node, message, fields) => {
    for (const checker of checkers) checker.log?.(node, message, fields);
  };
  world.onDaemon = (node, daemon) => {
    for (const checker of checkers) checker.daemon?.(node, daemon);
  };
  world.onResult = (node, result) => {
    for (const checker of checkers) checker.result?.(node, result);
  };

  const { clock } = world;
  const fromMs = clock.monotonic();
  const untilMs = fromMs + hours * 3_600_000;
  const over = (): boolean => stopAtFirst && broken.length > 0;
  let sampling = true;
  const sample = (): void => {
    if (!sampling) return;
    for (const checker of checkers) checker.sample?.();
    figures.sample();
    clock.after(sampleMs, sample);
  };
  const advance = async (ms: number): Promise<void> => {
    for (const toMs = clock.monotonic() + ms; clock.monotonic() < toMs && !over();) {
      await clock.advance(Math.min(1_000, toMs - clock.monotonic()));
    }
  };
  for (const [index, node] of world.nodes.entries()) {
    await world.start(node);
    await clock.advance(index === 0 ? 3_000 : 50);
  }
  world.operator.watch();
  sample();
  await advance(settleMs);
  while (clock.monotonic() < untilMs && !over()) {
    storm.begin();
    await advance(Math.max(0, Math.min(stormMs, untilMs - calmMs - clock.monotonic())));
    storm.end();
    await advance(calmMs);
    // Where publishers take turns one may be about to begin just now.
    while (isHanding(world.nodes, world.nowMs) && !over()) await advance(1_000);
    if (!over()) for (const checker of checkers) await checker.calm?.();
  }
  sampling = false;
  for (const checker of checkers) await checker.end?.();
  const durationMs = clock.monotonic() - fromMs;
  const result = figures.report(durationMs);
  const trace = world.trace.last;
  await world.end();
  return {
    seed,
    nodes,
    hours: durationMs / 3_600_000,
    on: options.faults === undefined ? drawn.on : [],
    election,
    faults,
    broken,
    figures: result,
    digest: world.trace.digest(),
    trace,
  };
}
