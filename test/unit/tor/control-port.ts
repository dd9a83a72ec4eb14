/** A scripted control port on a real socket, for tests of the tor plugin: says what the test tells it to say. */
import { createHmac, randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import {
  silentLog,
  systemClock,
  systemNet,
  systemRandom,
  systemStore,
  type Clock,
  type Endpoint,
  type Log,
  type Net,
  type Random,
  type Store,
} from '../../../core/runtime/index.ts';

export interface ControlSession {
  /** Sends text as it is. */
  say(text: string): void;
  /** Commands so far, data excluded, in order. */
  readonly commands: string[];
  drop(): void;
}

/** Undefined leaves the command to the defaults, '' leaves it without an answer. */
export type Answer = (line: string, data: string | undefined, session: ControlSession) => string | undefined;

export interface ControlPort {
  readonly endpoint: Endpoint;
  readonly sessions: ControlSession[];
  /** All commands of all sessions that begin with the word. */
  commands(word: string): string[];
  close(): Promise<void>;
}

export interface ControlPortOptions {
  readonly endpoint?: Endpoint;
  /** METHODS= of PROTOCOLINFO. Default NULL. */
  readonly methods?: string;
  readonly cookie?: Uint8Array;
  readonly cookiePath?: string;
  readonly password?: string;
  readonly answer?: Answer;
}

export async function startControlPort(options: ControlPortOptions = {}): Promise<ControlPort> {
  const sessions: ControlSession[] = [];
  const listener = await systemNet.listen(options.endpoint ?? { host: '127.0.0.1', port: 0 }, (stream) => {
    sessions.push(serve(stream, options));
  });
  return {
    endpoint: listener.endpoint,
    sessions,
    commands: (word) => sessions.flatMap(({ commands }) => commands.filter((line) => line.split(' ')[0] === word)),
    close: () => listener.close(),
  };
}

function serve(stream: Duplex, options: ControlPortOptions): ControlSession {
  const session: ControlSession = {
    say: (text) => {
      stream.write(text);
    },
    commands: [],
    drop: () => stream.destroy(),
  };
  const state: AuthenticationState = {};
  let text = '';
  stream.on('error', () => undefined);
  stream.on('data', (chunk: Buffer) => {
    text += chunk.toString('utf8');
    for (let next = cut(text); next !== undefined; next = cut(text)) {
      text = next.rest;
      session.commands.push(next.line);
      const said = options.answer?.(next.line, next.data, session) ?? standard(next.line, options, state);
      if (said !== '') session.say(said);
      if (said.startsWith('515')) stream.end();
    }
  });
  return session;
}

/** Cuts one command off; data keeps its CR LF and its stuffed dots. */
function cut(text: string): { line: string; data: string | undefined; rest: string } | undefined {
  const end = text.indexOf('\r\n');
  if (end < 0) return undefined;
  if (!text.startsWith('+')) return { line: text.slice(0, end), data: undefined, rest: text.slice(end + 2) };
  const close = text.indexOf('\r\n.\r\n');
  if (close < 0) return undefined;
  return { line: text.slice(1, end), data: text.slice(end + 2, close + 2), rest: text.slice(close + 5) };
}

interface AuthenticationState {
  expected?: string;
}

function standard(line: string, options: ControlPortOptions, state: AuthenticationState): string {
  const [command, ...rest] = line.split(' ');
  const hmac = (key: string, data: Uint8Array): string => createHmac('sha256', key).update(data).digest('hex');
  if (command === 'PROTOCOLINFO') {
    const file = options.cookiePath === undefined ? '' : ` COOKIEFILE="${options.cookiePath}"`;
    return `250-PROTOCOLINFO 1\r\n250-AUTH METHODS=${options.methods ?? 'NULL'}${file}\r\n250-VERSION Tor="0.4.9.11"\r\n250 OK\r\n`;
  }
  if (command === 'AUTHCHALLENGE') {
    const nonce = randomBytes(32);
    const data = Buffer.concat([options.cookie ?? randomBytes(32), Buffer.from(rest[1] ?? '', 'hex'), nonce]);
    state.expected = hmac('Tor safe cookie authentication controller-to-server hash', data);
    const server = hmac('Tor safe cookie authentication server-to-controller hash', data);
    return `250 AUTHCHALLENGE SERVERHASH=${server.toUpperCase()} SERVERNONCE=${nonce.toString('hex').toUpperCase()}\r\n`;
  }
  if (command === 'AUTHENTICATE') {
    const given = (rest[0] ?? '').toLowerCase();
    const right =
      (options.methods ?? 'NULL') === 'NULL' ||
      given === state.expected ||
      (state.expected === undefined &&
        options.cookie !== undefined &&
        given === Buffer.from(options.cookie).toString('hex')) ||
      (options.password !== undefined && given === Buffer.from(options.password).toString('hex'));
    return right ? '250 OK\r\n' : `515 Authentication failed: ${given} is wrong\r\n`;
  }
  if (command === 'SETEVENTS' || command === 'HSFETCH' || command === 'HSPOST') return '250 OK\r\n';
  return `510 Unrecognized command "${command}"\r\n`;
}

/** The real world in parts, as a client takes it. */
export function parts(overrides: Partial<{ clock: Clock; random: Random; net: Net; store: Store; log: Log }> = {}): {
  clock: Clock;
  random: Random;
  net: Net;
  store: Store;
  log: Log;
} {
  return { clock: systemClock, random: systemRandom, net: systemNet, store: systemStore, log: silentLog, ...overrides };
}

/** Resolves when `condition` holds. The test's own time-out ends a wait that is in vain. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await systemClock.sleep(2);
}
