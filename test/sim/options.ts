/** The command line of `npm run sim`, read and checked: what would run nothing, or what the simulator does not do, is refused. */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { faultClasses, type FaultClass } from '../kit/sim/cluster/index.ts';
import { fewestNodes, mostNodes } from '../kit/sim/cluster/simulate.ts';

/** Beyond it nothing is whole long enough to be judged. */
const mostDense = 20;

export interface SimOptions {
  readonly seeds: number;
  readonly from: number;
  readonly hours: number;
  /** How many times as often faults come. */
  readonly density: number;
  /** One seed, by itself. */
  readonly seed: string | undefined;
  readonly among: readonly FaultClass[] | undefined;
  /** How many nodes each; undefined when no traffic is to be measured. */
  readonly traffic: readonly number[] | undefined;
  readonly workers: number;
  readonly trace: boolean;
  readonly mutations: boolean;
  readonly json: boolean;
  /** The seed says how many nodes there are, so that it alone replays its run. */
  readonly nodesOf: (seed: string) => number;
}

/** Says what is wrong with an option. */
export class UsageError extends Error {}

function refuse(what: string): never {
  throw new UsageError(what);
}

function whole(option: string, text: string, least: number, most = Number.MAX_SAFE_INTEGER): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  const upTo = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`;
  return refuse(`--${option} takes a whole number ${upTo}, not "${text}"`);
}

function rangeOf(text: string): readonly [number, number] {
  const [fewest = '', most = fewest, ...more] = text.split('-');
  const range = [whole('nodes', fewest, fewestNodes, mostNodes), whole('nodes', most, fewestNodes, mostNodes)] as const;
  if (more.length > 0 || range[0] > range[1]) refuse(`--nodes takes a number, or two as 3-10, not "${text}"`);
  return range;
}

function classesOf(text: string): readonly FaultClass[] {
  return text
    .split(',')
    .map(
      (name) =>
        faultClasses.find((known) => known === name) ??
        refuse(`no class of faults is called "${name}"; there are ${faultClasses.join(', ')}`),
    );
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        seeds: { type: 'string', default: '20' },
        from: { type: 'string', default: '1' },
        nodes: { type: 'string', default: '3-10' },
        hours: { type: 'string', default: '1' },
        faults: { type: 'string' },
        density: { type: 'string', default: '1' },
        seed: { type: 'string' },
        trace: { type: 'boolean', default: false },
        mutations: { type: 'boolean', default: false },
        traffic: { type: 'string' },
        workers: { type: 'string', default: String(availableParallelism()) },
        json: { type: 'boolean', default: false },
      },
    }).values;
  } catch (error) {
    return refuse((error as Error).message);
  }
}

/** Throws a UsageError. */
export function readOptions(args: readonly string[]): SimOptions {
  const { seeds, from, nodes, hours, faults, density, seed, traffic, workers, ...switches } = parsed(args);
  const [fewest, most] = rangeOf(nodes);
  const hoursLong = Number(hours);
  if (!(hoursLong > 0) || !Number.isFinite(hoursLong)) refuse(`--hours takes a number above 0, not "${hours}"`);
  if (seed !== undefined && fewest < most && !/^\d+$/.test(seed)) {
    refuse(`the seed "${seed}" is no number, and cannot say how many nodes of ${nodes} there are`);
  }
  return {
    ...switches,
    seeds: whole('seeds', seeds, 1),
    from: whole('from', from, 0),
    hours: hoursLong,
    density: whole('density', density, 1, mostDense),
    seed,
    among: faults === undefined ? undefined : classesOf(faults),
    traffic: traffic?.split(',').map((size) => whole('traffic', size, 2)),
    workers: whole('workers', workers, 1),
    nodesOf: (of) => (fewest === most ? fewest : fewest + (Number(of) % (most - fewest + 1))),
  };
}
