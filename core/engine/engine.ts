/**
 * The engine: boot → check → freeze → start → run → stop. It knows contracts, hooks and cycles, and no behaviour.
 *
 *   createEngine()   sorts and applies the plugins, wraps their taps with names
 *   start()          runs `configure` and `start`; on failure releases what was opened
 *   requestCycle()   one publish cycle per request, coalesced
 *   stop()           ends background work and the running cycle, then releases in reverse order
 */
import { createHash } from 'node:crypto';
import { HookMap, type FullTap } from 'tapable';
import { ChimeraError, messageOf } from '../errors.ts';
import { addressOfKey } from '../onion/index.ts';
import {
  createCycleMemory,
  createCycleQueue,
  createHooks,
  createSealer,
  createVerifier,
  defaultDeadlinesMs,
  runCycle,
  storedRevisions,
  tellFault,
  volatileRevisions,
  type CycleDependencies,
  type CycleResult,
  type CycleSettings,
  type Fault,
  type GatherContext,
  type Hooks,
  type Published,
  type SignalName,
  type Signals,
  type Signer,
} from '../pipeline/index.ts';
import { removeUnfinished, withDeadline, type Clock, type Runtime, type Store } from '../runtime/index.ts';
import type { Contract } from './contract.ts';
import { electionContract, restrictedDiscoveryContract, signerContract, type Election } from './contracts/publisher.ts';
import { torContract } from './contracts/tor.ts';
import { orderPlugins } from './order.ts';
import type { AnyPlugin, Host } from './plugin.ts';

export interface EngineOptions {
  readonly runtime: Runtime;
  readonly node: string;
  readonly plugins: readonly AnyPlugin[];
  /** Checked options by plugin name. */
  readonly options: ReadonlyMap<string, unknown>;
  /** Where revision counters and heads are kept; nothing is kept without it. */
  readonly stateDirectory?: string;
  readonly maximumIntroPoints?: number;
  readonly deadlinesMs?: Readonly<Record<string, number>>;
}

export interface Engine {
  readonly node: string;
  readonly hooks: Hooks;
  /** The names of the plugins, in the order they were applied. */
  readonly plugins: readonly string[];
  readonly published: Published | undefined;
  readonly lastResult: CycleResult | undefined;
  /** The service of a contract; throws ENGINE_CONTRACT when no plugin gives it. */
  service<Service>(contract: Contract<Service>): Service;
  start(): Promise<void>;
  requestCycle(reason: string): Promise<CycleResult>;
  signal<Name extends SignalName>(name: Name, payload: Signals[Name]): void;
  /** Called with the result of every cycle. Returns the unsubscriber. */
  onResult(listener: (result: CycleResult) => void): () => void;
  stop(): Promise<void>;
}

/** How long the running cycle and background work may take to end, milliseconds. */
const endLimitMs = 500;
/** How long a release may take before it is left behind, milliseconds … */
const releaseLimitMs = 1_000;
/** … and all of them together. Beyond it each is still called. */
const releasesLimitMs = 1_300;
const shortestReleaseLimitMs = 20;
/** How long one plugin may take to hear the result of a cycle, milliseconds. */
const settledLimitMs = 5_000;

