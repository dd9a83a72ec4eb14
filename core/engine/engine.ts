/**
 * The engine: boot → check → freeze → start → run → stop. It knows contracts, hooks and cycles, and no behaviour.
 *
 *   createEngine()   sorts and applies the plugins, wraps their taps with names
 *   start()          runs `configure` and `start`; on failure releases what was opened
 *   requestCycle()   one publish cycle per request, coalesced
 *   stop()           ends background work and the running cycle, then releases in reverse order
 */
import type { FullTap } from 'tapable';
import { ChimeraError, messageOf } from '../errors.ts';
import { addressOfKey } from '../onion/index.ts';
import {
  createCycleQueue,
  createHooks,
  createSealer,
  createVerifier,
  defaultDeadlinesMs,
  runCycle,
  storedRevisions,
  volatileRevisions,
  type CycleDependencies,
  type CycleMemory,
  type CycleResult,
  type CycleSettings,
  type Fault,
  type Hooks,
  type Published,
  type SignalName,
  type Signals,
} from '../pipeline/index.ts';
import type { Runtime } from '../runtime/index.ts';
import type { Contract } from './contract.ts';
import { electionContract, restrictedDiscoveryContract, signerContract } from './contracts/publisher.ts';
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

/** How long a release may take before it is left behind, milliseconds. */
const releaseLimitMs = 1_000;

