/** A node from a configuration: what `run` and the lab have in common. */
import { identityPaths, readNodeKey, type IdentityOptions } from '../../plugins/identity/index.ts';
import type { LoadedConfig, ResolvedConfig } from '../config/index.ts';
import { createEngine, type Engine } from '../engine/index.ts';
import type { CycleResult } from '../pipeline/index.ts';
import { openToEverybody, type Log, type Runtime, type Store } from '../runtime/index.ts';

/**
 * The id of the node that a configuration describes: that of its key where there is one, and `node.id` is a label for people;
 * `node.id` otherwise. Rejects as readNodeKey does.
 */
export async function nodeIdFor({ core, options, plugins }: ResolvedConfig, store: Store): Promise<string> {
  if (!plugins.some(({ name }) => name === 'identity')) return core.node.id;
  const paths = identityPaths(options.get('identity') as IdentityOptions, core.node.state_directory);
  return (await readNodeKey(store, paths.nodeKey)).node;
}

/**
 * Creates the engine of a resolved configuration; it is not started. `node` is what nodeIdFor gives; `node.id` without it.
 * Throws what plugins throw in `apply`.
 */
export function createNode(resolved: ResolvedConfig, runtime: Runtime, node?: string): Engine {
  const { core, options, plugins } = resolved;
  return createEngine({
    runtime,
    node: node ?? core.node.id,
    plugins,
    options,
    maximumIntroPoints: core.publish.max_intro_points,
    deadlinesMs: core.publish.deadlines_ms,
    ...(core.node.state_directory === undefined ? {} : { stateDirectory: core.node.state_directory }),
  });
}

/** A password in a configuration that everybody on this machine may read is told. */
export async function warnOfOpenConfig(
  { store, log }: Pick<Runtime, 'store' | 'log'>,
  { file }: LoadedConfig,
  { options }: ResolvedConfig,
): Promise<void> {
  const { password } = (options.get('tor') ?? {}) as { readonly password?: string };
  if (password === undefined || file === undefined || !(await openToEverybody(store, file))) return;
  const remedy = `chmod 600 ${file}, or let tor use a cookie: CookieAuthentication 1 in its torrc, and no tor.password`;
  log.warn('everybody on this machine may read the password of tor’s control port', { path: file, remedy });
}

/** One log line for a cycle's end, at the level that its outcome deserves. */
export function logResult(log: Log, result: CycleResult): void {
  const { number, outcome, why, reasons, durationMs, stepsMs, epoch, introPoints, heads, live, error } = result;
  const fields = { cycle: number, outcome, reasons, durationMs };
  if (outcome === 'published') log.info(`published: ${why}`, { ...fields, epoch, introPoints, heads, live, stepsMs });
  else if (outcome === 'failed') log.warn(`not published: ${why}`, { ...fields, error });
  else if (outcome === 'unconfirmed') log.warn(`not confirmed: ${why}`, { ...fields, epoch });
  else log.debug(`${outcome}: ${why}`, fields);
}