export function createEngine(options: EngineOptions): Engine {
  const { runtime, node, stateDirectory } = options;
  const { clock, random } = runtime;
  const log = runtime.log.child({ node });
  const hooks = createHooks();
  /** By contract, in the order of the plugins. */
  const services = new Map<string, unknown[]>();
  const releases: { plugin: string; release: () => void | Promise<void> }[] = [];
  const stopping = new AbortController();
  const background = new Set<Promise<void>>();
  const listeners = new Set<(result: CycleResult) => void>();
  const memory = createCycleMemory();
  const stopped = new ChimeraError('ENGINE_STOPPED', 'the node is stopping');
  let phase: 'booted' | 'starting' | 'running' | 'stopped' = 'booted';
  let lastResult: CycleResult | undefined;
  let dependencies: CycleDependencies | undefined;
  let stop: Promise<void> | undefined;
  /** The plugin whose apply() runs now. */
  let applying: string | undefined;

  const report = (fault: Fault): void => tellFault(hooks, log, fault);

  const queue = createCycleQueue(async (reasons) => {
    if (dependencies === undefined) throw new ChimeraError('ENGINE_STOPPED', 'the node has not started');
    lastResult = await runCycle(dependencies, memory, reasons);
    for (const listener of listeners) {
      try {
        listener(lastResult);
      } catch (error) {
        log.error('a listener for results failed', { error });
      }
    }
    return lastResult;
  });

  const requestCycle = (reason: string): Promise<CycleResult> => queue.request(reason);

  const signal = <Name extends SignalName>(name: Name, payload: Signals[Name]): void => {
    if (phase !== 'running') return;
    try {
      hooks.signals.get(name)?.call(payload);
    } catch (error) {
      report({ plugin: name, step: 'signal', error: asError(error) });
    }
    const detail = 'why' in payload ? `: ${payload.why}` : '';
    queue.request(`${name}${detail}`).catch(() => undefined);
  };

  const ordered = orderPlugins(options.plugins);
  const rules: TapRules = {
    clock,
    stopping: stopping.signal,
    check: (name) => {
      if (phase !== 'booted') {
        throw new ChimeraError('ENGINE_LATE', `${name} taps a hook after the start`, {
          remedy: 'tap in apply(); hooks are frozen afterwards',
        });
      }
      if (applying !== undefined && applying !== name) {
        throw new ChimeraError('ENGINE_PLUGIN', `${applying} taps a hook as "${name}"`, {
          remedy: 'tap with the name of the plugin: faults and errors carry it',
        });
      }
    },
    fault: (fault) => {
      memory.faults.push(fault);
      report(fault);
    },
  };
  for (const [name, hook] of Object.entries(hooks)) {
    const register = (tap: FullTap): FullTap => guarded(tap, name as keyof Hooks, rules);
    if (hook instanceof HookMap) {
      hook.intercept({
        factory: (_key, signal) => {
          signal?.intercept({ register } as never);
          return signal as never;
        },
      });
    } else {
      hook.intercept({ register } as never);
    }
  }

  for (const plugin of ordered) {
    const declared = new Set([...(plugin.needs ?? []), ...(plugin.wants ?? [])].map(({ name }) => name));
    const given = new Set((plugin.gives ?? []).map(({ name }) => name));
    const all = <Service>({ name }: Contract<Service>): readonly Service[] => {
      if (!declared.has(name)) {
        throw new ChimeraError('ENGINE_CONTRACT', `${plugin.name} uses ${name} without declaring it`, {
          remedy: `add it to the plugin's needs or wants`,
        });
      }
      return (services.get(name) ?? []) as readonly Service[];
    };
    const host: Host = {
      runtime,
      node,
      stateDirectory,
      hooks,
      log: log.child({ plugin: plugin.name }),
      need: <Service>(contract: Contract<Service>) => all(contract)[0] as Service,
      want: (contract) => all(contract)[0],
      all,
      give: ({ name }, service) => {
        if (!given.delete(name)) {
          throw new ChimeraError('ENGINE_CONTRACT', `${plugin.name} gives ${name} twice or without declaring it`);
        }
        services.set(name, [...(services.get(name) ?? []), service]);
      },
      defer: (release) => {
        releases.push({ plugin: plugin.name, release });
        // Opened by a start that did not know of the stop yet.
        if (phase === 'stopped') void releaseAll();
      },
      signal,
      requestCycle,
      background: (work) => {
        const running = work(stopping.signal).catch((error: unknown) => {
          if (!stopping.signal.aborted) report({ plugin: plugin.name, step: 'background', error: asError(error) });
        });
        const tracked = running.finally(() => background.delete(tracked));
        background.add(tracked);
      },
    };
    applying = plugin.name;
    try {
      plugin.apply(host, options.options.get(plugin.name) as never);
    } catch (error) {
      throw startFailure(plugin.name, error);
    }
    applying = undefined;
    if (given.size > 0) {
      throw new ChimeraError(
        'ENGINE_CONTRACT',
        `${plugin.name} declares ${[...given].join(', ')} and does not give it`,
      );
    }
  }

  const releaseRest = async (): Promise<void> => {
    const endsAtMs = clock.monotonic() + releasesLimitMs;
    for (let next = releases.pop(); next !== undefined; next = releases.pop()) {
      const { plugin, release } = next;
      const limitMs = Math.max(shortestReleaseLimitMs, Math.min(releaseLimitMs, endsAtMs - clock.monotonic()));
      const late = (): Error => new ChimeraError('ENGINE_STOPPED', `it was not done within ${Math.round(limitMs)} ms`);
      try {
        await withDeadline(clock, limitMs, late, async () => release());
      } catch (error) {
        log.warn('a release failed', { plugin, error });
      }
    }
  };

  let releasing = Promise.resolve();
  /** In one line: of two at once, one would close what the other still needs. */
  const releaseAll = (): Promise<void> => {
    releasing = releasing.then(releaseRest);
    return releasing;
  };

  const shutDown = (): Promise<void> => {
    stop ??= (async () => {
      phase = 'stopped';
      stopping.abort(stopped);
      const ended = Promise.all([queue.close(stopped), ...background]);
      await withDeadline(
        clock,
        endLimitMs,
        () => stopped,
        () => ended,
      ).catch(() => undefined);
      await releaseAll();
    })();
    return stop;
  };

  const service = <Service>({ name }: Contract<Service>): Service => {
    const given = services.get(name);
    if (given === undefined) throw new ChimeraError('ENGINE_CONTRACT', `no plugin gives ${name}`);
    return given[0] as Service;
  };

  const prepare = async (): Promise<void> => {
    const settings: CycleSettings = hooks.configure.call({
      maximumIntroPoints: options.maximumIntroPoints ?? 20,
      deadlinesMs: { ...defaultDeadlinesMs, ...options.deadlinesMs },
    });
    if (stateDirectory !== undefined) await makeStateDirectory(runtime.store, stateDirectory);
    await hooks.start.promise();
    const signer = service(signerContract);
    const tor = service(torContract);
    const election = services.get(electionContract.name)?.[0] as Election | undefined;
    const discovery = services.get(restrictedDiscoveryContract.name)?.[0] as
      { clients: readonly Uint8Array[] } | undefined;
    const revisions =
      stateDirectory === undefined
        ? volatileRevisions()
        : await storedRevisions(runtime.store, `${stateDirectory}/revisions.json`);
    dependencies = {
      hooks,
      settings,
      clock,
      random,
      log,
      address: addressOfKey(signer.publicKey),
      sealer: createSealer({ signer, revisions, random }),
      verify: createVerifier(),
      consensus: () => tor.primary.consensus(),
      epoch: () => election?.epoch ?? 0,
      mayPublish: (epoch) => election === undefined || (election.elected && election.epoch === epoch),
      clients: () => discovery?.clients ?? [],
      rotationSeed: createRotationSeed(signer),
      signal: stopping.signal,
    };
  };

  return {
    node,
    hooks,
    plugins: ordered.map(({ name }) => name),
    get published() {
      return memory.published;
    },
    get lastResult() {
      return lastResult;
    },
    service,
    requestCycle,
    signal,
    onResult: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    start: async () => {
      if (phase !== 'booted') throw new ChimeraError('ENGINE_STOPPED', 'a node starts once');
      phase = 'starting';
      const aborted = new Promise<never>((_resolve, reject) => {
        stopping.signal.addEventListener('abort', () => reject(stopped), { once: true });
      });
      aborted.catch(() => undefined);
      try {
        await Promise.race([prepare(), aborted]);
        stopping.signal.throwIfAborted();
      } catch (error) {
        await shutDown();
        throw error;
      }
      phase = 'running';
      queue.request('start').catch(() => undefined);
    },
    stop: shutDown,
  };
}

