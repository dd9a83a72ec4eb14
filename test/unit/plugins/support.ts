/** What the plugins' tests share: a host on bare hooks, and a tor that says what the test wants. */
import * as v from 'valibot';
import type {
  AnyPlugin,
  Contract,
  FetchedDescriptor,
  Host,
  HsdirUpload,
  Tor,
  TorClient,
  TorEvent,
  TorSetting,
  TorState,
} from '../../../core/engine/index.ts';
import type { OnionAddress } from '../../../core/onion/index.ts';
import { createHooks, type Consensus, type SignalName, type Signals } from '../../../core/pipeline/index.ts';
import { silentLog, systemNet, systemProcesses, type Log, type LogFields } from '../../../core/runtime/index.ts';
import { createMemoryStore, type MemoryStore } from '../../kit/sim/memory-store.ts';
import { createSeededRandom, type SeededRandom } from '../../kit/sim/seeded-random.ts';
import { createVirtualClock, type VirtualClock } from '../../kit/sim/virtual-clock.ts';
import { evening } from '../pipeline/support.ts';

export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly message: string;
  readonly fields: LogFields;
}

export function recordingLog(lines: LogLine[]): Log {
  const at =
    (level: LogLine['level']) =>
    (message: string, fields: LogFields = {}): void =>
      void lines.push({ level, message, fields });
  const log: Log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error'), child: () => log };
  return log;
}

export interface BareHost {
  readonly host: Host;
  readonly hooks: Host['hooks'];
  readonly clock: VirtualClock;
  readonly random: SeededRandom;
  readonly store: MemoryStore;
  readonly lines: LogLine[];
  /** Signals in the order in which they were fired. */
  readonly signals: { readonly name: SignalName; readonly payload: Signals[SignalName] }[];
  /** What background work rejected with. */
  readonly failures: unknown[];
  /** Puts a service there, as a plugin before would have. */
  provide<Service>(contract: Contract<Service>, service: Service): void;
  given<Service>(contract: Contract<Service>): Service;
  /** Applies a plugin with options as they stand in a file. */
  apply(plugin: AnyPlugin, options?: unknown): void;
  start(): Promise<void>;
  /** Aborts background work, then releases in reverse order. */
  stop(): Promise<void>;
  /** The two halves of a stop that does not wait for background work. */
  abort(): void;
  release(): Promise<void>;
}

export function createBareHost(
  options: { node?: string; clock?: VirtualClock; store?: MemoryStore; stateDirectory?: string } = {},
): BareHost {
  const clock = options.clock ?? createVirtualClock(evening * 1000);
  const random = createSeededRandom('plugin');
  const store = options.store ?? createMemoryStore();
  const hooks = createHooks();
  const services = new Map<string, unknown>();
  const releases: (() => void | Promise<void>)[] = [];
  const signals: BareHost['signals'] = [];
  const failures: unknown[] = [];
  const lines: LogLine[] = [];
  const stopping = new AbortController();
  const background: Promise<void>[] = [];
  const log = recordingLog(lines);
  const host: Host = {
    runtime: { clock, random, store, net: systemNet, processes: systemProcesses, log: silentLog },
    log,
    node: options.node ?? 'one',
    stateDirectory: options.stateDirectory,
    hooks,
    need: <Service>({ name }: Contract<Service>) => services.get(name) as Service,
    want: <Service>({ name }: Contract<Service>) => services.get(name) as Service | undefined,
    all: <Service>({ name }: Contract<Service>) => (services.has(name) ? [services.get(name) as Service] : []),
    give: ({ name }, service) => void services.set(name, service),
    defer: (release) => void releases.push(release),
    signal: (name, payload) => void signals.push({ name, payload }),
    requestCycle: () => Promise.reject(new Error('no cycles here')),
    background: (work) => {
      background.push(work(stopping.signal).catch((error: unknown) => void failures.push(error)));
    },
  };
  const abort = (): void => stopping.abort(new Error('stopping'));
  const release = async (): Promise<void> => {
    for (let next = releases.pop(); next !== undefined; next = releases.pop()) await next();
  };
  return {
    host,
    hooks,
    clock,
    random,
    store,
    lines,
    signals,
    failures,
    provide: ({ name }, service) => void services.set(name, service),
    given: <Service>({ name }: Contract<Service>) => services.get(name) as Service,
    apply: (plugin, raw = {}) => {
      plugin.apply(host, (plugin.options === undefined ? undefined : v.parse(plugin.options, raw)) as never);
    },
    start: () => hooks.start.promise(),
    stop: async () => {
      abort();
      await Promise.all(background);
      await release();
    },
    abort,
    release,
  };
}