export function createEngine(options: EngineOptions): Engine {
  const { runtime, node, stateDirectory } = options;
  const { clock, random } = runtime;
  const log = runtime.log.child({ node });
  const hooks = createHooks();
  const services = new Map<string, unknown>();
  const releases: { plugin: string; release: () => void | Promise<void> }[] = [];
  const stopping = new AbortController();
  const background = new Set<Promise<void>>();
  const listeners = new Set<(result: CycleResult) => void>();
  const memory: CycleMemory = { number: 0, published: undefined };
  let phase: 'booted' | 'starting' | 'running' | 'stopped' = 'booted';
  let lastResult: CycleResult | undefined;
  let dependencies: CycleDependencies | undefined;

  const queue = createCycleQueue(async (reasons) => {
    if (dependencies === undefined) throw new ChimeraError('ENGINE_STOPPED', 'the node has not started');
    lastResult = await runCycle(dependencies, memory, reasons);
    for (const listener of listeners) listener(lastResult);
    return lastResult;
  });

  const report = (fault: Fault): void => {
    log.warn('a plugin failed', { plugin: fault.plugin, step: fault.step, error: fault.error });
    hooks.fault.call(fault);
  };

  const requestCycle = (reason: string): Promise<CycleResult> => queue.request(reason);

  const signal = <Name extends SignalName>(name: Name, payload: Signals[Name]): void => {
    if (phase !== 'running') return;
    try {
      hooks.signals.get(name)?.call(payload);
    } catch (error) {
      report({ plugin: name, step: 'signal', error: error as Error });
    }
    const detail = 'why' in payload ? `: ${payload.why}` : '';
    queue.request(`${name}${detail}`).catch(() => undefined);
  };

  const ordered = orderPlugins(options.plugins);
  for (const hook of Object.values(hooks)) {
    hook.intercept({
      register: (tap: FullTap) => named(tap, hook === hooks.gather, phase !== 'booted', report),
    } as never);
  }

  for (const plugin of ordered) {
    const declared = new Set([...(plugin.needs ?? []), ...(plugin.wants ?? [])].map(({ name }) => name));
    const given = new Set((plugin.gives ?? []).map(({ name }) => name));
    const use = <Service>({ name }: Contract<Service>): Service | undefined => {
      if (!declared.has(name)) {
        throw new ChimeraError('ENGINE_CONTRACT', `${plugin.name} uses ${name} without declaring it`, {
          remedy: `add it to the plugin's needs or wants`,
        });
      }
      return services.get(name) as Service | undefined;
    };
    const host: Host = {
      runtime,
      node,
      stateDirectory,
      hooks,
      log: log.child({ plugin: plugin.name }),
      need: <Service>(contract: Contract<Service>) => use(contract) as Service,
      want: use,
      give: ({ name }, service) => {
        if (!given.delete(name)) {
          throw new ChimeraError('ENGINE_CONTRACT', `${plugin.name} gives ${name} twice or without declaring it`);
        }
        services.set(name, service);
      },
      defer: (release) => releases.push({ plugin: plugin.name, release }),
      signal,
      requestCycle,
      background: (work) => {
        const running = work(stopping.signal).catch((error: unknown) => {
          if (!stopping.signal.aborted) report({ plugin: plugin.name, step: 'signal', error: error as Error });
        });
        const tracked = running.finally(() => background.delete(tracked));
        background.add(tracked);
      },
    };
    plugin.apply(host, options.options.get(plugin.name) as never);
    if (given.size > 0) {
      throw new ChimeraError(
        'ENGINE_CONTRACT',
        `${plugin.name} declares ${[...given].join(', ')} and does not give it`,
      );
    }
  }

  const release = async (): Promise<void> => {
    for (let next = releases.pop(); next !== undefined; next = releases.pop()) {
      const { plugin } = next;
      try {
        await Promise.race([next.release(), clock.sleep(releaseLimitMs)]);
      } catch (error) {
        log.warn('a release failed', { plugin, error: error as Error });
      }
    }
  };

  const service = <Service>({ name }: Contract<Service>): Service => {
    if (!services.has(name)) throw new ChimeraError('ENGINE_CONTRACT', `no plugin gives ${name}`);
    return services.get(name) as Service;
  };

  const prepare = async (): Promise<void> => {
    const settings: CycleSettings = hooks.configure.call({
      maximumIntroPoints: options.maximumIntroPoints ?? 20,
      deadlinesMs: { ...defaultDeadlinesMs, ...options.deadlinesMs },
    });
    if (stateDirectory !== undefined) await runtime.store.makeDirectory(stateDirectory);
    await hooks.start.promise();
    const signer = service(signerContract);
    const tor = service(torContract);
    const election = services.get(electionContract.name) as { readonly epoch: number } | undefined;
    const discovery = services.get(restrictedDiscoveryContract.name) as { clients: readonly Uint8Array[] } | undefined;
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
      clients: () => discovery?.clients ?? [],
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
      phase = 'starting';
      try {
        await prepare();
      } catch (error) {
        phase = 'stopped';
        stopping.abort(error);
        await release();
        throw error;
      }
      phase = 'running';
      queue.request('start').catch(() => undefined);
    },
    stop: async () => {
      if (phase === 'stopped') return;
      phase = 'stopped';
      const stopped = new ChimeraError('ENGINE_STOPPED', 'the node is stopping');
      stopping.abort(stopped);
      await Promise.race([Promise.all([queue.close(stopped), ...background]), clock.sleep(releaseLimitMs)]);
      await release();
    },
  };
}

/**
 * Gives each tap its plugin's name in errors, refuses late ones, and turns the failure of a gather tap into a fault, so
 * that one sick head does not silence the others.
 */
function named(tap: FullTap, isolate: boolean, late: boolean, report: (fault: Fault) => void): FullTap {
  if (late) {
    throw new ChimeraError('ENGINE_LATE', `${tap.name} taps a hook after the start`, {
      remedy: 'tap in apply(); hooks are frozen afterwards',
    });
  }
  if (!isolate || tap.type === 'async') return tap;
  const run = tap.fn as (...values: unknown[]) => unknown;
  return {
    ...tap,
    type: 'promise',
    fn: async (...values: unknown[]) => {
      try {
        await run(...values);
      } catch (error) {
        const cause = error instanceof Error ? error : new Error(messageOf(error));
        report({ plugin: tap.name, step: 'gather', error: cause });
      }
    },
  };
}