/** Every holder of the master key gives the same revision keys, and nobody else knows them; no time period has this number. */
function createRotationSeed(signer: Signer): () => Promise<string> {
  let seed: string | undefined;
  return async () => {
    const key = seed ?? (await signer.revisionKey({ number: 0, lengthMinutes: 1 }));
    seed ??= createHash('sha256').update('chimera-rotation-seed\0').update(key).digest('hex');
    return seed;
  };
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(messageOf(thrown));
}

async function makeStateDirectory(store: Store, path: string): Promise<void> {
  try {
    await store.makeDirectory(path);
  } catch (error) {
    throw new ChimeraError('STATE_FILE', `the state directory ${path} cannot be made: ${messageOf(error)}`, {
      remedy: 'make it for the user that runs Chimera, or set node.state_directory to one that this user may write',
      cause: error,
    });
  }
  // A directory that may not be written has no place for what comes either: whoever writes first says so.
  await removeUnfinished(store, path).catch(() => undefined);
}

/** A coded error speaks for itself; any other one is named after its plugin. */
function startFailure(plugin: string, thrown: unknown): Error {
  if (thrown instanceof ChimeraError) return thrown;
  return new ChimeraError('ENGINE_PLUGIN', `${plugin} failed to start: ${messageOf(thrown)}`, {
    remedy: 'this is a mistake in the plugin; its stack is in the cause',
    cause: thrown,
  });
}

