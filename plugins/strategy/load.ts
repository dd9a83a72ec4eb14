/** A strategy from a file of the operator's: imported, checked, and tried on a small cluster before it may decide anything. */
import { pathToFileURL } from 'node:url';
import { importComplaint } from '../../core/config/load.ts';
import { ChimeraError, messageOf } from '../../core/errors.ts';
import { modelView, type RotationStrategy } from '../../core/pipeline/index.ts';
import { derivedRandom } from '../../core/runtime/index.ts';

function bad(file: string, what: string, cause?: unknown): ChimeraError {
  return new ChimeraError('STRATEGY_FILE', `strategy.file: ${file} ${what}`, {
    remedy:
      'export default { name, initial(), decide(view, state, random) }, or a function of the table [strategy] that returns it; docs/guides/strategies.md writes one',
    ...(cause === undefined ? {} : { cause }),
  });
}

const isStrategy = (value: unknown): value is RotationStrategy => {
  const { name, initial, decide } = (value ?? {}) as Partial<RotationStrategy>;
  return typeof name === 'string' && /^[a-z][a-z0-9-]{0,31}$/.test(name) && [initial, decide].every(isFunction);
};
const isFunction = (value: unknown): boolean => typeof value === 'function';

/** Asks once, and throws for an answer that the pipeline would have to overrule. */
function tryOnce(file: string, strategy: RotationStrategy): void {
  const view = modelView({ heads: 4, pointsPerHead: 3, nowMs: 0, seed: 'trial' });
  const known = new Set(view.heads.flatMap(({ candidates }) => candidates.map(({ id }) => id)));
  let answer: unknown;
  try {
    answer = strategy.decide(view, strategy.initial(), derivedRandom('trial', 'random'));
  } catch (error) {
    throw bad(file, `fails when it is asked: ${messageOf(error)}`, error);
  }
  const { rotation, nextMs } = (answer ?? {}) as Partial<ReturnType<RotationStrategy['decide']>>;
  const live: unknown = rotation?.live;
  if (!Array.isArray(live) || live.length === 0) throw bad(file, 'leaves nothing live of a healthy cluster');
  if (!live.every((id) => known.has(id as string))) throw bad(file, 'has live what was not in its view');
  if (nextMs !== undefined && !(Number.isFinite(nextMs) && nextMs > 0)) {
    throw bad(file, `wants to be asked again in ${nextMs} ms`);
  }
}

/**
 * What `file` (absolute) exports as its default; a function is called with `options`, and gives it. Rejects with what `bad` makes
 * of why it cannot be loaded.
 */
export async function importDefault(
  file: string,
  options: Readonly<Record<string, unknown>>,
  bad: (file: string, what: string, cause: unknown) => ChimeraError,
): Promise<unknown> {
  try {
    const exported = ((await import(pathToFileURL(file).href)) as { default?: unknown }).default;
    return typeof exported === 'function' ? (exported as (options: unknown) => unknown)(options) : exported;
  } catch (error) {
    throw bad(file, `cannot be loaded: ${importComplaint(error)}`, error);
  }
}

/**
 * Imports the strategy that `file` (absolute) exports. A function is called with `options`, the rest of the table `[strategy]`.
 * Rejects with STRATEGY_FILE.
 */
export async function loadStrategy(
  file: string,
  options: Readonly<Record<string, unknown>> = {},
): Promise<RotationStrategy> {
  const exported = await importDefault(file, options, bad);
  if (!isStrategy(exported)) throw bad(file, 'has no strategy as its default export');
  tryOnce(file, exported);
  return exported;
}