export interface ScriptedTor extends TorClient {
  /** Everything that was asked of it: `setConf …`, `command …`, `fetch …`, `post …`. */
  readonly calls: string[];
  /** Its onion services, as GETCONF HiddenServiceOptions lists them. */
  services: [string, string][];
  /** Other options, by name. */
  readonly conf: Map<string, string>;
  readonly info: Map<string, string>;
  /** What GETINFO hs/service/desc/id says. */
  readonly serviceDescriptors: Map<string, string>;
  setState(state: TorState): void;
  setConsensus(consensus: Consensus): void;
  emit(name: string, ...words: string[]): void;
  emitEvent(name: string, words: readonly string[], fields: Readonly<Record<string, string>>): void;
  listeners(): number;
  onSetConf: (settings: readonly TorSetting[]) => void | Promise<void>;
  onFetch: (address: OnionAddress, server: string | undefined) => Promise<FetchedDescriptor>;
  onPost: (address: OnionAddress, descriptor: string, servers: readonly string[]) => Promise<readonly HsdirUpload[]>;
}

/** A tor that is ready, has one consensus, and knows no service. */
export function createScriptedTor(consensus: Consensus, name = 'tor'): ScriptedTor {
  let state: TorState = 'ready';
  let now = consensus;
  const calls: string[] = [];
  const onState = new Set<(state: TorState) => void>();
  const onConsensus = new Set<(consensus: Consensus) => void>();
  const onEvent = new Set<readonly [string, (event: TorEvent) => void]>();
  const subscribe = <T>(set: Set<T>, item: T) => {
    set.add(item);
    return () => void set.delete(item);
  };
  const need = (): void => {
    if (state !== 'ready') throw new Error('TOR_NOT_READY');
  };
  const tor: ScriptedTor = {
    name,
    calls,
    services: [],
    conf: new Map([['PublishHidServDescriptors', '1']]),
    info: new Map([['process/uid', '107']]),
    serviceDescriptors: new Map(),
    get state() {
      return state;
    },
    version: '0.4.9.11',
    lastError: undefined,
    ready: () => (state === 'ready' ? Promise.resolve() : new Promise(() => undefined)),
    onState: (listener) => subscribe(onState, listener),
    onEvent: (event, listener) => subscribe(onEvent, [event, listener] as const),
    onConsensus: (listener) => subscribe(onConsensus, listener),
    getInfo: async (key) => {
      need();
      const value = tor.info.get(key);
      if (value === undefined) throw new Error(`552 Unrecognized key "${key}"`);
      return value;
    },
    getConf: async (option) => {
      need();
      const value = tor.conf.get(option);
      return value === undefined ? [] : [value];
    },
    setConf: async (settings) => {
      need();
      calls.push(`setConf ${settings.map(([option, value]) => `${option}=${value ?? ''}`).join(' ')}`);
      await tor.onSetConf(settings);
      if (settings.some(([option]) => option.startsWith('HiddenService'))) tor.services = [];
      for (const [option, value] of settings) {
        if (!option.startsWith('HiddenService')) tor.conf.set(option, value ?? '');
        else if (value !== undefined) tor.services.push([option, value]);
      }
    },
    signal: async (signal) => void calls.push(`signal ${signal}`),
    closeCircuit: async (id) => void calls.push(`closeCircuit ${id}`),
    consensus: async () => {
      need();
      return now;
    },
    serviceDescriptor: async (address) => {
      need();
      return tor.serviceDescriptors.get(address);
    },
    fetchDescriptor: async (address, options = {}) => {
      need();
      calls.push(`fetch ${address.slice(0, 6)} ${options.server ?? 'any'}`);
      return tor.onFetch(address, options.server);
    },
    postDescriptor: async (address, descriptor, servers) => {
      need();
      calls.push(`post ${servers.length}`);
      return tor.onPost(address, descriptor, servers);
    },
    command: async (line) => {
      need();
      calls.push(`command ${line}`);
      if (line !== 'GETCONF HiddenServiceOptions') return [];
      return tor.services.map(([option, value]) => `${option}=${value}`);
    },
    close: async () => tor.setState('closed'),
    setState: (next) => {
      state = next;
      for (const listener of onState) listener(next);
    },
    setConsensus: (next) => {
      now = next;
      for (const listener of onConsensus) listener(next);
    },
    emit: (event, ...words) => tor.emitEvent(event, words, {}),
    emitEvent: (event, words, fields) => {
      for (const [wanted, listener] of onEvent) if (wanted === event) listener({ name: event, words, fields });
    },
    listeners: () => onState.size + onConsensus.size + onEvent.size,
    onSetConf: () => undefined,
    onFetch: () => Promise.reject(new Error('NOT_FOUND')),
    onPost: async (_address, _descriptor, servers) => servers.map((fingerprint) => ({ fingerprint, accepted: true })),
  };
  return tor;
}

/** The `tor` contract over scripted tors: the first is the node's own. */
export function torOf(primary: ScriptedTor, others: ReadonlyMap<string, ScriptedTor> = new Map()): Tor {
  return {
    primary,
    connect: ({ control }) => {
      const key = 'path' in control ? control.path : `${control.host}:${control.port}`;
      const tor = others.get(key);
      if (tor === undefined) throw new Error(`no tor at ${key}`);
      return tor;
    },
  };
}