interface TapRules {
  readonly clock: Clock;
  readonly stopping: AbortSignal;
  /** Throws when a plugin may not tap now, or not by this name. */
  check(tap: string): void;
  fault(fault: Fault): void;
}

/**
 * What the engine makes of a tap: it is refused when late, its failure carries the plugin's name, and in `gather` and
 * `settled`, which are for everybody, its failure or delay is a fault and does not reach the others.
 */
function guarded(tap: FullTap, hook: keyof Hooks, rules: TapRules): FullTap {
  rules.check(tap.name);
  if (tap.type === 'async') return tap;
  if (hook !== 'start' && hook !== 'gather' && hook !== 'settled') return named(tap);
  const { clock, stopping } = rules;
  const run = async (values: readonly unknown[]): Promise<unknown> =>
    (tap.fn as (...values: readonly unknown[]) => unknown)(...values);
  const start = async (): Promise<void> => {
    stopping.throwIfAborted();
    try {
      await run([]);
    } catch (error) {
      throw startFailure(tap.name, error);
    }
  };
  const late = (): Error =>
    new ChimeraError('CYCLE_STEP_LATE', `${tap.name} was not done with the hook ${hook} in time`, {
      remedy: 'see the log for what it waits for',
    });
  const isolated = (step: 'gather' | 'settled') => async (value: unknown) => {
    try {
      const doing = (tap.fn as (value: unknown) => unknown)(value);
      // What is done at once cannot be late.
      if (!(doing instanceof Promise)) return;
      if (step === 'settled') await withDeadline(clock, settledLimitMs, late, () => doing as Promise<unknown>);
      else await Promise.race([doing, aborted((value as GatherContext).signal, late)]);
    } catch (error) {
      rules.fault({ plugin: tap.name, step, error: asError(error) });
    }
  };
  return { ...tap, type: 'promise', fn: hook === 'start' ? start : isolated(hook) };
}

/** The tap with its plugin's name in whatever it throws. A coded error speaks for itself. */
function named(tap: FullTap): FullTap {
  const run = tap.fn as (...values: unknown[]) => unknown;
  const nameIn = (error: unknown): unknown =>
    error instanceof ChimeraError ? error : new Error(`${tap.name}: ${messageOf(error)}`, { cause: error });
  const sync = (...values: unknown[]): unknown => {
    try {
      return run(...values);
    } catch (error) {
      throw nameIn(error);
    }
  };
  const promise = async (...values: unknown[]): Promise<unknown> => {
    try {
      return await run(...values);
    } catch (error) {
      throw nameIn(error);
    }
  };
  return { ...tap, fn: tap.type === 'promise' ? promise : sync };
}

/** Rejects when the signal aborts. */
function aborted(signal: AbortSignal, error: () => Error): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(error()), { once: true });
  });
}
