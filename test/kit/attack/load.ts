/** Defences and attackers by name, or from a file of one's own: imported, checked, and tried before they run. */
import { isAbsolute, resolve } from 'node:path';
import * as v from 'valibot';
import { checkConfig, nearest } from '../../../core/config/index.ts';
import { ChimeraError, messageOf } from '../../../core/errors.ts';
import { importDefault, loadStrategy } from '../../../plugins/strategy/index.ts';
import { strategies } from '../../../strategies/index.ts';
import { createSeededRandom } from '../sim/seeded-random.ts';
import type { Attacker, AttackView } from './attacker.ts';
import { attackers } from './attackers/index.ts';
import { defenceOf, defences, type Defence } from './defences.ts';

export type Options = Readonly<Record<string, unknown>>;

const isPath = (name: string): boolean => isAbsolute(name) || name.startsWith('.') || /\.(?:m?js|ts)$/.test(name);

function unknown(what: string, name: string, known: readonly string[]): ChimeraError {
  const meant = nearest(name, known);
  return new ChimeraError(
    'CLI_USAGE',
    `there is no ${what} ${name}${meant === undefined ? '' : ` (did you mean ${meant}?)`}`,
    {
      remedy: `name one of ${known.join(', ')}, or the path of a module such as ./mine.mjs`,
    },
  );
}

function checkOptions<Output>(
  schema: v.GenericSchema<unknown, Output>,
  options: Options,
  what: 'attacker' | 'strategy',
  name: string,
): Output {
  const known = Object.keys((schema as { readonly entries?: object }).entries ?? {});
  const remedy = known.length === 0 ? `${name} takes no options` : `options of ${name}: ${known.join(', ')}`;
  return checkConfig(schema, options, `--${what}-option`, remedy);
}

/** Rejects with CLI_USAGE, CONFIG_INVALID or STRATEGY_FILE. */
export async function findDefence(name: string, options: Options = {}, directory = '.'): Promise<Defence> {
  if (isPath(name)) return defenceOf(await loadStrategy(resolve(directory, name), options));
  const defence = defences.get(name);
  if (defence === undefined) throw unknown('strategy', name, [...defences.keys()]);
  if (Object.keys(options).length === 0) return defence;
  const definition = strategies.get(name);
  if (definition === undefined) {
    throw new ChimeraError('CLI_USAGE', `${name} takes no options here`, { remedy: 'leave out --strategy-option' });
  }
  return { ...defence, strategy: definition.create(checkOptions(definition.options, options, 'strategy', name)) };
}

function bad(file: string, what: string, cause?: unknown): ChimeraError {
  return new ChimeraError('ATTACKER_FILE', `--attacker: ${file} ${what}`, {
    remedy:
      'export default { name, initial(), act(view, state, random) }, or a function of its options that returns it; docs/attack-simulator.md writes one',
    ...(cause === undefined ? {} : { cause }),
  });
}

const attack = v.looseObject({
  flood: v.pipe(
    v.map(v.string(), v.pipe(v.number(), v.finite(), v.minValue(0))),
    v.check((flood) => flood.size <= 100_000, 'more than 100,000 points'),
  ),
  nextMs: v.pipe(v.number(), v.minValue(1)),
});
const attacker = v.looseObject({
  name: v.pipe(v.string(), v.regex(/^[a-z][a-z0-9-]{0,31}$/)),
  budget: v.optional(v.picklist(['kiddie', 'small', 'large'])),
  relayShare: v.optional(v.pipe(v.number(), v.minValue(0), v.maxValue(1))),
  hsdirShare: v.optional(v.pipe(v.number(), v.minValue(0), v.maxValue(1))),
  initial: v.function(),
  act: v.function(),
});

const trialView = (sinceMs: number): AttackView => {
  const sight = { points: ['0d15ea5e0d15ea5e', '5eed1e555eed1e55'], revision: 1, expiresAt: 1e10 };
  return {
    nowMs: 1_800_000 + sinceMs,
    sinceMs,
    perSecond: 1_500,
    nowSeconds: 1_767_600_000,
    validAfter: 1_767_596_400,
    fetch: () => sight,
    forget: () => undefined,
    watch: () => [sight],
    answers: () => true,
    owns: () => false,
  };
};

/** Says what is wrong with an answer; undefined when nothing is. */
function faultOf(answer: unknown): string | undefined {
  const { attack: given } = (answer ?? {}) as { attack?: unknown };
  const read = v.safeParse(attack, given);
  if (read.success) return undefined;
  const [issue] = read.issues;
  return `answers with an attack that is none: ${v.getDotPath(issue) ?? 'attack'}: ${issue.message}`;
}

/** Checks every answer of an attacker of one's own: a run must not go wrong in silence. */
function guarded(file: string, inner: Attacker): Attacker {
  return {
    ...inner,
    initial: () => inner.initial(),
    act: (view, state, random) => {
      let answer: ReturnType<Attacker['act']>;
      try {
        answer = inner.act(view, state, random);
      } catch (error) {
        throw bad(file, `fails when it acts: ${messageOf(error)}`, error);
      }
      const fault = faultOf(answer);
      if (fault !== undefined) throw bad(file, fault);
      return answer;
    },
  };
}

async function loadAttacker(file: string, options: Options): Promise<Attacker> {
  const exported = await importDefault(file, options, bad);
  if (!v.is(attacker, exported)) throw bad(file, 'has no attacker as its default export');
  const checked = guarded(file, exported as unknown as Attacker);
  const random = createSeededRandom('trial');
  try {
    const { state } = checked.act(trialView(-1_800_000), checked.initial(), random);
    checked.act(trialView(60_000), state, random);
  } catch (error) {
    if (error instanceof ChimeraError) throw error;
    throw bad(file, `fails when it begins: ${messageOf(error)}`, error);
  }
  return checked;
}

/** Rejects with CLI_USAGE, CONFIG_INVALID or ATTACKER_FILE. */
export async function findAttacker(name: string, options: Options = {}, directory = '.'): Promise<Attacker> {
  if (isPath(name)) return loadAttacker(resolve(directory, name), options);
  const definition = attackers.get(name);
  if (definition === undefined) throw unknown('attacker', name, [...attackers.keys()]);
  return definition.create(checkOptions(definition.options, options, 'attacker', name));
}
