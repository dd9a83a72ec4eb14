/**
 * A control connection that keeps itself alive. Opens, authenticates, subscribes to the events that have listeners, and does it
 * again with back-off and jitter whenever the connection ends, until closed.
 *
 *   connecting ──ready──► ready ──connection ends──► connecting …        any ──close()──► closed
 *
 * Enter at `createLink`.
 */
import { ChimeraError, messageOf } from '../../core/errors.ts';
import type { TorConnectOptions, TorEvent, TorState } from '../../core/engine/contracts/tor.ts';
import { formatEndpoint, jittered, withDeadline, type Runtime } from '../../core/runtime/index.ts';
import { authenticate } from './authentication.ts';
import { openConnection, type ControlConnection } from './connection.ts';
import { parseEvent } from './event.ts';
import type { Reply } from './reply.ts';

/** The parts of the outside world that a client of tor needs. */
export type TorRuntime = Pick<Runtime, 'clock' | 'random' | 'net' | 'store' | 'log'>;

export interface Link {
  readonly name: string;
  readonly state: TorState;
  readonly version: string | undefined;
  readonly lastError: Error | undefined;
  /** Starts to connect; nothing is opened before. */
  readonly begin: () => void;
  readonly ready: (limitMs: number) => Promise<void>;
  readonly onState: (listener: (state: TorState) => void) => () => void;
  /** Called with why each attempt to connect failed, or the connection ended, but for `close`. */
  readonly onFailure: (listener: (error: Error) => void) => () => void;
  readonly onEvent: (name: string, listener: (event: TorEvent) => void) => () => void;
  /** Sends a command and resolves with the reply whatever its code. Rejects with TOR_NOT_READY while not ready. */
  readonly exchange: (line: string, data?: string) => Promise<Reply>;
  readonly close: () => Promise<void>;
}

const defaultCommandTimeoutMs = 10_000;
/** The wait before the second attempt; doubled for each further one up to the longest. */
const shortestWaitMs = 200;
const longestWaitMs = 5_000;
const waitJitter = 0.25;

