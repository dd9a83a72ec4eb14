/**
 * Watches one tor by its control connection and restarts it, where the configuration says how.
 *
 *   ready ─ lost, or does not answer ─► down ─ for long ─► restart ─ not back ─► wait, twice as long each time ─► restart …
 */
import type { TorClient } from '../../core/engine/index.ts';
import { isChimeraError, messageOf, type ErrorCode } from '../../core/errors.ts';
import type { Clock, Processes } from '../../core/runtime/index.ts';
import type { Budget } from './budget.ts';
import type { Cause } from './cause.ts';
import { runCommand, type CommandLine } from './command.ts';
import type { Journal } from './journal.ts';

/** A restart does not let this node in. */
const refusals: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'TOR_AUTHENTICATION',
  'TOR_COOKIE',
  'TOR_NOT_CONTROL_PORT',
  'TOR_PERMISSION',
]);
/** A tor that has stayed up for as long was repaired. */
const healedAfterMs = 300_000;

export interface TorWatch {
  /** Looks, and repairs what is due. Never rejects. */
  look(signal: AbortSignal): Promise<void>;
}

export interface TorWatchOptions {
  readonly client: TorClient;
  /** Restarts it: a command and its arguments, without a shell. Nothing is done without it. */
  readonly command: CommandLine | undefined;
  readonly goneAfterMs: number;
  readonly hangsAfterMs: number;
  readonly restartLimitMs: number;
  readonly clock: Clock;
  readonly processes: Processes;
  readonly budget: Budget;
  /** The budget's bound, for people. */
  readonly perHour: number;
  readonly journal: Journal;
}

/** What is wrong with a tor, told from the state and the code of its last error; undefined while there is hope. */
function diagnoseTor(
  client: Pick<TorClient, 'name' | 'state' | 'lastError'>,
  downMs: number,
  limits: { readonly goneAfterMs: number; readonly hangsAfterMs: number },
): Cause | undefined {
  if (client.state !== 'connecting') return undefined;
  const { name: tor, lastError } = client;
  if (isChimeraError(lastError) && refusals.has(lastError.code)) {
    return downMs >= limits.goneAfterMs ? { kind: 'tor-refuses', tor, code: lastError.code } : undefined;
  }
  if (isChimeraError(lastError, 'TOR_TIMEOUT')) {
    return downMs >= limits.hangsAfterMs ? { kind: 'tor-hangs', tor, forMs: downMs } : undefined;
  }
  return downMs >= limits.goneAfterMs ? { kind: 'tor-gone', tor, forMs: downMs } : undefined;
}

export function watchTor(options: TorWatchOptions): TorWatch {
  const { client, command, clock, budget, journal, restartLimitMs } = options;
  let downSinceMs: number | undefined;
  let upSinceMs: number | undefined;
  /** Why nothing is done, as it was told; empty while the tor is well. */
  let told = '';

  const restart = async (cause: Cause, how: CommandLine, signal: AbortSignal): Promise<void> => {
    const action = { kind: 'restart-tor', tor: client.name } as const;
    try {
      await runCommand(options, how, restartLimitMs, signal);
      journal.add(cause, action, 'done');
    } catch (error) {
      const code = isChimeraError(error) ? `${error.code}: ` : '';
      if (!signal.aborted) journal.add(cause, action, `${code}${messageOf(error)}`);
    }
    // It has its time to come up again.
    downSinceMs = clock.monotonic();
  };

  return {
    look: async (signal) => {
      const now = clock.monotonic();
      if (client.state !== 'connecting') {
        downSinceMs = undefined;
        upSinceMs ??= now;
        told = '';
        if (now - upSinceMs >= healedAfterMs) budget.reset();
        // Nobody else may ask it anything, and one that hangs is found out only by a question.
        if (client.state === 'ready') await client.getInfo('version').catch(() => undefined);
        return;
      }
      upSinceMs = undefined;
      downSinceMs ??= now;
      const cause = diagnoseTor(client, now - downSinceMs, options);
      if (cause === undefined) return;
      const mayRestart = command !== undefined && cause.kind !== 'tor-refuses';
      if (mayRestart && budget.take(now)) {
        told = '';
        await restart(cause, command, signal);
        return;
      }
      // Between two restarts there is nothing to say; that there are no more is said.
      if (mayRestart && !budget.spent(now)) return;
      if (told === cause.kind) return;
      told = cause.kind;
      const often = `restarted ${options.perHour} times within an hour, no more for now`;
      const never = command === undefined ? 'nothing is configured to restart it' : 'a restart would not help';
      journal.add(cause, { kind: 'none' }, mayRestart ? often : never);
    },
  };
}
