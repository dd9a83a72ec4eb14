/** A node from a configuration: what `run` and the lab have in common. */
import type { ResolvedConfig } from '../config/index.ts';
import { createEngine, type Engine } from '../engine/index.ts';
import type { CycleResult } from '../pipeline/index.ts';
import type { Log, Runtime } from '../runtime/index.ts';

/** Creates the engine of a resolved configuration; it is not started. Throws what plugins throw in `apply`. */
export function createNode(resolved: ResolvedConfig, runtime: Runtime): Engine {
  const { core, options, plugins } = resolved;
  return createEngine({
    runtime,
    node: core.node.id,
    plugins,
    options,
    maximumIntroPoints: core.publish.max_intro_points,
    deadlinesMs: core.publish.deadlines_ms,
    ...(core.node.state_directory === undefined ? {} : { stateDirectory: core.node.state_directory }),
  });
}

/** One log line for a cycle's end, at the level that its outcome deserves. */
export function logResult(log: Log, result: CycleResult): void {
  const { number, outcome, why, reasons, durationMs, stepsMs, epoch, introPoints, heads, error } = result;
  const fields = { cycle: number, outcome, reasons, durationMs };
  if (outcome === 'published') log.info(`published: ${why}`, { ...fields, epoch, introPoints, heads, stepsMs });
  else if (outcome === 'failed') log.warn(`not published: ${why}`, { ...fields, error });
  else if (outcome === 'unconfirmed') log.warn(`not confirmed: ${why}`, { ...fields, epoch });
  else log.debug(`${outcome}: ${why}`, fields);
}
