/**
 * The plugin contract. A plugin is an object: its name, the contracts it needs and gives, a schema for its section of the
 * configuration, and `apply`, which taps hooks and gives services. Nothing runs before `start` is called on the engine.
 */
import type { GenericSchema } from 'valibot';
import type { Hooks, SignalName, Signals } from '../pipeline/index.ts';
import type { Log, Runtime } from '../runtime/index.ts';
import type { CycleResult } from '../pipeline/index.ts';
import type { Contract } from './contract.ts';

/** A plugin's view of the engine. */
export interface Host {
  readonly runtime: Runtime;
  /** Carries the plugin's name. */
  readonly log: Log;
  /** This node's id in the cluster. */
  readonly node: string;
  /** Where this node keeps state; exists before `start`. Undefined when the node keeps nothing. */
  readonly stateDirectory: string | undefined;
  /** Tap here. Each tap must carry the plugin's name, which the engine checks. */
  readonly hooks: Hooks;
  /** The service of a contract in `needs`, or of one in `wants` (then perhaps undefined); of several, the first. */
  need<Service>(contract: Contract<Service>): Service;
  want<Service>(contract: Contract<Service>): Service | undefined;
  /** Every service given so far of a contract in `needs` or `wants`, in the order of the plugins. */
  all<Service>(contract: Contract<Service>): readonly Service[];
  /** Gives the service of a contract in `gives`; exactly once, in `apply`. */
  give<Service>(contract: Contract<Service>, service: Service): void;
  /** Registers a release; releases run in reverse order at the stop, or when the start fails. */
  defer(release: () => void | Promise<void>): void;
  /** Fires a signal and requests a cycle. */
  signal<Name extends SignalName>(name: Name, payload: Signals[Name]): void;
  /** Asks for a cycle; resolves with its result. */
  requestCycle(reason: string): Promise<CycleResult>;
  /** Runs work in the background; a rejection becomes a fault of this plugin, and the signal aborts at the stop. */
  background(work: (signal: AbortSignal) => Promise<void>): void;
}

export interface Plugin<Options = unknown> {
  /** `tor`, `merge/fair-share`: the folder under plugins/. */
  readonly name: string;
  /** One sentence for listings. */
  readonly summary: string;
  readonly needs?: readonly Contract<unknown>[];
  /** Used when some plugin gives it. */
  readonly wants?: readonly Contract<unknown>[];
  readonly gives?: readonly Contract<unknown>[];
  /** The plugin's table in the configuration, when it has options. */
  readonly section?: string;
  /** valibot schema of that table; every option has a default, or its absence is an error of the configuration. */
  readonly options?: GenericSchema<unknown, Options>;
  apply(host: Host, options: Options): void;
}

/** Gives a plugin object its types. */
export function definePlugin<Options>(plugin: Plugin<Options>): Plugin<Options> {
  return plugin;
}

/** A plugin of whatever options, as lists hold them. */
export interface AnyPlugin extends Omit<Plugin, 'options' | 'apply'> {
  readonly options?: GenericSchema | undefined;
  apply(host: Host, options: never): void;
}