export function createLink(runtime: TorRuntime, options: TorConnectOptions): Link {
  const { clock, random } = runtime;
  const where = formatEndpoint(options.control);
  const name = options.name ?? where;
  const log = runtime.log.child({ tor: name });
  const timeoutMs = options.commandTimeoutMs ?? defaultCommandTimeoutMs;
  const stopping = new AbortController();
  const stateListeners = new Set<(state: TorState) => void>();
  const failureListeners = new Set<(error: Error) => void>();
  const eventListeners = new Map<string, Set<(event: TorEvent) => void>>();
  /** Event names that the tor at the other end does not know. */
  let unknownEvents = new Set<string>();
  let state: TorState = 'connecting';
  let version: string | undefined;
  let lastError: Error | undefined;
  let connection: ControlConnection | undefined;

  const call = <T>(listener: (value: T) => void, value: T): void => {
    try {
      listener(value);
    } catch (error) {
      log.error('a listener failed', { error });
    }
  };
  const enter = (next: TorState): void => {
    if (state === next) return;
    state = next;
    for (const listener of stateListeners) call(listener, next);
  };

  const dispatch = (reply: Reply): void => {
    const event = parseEvent(reply.lines);
    for (const listener of eventListeners.get(event.name) ?? []) call(listener, event);
  };

  /** Tells tor which events to send. An event that it does not know is left out, the others stay. */
  const subscribe = async (to: ControlConnection): Promise<void> => {
    for (;;) {
      const names = [...eventListeners.keys()].filter((event) => !unknownEvents.has(event));
      const reply = await to.send(['SETEVENTS', ...names].join(' '));
      if (reply.code === 250) return;
      const text = reply.lines.at(-1)?.text ?? '';
      const refused = /^Unrecognized event "(\w+)"/.exec(text)?.[1];
      if (refused === undefined || !names.includes(refused)) {
        log.warn('tor refused a subscription', { events: names, reply: text });
        return;
      }
      unknownEvents.add(refused);
      log.warn('this tor does not know an event', { event: refused });
    }
  };
  const resubscribe = (): void => {
    if (state === 'ready' && connection !== undefined) subscribe(connection).catch(() => undefined);
  };

  const failed = (error: Error): void => {
    // Attempts that fail alike are told once.
    if (!stopping.signal.aborted && error.message !== lastError?.message) log.warn('no connection to tor', { error });
    lastError = error;
    connection = undefined;
    if (stopping.signal.aborted) return;
    enter('connecting');
    for (const listener of failureListeners) call(listener, error);
  };

  /** One connection from opening to end. */
  const live = async (): Promise<void> => {
    let opened: ControlConnection | undefined;
    try {
      const endpoint = options.control;
      opened = await openConnection(runtime, { endpoint, timeoutMs, onEvent: dispatch }, stopping.signal);
      connection = opened;
      version = await authenticate(opened, runtime, endpoint, options);
      unknownEvents = new Set();
      await subscribe(opened);
      lastError = undefined;
      log.info('connected to tor', { version, control: where });
      enter('ready');
      failed(await opened.ended);
    } catch (error) {
      const reason = error instanceof Error ? error : new Error(messageOf(error));
      opened?.end(reason);
      failed(reason);
    }
  };

  const run = async (): Promise<void> => {
    let failures = 0;
    while (!stopping.signal.aborted) {
      const startedAt = clock.monotonic();
      await live();
      // A connection that lasted starts the back-off anew; one that is dropped at once does not.
      failures = clock.monotonic() - startedAt > longestWaitMs ? 0 : failures + 1;
      const waitMs = Math.min(longestWaitMs, shortestWaitMs * 2 ** Math.min(failures - 1, 16));
      await clock
        .sleep(jittered(random, Math.max(waitMs, shortestWaitMs), waitJitter), stopping.signal)
        .catch(() => undefined);
    }
  };

  const notReady = (): ChimeraError =>
    state === 'closed'
      ? new ChimeraError('TOR_NOT_READY', `the client of tor ${name} is closed`)
      : new ChimeraError('TOR_NOT_READY', `tor ${name} is not connected: ${lastError?.message ?? 'not yet'}`, {
          remedy: (lastError as Partial<ChimeraError> | undefined)?.remedy ?? 'Wait until it is.',
          cause: lastError,
        });

  let running: Promise<void> | undefined;

  return {
    name,
    begin: () => {
      if (state !== 'closed') running ??= run();
    },
    get state() {
      return state;
    },
    get version() {
      return version;
    },
    get lastError() {
      return lastError;
    },
    ready: async (limitMs) => {
      if (state === 'ready') return;
      if (state === 'closed') throw notReady();
      let forget: () => void = () => undefined;
      const changed = new Promise<void>((resolve, reject) => {
        const listener = (next: TorState): void => {
          if (next === 'ready') resolve();
          else if (next === 'closed') reject(notReady());
        };
        stateListeners.add(listener);
        forget = () => stateListeners.delete(listener);
      });
      const late = (): Error =>
        lastError ??
        new ChimeraError(
          'TOR_TIMEOUT',
          connection === undefined
            ? `${name} did not take the connection within ${limitMs} ms`
            : `${name} took the connection and did not answer within ${limitMs} ms`,
          { remedy: "Check that the address is tor's ControlPort, and that tor is neither stopped nor overloaded." },
        );
      await withDeadline(clock, limitMs, late, () => changed).finally(forget);
    },
    onState: (listener) => {
      stateListeners.add(listener);
      return () => stateListeners.delete(listener);
    },
    onFailure: (listener) => {
      failureListeners.add(listener);
      return () => failureListeners.delete(listener);
    },
    onEvent: (event, listener) => {
      if (!/^[A-Z][A-Z0-9_]*$/.test(event))
        throw new ChimeraError('TOR_COMMAND', `"${event}" is no name of an event`, {
          remedy: 'Use a name such as HS_DESC.',
        });
      let listeners = eventListeners.get(event);
      if (listeners === undefined) {
        listeners = new Set();
        eventListeners.set(event, listeners);
        resubscribe();
      }
      listeners.add(listener);
      return () => {
        if (!eventListeners.get(event)?.delete(listener) || eventListeners.get(event)?.size !== 0) return;
        eventListeners.delete(event);
        resubscribe();
      };
    },
    exchange: (line, data) =>
      state === 'ready' && connection !== undefined ? connection.send(line, data) : Promise.reject(notReady()),
    close: async () => {
      if (state !== 'closed') {
        const reason = new ChimeraError('TOR_NOT_READY', `the client of tor ${name} is closed`);
        stopping.abort(reason);
        connection?.end(reason);
        enter('closed');
      }
      await running;
    },
  };
}
