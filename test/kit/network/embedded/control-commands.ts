/** The commands of an authenticated control connection, with tor's replies to the letter (control_cmd.c). */
import { decodeBase64, encodeBase64, decodeBase32 } from '../../../../core/onion/bytes.ts';
import {
  masterKeyFromExpanded,
  masterKeyFromSeed,
  defaultRingRules,
  readOuter,
  responsibleHsdirs,
  descriptorSlots,
  timePeriodAt,
  type MasterKey,
  type OnionAddress,
} from '../../../../core/onion/index.ts';
import { canonicalOption } from './configuration.ts';
import type { TorContext } from './context.ts';
import type { ControlledTor } from './controlled-tor.ts';
import { DirectoryClient } from './directory-client.ts';
import { eventNames, type EventName } from './event-bus.ts';
import { answerGetInfo } from './getinfo.ts';
import { parseKeywords, type Keyword } from './kvline.ts';
import { onionOrUndefined } from './onion-argument.ts';
import type { SimulatedRelay } from './relay.ts';
import { parseServicePort, type ServicePort } from './service-config.ts';

export interface ConnectionHandle {
  subscribe(events: ReadonlySet<EventName>): void;
  /** Sends a reply before the command is over: what comes of it later must not overtake it. */
  sendNow(line: string): void;
}

type Handler = (argument: string, data: string | undefined) => readonly string[] | Promise<readonly string[]>;

const ok = ['250 OK'] as const;
const signals: Readonly<Record<string, string>> = {
  RELOAD: 'HUP',
  HUP: 'HUP',
  SHUTDOWN: 'SHUTDOWN',
  INT: 'SHUTDOWN',
  DUMP: 'USR1',
  USR1: 'USR1',
  DEBUG: 'USR2',
  USR2: 'USR2',
  HALT: 'TERM',
  TERM: 'TERM',
  NEWNYM: 'NEWNYM',
  CLEARDNSCACHE: 'CLEARDNSCACHE',
  HEARTBEAT: 'HEARTBEAT',
  ACTIVE: 'ACTIVE',
  DORMANT: 'DORMANT',
};
const obsolete = new Set(['SETROUTERPURPOSE']);

export class ControlCommands {
  readonly #context: TorContext;
  readonly #tor: ControlledTor;
  readonly #connection: ConnectionHandle;
  readonly #directory: DirectoryClient;
  /** Services that ADD_ONION tied to this connection. */
  readonly #ownServices = new Set<OnionAddress>();
  readonly #handlers: Readonly<Record<string, Handler>>;

  constructor(context: TorContext, tor: ControlledTor, connection: ConnectionHandle) {
    this.#context = context;
    this.#tor = tor;
    this.#connection = connection;
    this.#directory = new DirectoryClient(context);
    this.#handlers = {
      GETINFO: (argument) => answerGetInfo(context, tor, argument.split(/\s+/).filter(Boolean), [...this.#ownServices]),
      GETCONF: (argument) => this.#getConf(argument),
      SETCONF: (argument) => this.#setConf(argument),
      RESETCONF: (argument) => this.#setConf(argument),
      SETEVENTS: (argument) => this.#setEvents(argument),
      SIGNAL: (argument) => this.#signal(argument),
      CLOSECIRCUIT: (argument) => this.#closeCircuit(argument),
      HSFETCH: (argument) => this.#hsFetch(argument),
      '+HSPOST': (argument, data) => this.#hsPost(argument, data ?? ''),
      ADD_ONION: (argument) => this.#addOnion(argument),
      DEL_ONION: (argument) => this.#delOnion(argument),
      ONION_CLIENT_AUTH_ADD: (argument) => this.#authorize(argument),
      ONION_CLIENT_AUTH_REMOVE: (argument) => this.#deauthorize(argument),
      ONION_CLIENT_AUTH_VIEW: (argument) => this.#viewAuthorizations(argument),
      TAKEOWNERSHIP: () => ok,
      DROPOWNERSHIP: () => ok,
      SAVECONF: () => ok,
      DROPGUARDS: () => ok,
      DROPTIMEOUTS: () => ok,
      USEFEATURE: (argument) => {
        const bad = argument.split(/\s+/).find((word) => word && !/^(?:VERBOSE_NAMES|EXTENDED_EVENTS)$/i.test(word));
        return bad === undefined ? ok : [`552 Unrecognized feature "${bad}"`];
      },
    };
  }

  /** The lines of the reply; none for what tor does not answer. */
  async run(name: string, argument: string, data: string | undefined): Promise<readonly string[]> {
    const handler = this.#handlers[name.toUpperCase()];
    if (handler !== undefined) return await handler(argument, data);
    if (obsolete.has(name.toUpperCase())) return [`511 ${name.toUpperCase()} is obsolete.`];
    return [`510 Unrecognized command "${name}"`];
  }

  connectionClosed(): void {
    for (const address of this.#ownServices) this.#tor.services.remove(address);
    this.#ownServices.clear();
  }

  // Options.

  #getConf(argument: string): readonly string[] {
    const names = argument.split(/\s+/).filter(Boolean);
    const unknown = names.filter((name) => name !== 'HiddenServiceOptions' && canonicalOption(name) === undefined);
    const lines =
      unknown.length > 0
        ? unknown.map((name) => ['552', `Unrecognized configuration key "${name}"`] as const)
        : names
            .flatMap((name) => this.#context.configuration.answer(canonicalOption(name) ?? name))
            .map((line) => ['250', line] as const);
    if (lines.length === 0) return ok;
    return lines.map(([code, line], index) => `${code}${index === lines.length - 1 ? ' ' : '-'}${line}`);
  }

  async #setConf(argument: string): Promise<readonly string[]> {
    const keywords = parseKeywords(argument);
    if (keywords === undefined || keywords.length === 0) {
      return ['512 Bad arguments to SETCONF: Cannot parse keyword argument(s)'];
    }
    const { configuration } = this.#context;
    const lines = configuration.after(keywords.map(({ key, value }) => [key, value] as const));
    const refusal = 'code' in lines ? lines : await this.#tor.configure(lines);
    if (refusal !== undefined) return [`${refusal.code} ${refusal.text}`];
    this.#context.events.emit('CONF_CHANGED', () => [
      '650-CONF_CHANGED',
      ...keywords.map(({ key, value }) => `650-${canonicalOption(key)}${value === undefined ? '' : `=${value}`}`),
      '650 OK',
    ]);
    return ok;
  }

  #setEvents(argument: string): readonly string[] {
    const chosen = new Set<EventName>();
    for (const word of argument.split(/\s+/).filter(Boolean)) {
      if (/^(?:EXTENDED|AUTHDIR_NEWDESCS)$/i.test(word)) continue;
      const name = eventNames.find((known) => known === word.toUpperCase());
      if (name === undefined) return [`552 Unrecognized event "${word}"`];
      chosen.add(name);
    }
    this.#connection.subscribe(chosen);
    return ok;
  }

  #signal(argument: string): readonly string[] {
    const name = signals[argument.toUpperCase()];
    if (name === undefined) return [`552 Unrecognized signal code "${argument}"`];
    this.#connection.sendNow(ok[0]);
    this.#tor.signal(name);
    return [];
  }

  #closeCircuit(argument: string): readonly string[] {
    const [id = ''] = argument.split(/\s+/);
    if (id === '') return ['512 Bad arguments to CLOSECIRCUIT: Need at least 1 argument(s)'];
    const circuit = /^\d+$/.test(id) ? this.#context.circuits.get(Number(id)) : undefined;
    if (circuit === undefined) return [`552 Unknown circuit "${id}"`];
    this.#connection.sendNow(ok[0]);
    circuit.close('REQUESTED');
    return [];
  }

  // Descriptors.

  /** The keywords of an argument, or the reply that refuses them. */
  #keywords(command: string, text: string, allowed: readonly string[]): readonly Keyword[] | string {
    const keywords = parseKeywords(text);
    if (keywords === undefined) return `512 Bad arguments to ${command}: Cannot parse keyword argument(s)`;
    const bad = keywords.find(({ key, value }) => value === undefined || !allowed.includes(key.toUpperCase()));
    if (bad === undefined) return keywords;
    return bad.value === undefined
      ? `512 Bad arguments to ${command}: Cannot parse keyword argument(s)`
      : `512 Bad arguments to ${command}: Unrecognized keyword argument "${bad.key}"`;
  }

  /** The relays that SERVER keywords name, or the reply for one that is not in the consensus. */
  #servers(keywords: readonly Keyword[]): SimulatedRelay[] | string | undefined {
    const relays: SimulatedRelay[] = [];
    for (const { key, value = '' } of keywords) {
      if (key.toUpperCase() !== 'SERVER') continue;
      const fingerprint = value
        .replace(/^\$/, '')
        .replace(/[~=].*/, '')
        .toUpperCase();
      const relay = this.#context.network.relay(fingerprint);
      if (relay === undefined || !this.#context.consensus()?.relays.includes(relay)) {
        return `552 Server "${value}" not found`;
      }
      relays.push(relay);
    }
    return relays.length === 0 ? undefined : relays;
  }

  #hsFetch(argument: string): readonly string[] {
    const [target = '', ...rest] = argument.split(/\s+/).filter(Boolean);
    if (target === '') return ['512 Bad arguments to HSFETCH: Need at least 1 argument(s)'];
    const keywords = this.#keywords('HSFETCH', rest.join(' '), ['SERVER']);
    if (typeof keywords === 'string') return [keywords];
    const address = onionOrUndefined(target);
    if (address === undefined) return [`513 Invalid argument "${target}"`];
    const servers = this.#servers(keywords);
    if (typeof servers === 'string') return [servers];
    this.#connection.sendNow(ok[0]);
    this.#tor.client.fetchForController(address, servers);
    return [];
  }

  #hsPost(argument: string, text: string): readonly string[] {
    if (text === '') return ['512 Bad arguments to +HSPOST: Empty body'];
    const keywords = this.#keywords('+HSPOST', argument, ['SERVER', 'HSADDRESS']);
    if (typeof keywords === 'string') return [keywords];
    let address: OnionAddress | undefined;
    for (const { key, value = '' } of keywords) {
      if (key.toUpperCase() === 'SERVER') {
        const servers = this.#servers([{ key, value }]);
        if (typeof servers === 'string') return [servers];
      } else {
        address = onionOrUndefined(value);
        if (address === undefined) return ['512 Malformed onion address'];
      }
    }
    // Without an address tor does nothing, and says nothing.
    if (address === undefined) return [];
    const servers = this.#servers(keywords) as SimulatedRelay[] | undefined;
    let blindedKey: Uint8Array;
    try {
      ({ blindedKey } = readOuter(text));
    } catch {
      return ['554 Invalid descriptor'];
    }
    this.#connection.sendNow(ok[0]);
    const name = encodeBase64(blindedKey).replace(/=+$/, '');
    for (const relay of servers ?? this.#torsOwnChoice(blindedKey)) this.#directory.upload(address, name, relay, text);
    return [];
  }

  /** What tor uploads to when no server is named: the first ring, with the current period, whatever the descriptor is of. */
  #torsOwnChoice(blindedKey: Uint8Array): SimulatedRelay[] {
    const consensus = this.#context.consensus();
    if (consensus === undefined) return [];
    const { network } = this.#context;
    const { first } = descriptorSlots(consensus.times, consensus.rules, consensus.sharedRandom);
    const ring = network.ring(consensus.hsdirs, first.srv, first.period);
    const period = timePeriodAt(consensus.times, consensus.rules);
    return responsibleHsdirs(ring, blindedKey, period, defaultRingRules, 'store')
      .map((relay) => network.relay(relay.fingerprint))
      .filter((relay) => relay !== undefined);
  }

  // Services of controllers.

  #addOnion(argument: string): readonly string[] {
    const [keyText = '', ...rest] = argument.split(/\s+/).filter(Boolean);
    if (keyText === '') return ['512 Bad arguments to ADD_ONION: Need at least 1 argument(s)'];
    const keywords = this.#keywords('ADD_ONION', rest.join(' '), [
      'PORT',
      'FLAGS',
      'MAXSTREAMS',
      'CLIENTAUTH',
      'CLIENTAUTHV3',
    ]);
    if (typeof keywords === 'string') return [keywords];
    const ports: ServicePort[] = [];
    const clients: { readonly text: string; readonly key: Uint8Array }[] = [];
    const flags = new Set<string>();
    for (const { key, value = '' } of keywords) {
      switch (key.toUpperCase()) {
        case 'PORT': {
          const port = parseServicePort(value, ',');
          if (port === undefined) return ['512 Invalid VIRTPORT/TARGET'];
          ports.push(port);
          break;
        }
        case 'FLAGS':
          for (const flag of value.split(',').filter(Boolean)) {
            if (!/^(?:DiscardPK|Detach|MaxStreamsCloseCircuit|V3Auth|NonAnonymous)$/i.test(flag)) {
              return [`512 Invalid 'Flags' argument: "${flag}"`];
            }
            flags.add(flag.toLowerCase());
          }
          if (value === '') return ["512 Invalid 'Flags' argument"];
          break;
        case 'CLIENTAUTHV3': {
          const decoded = decodeBase32(value);
          if (decoded === undefined || decoded.length !== 32) return ['512 Cannot decode v3 client auth key'];
          clients.push({ text: value, key: decoded });
          break;
        }
        default:
      }
    }
    if (ports.length === 0) return ["512 Missing 'Port' argument"];
    if (clients.length > 0 && !flags.has('v3auth')) return ['512 No auth type specified'];
    if (clients.length === 0 && flags.has('v3auth')) return ['512 No auth clients specified'];
    if (flags.has('nonanonymous')) return ['512 Tor is in anonymous hidden service mode'];
    const parsed = this.#parseServiceKey(keyText);
    if (typeof parsed === 'string') return [parsed];
    const address = this.#tor.services.add(parsed.master, {
      ports,
      introPoints: 3,
      introductionLimit: undefined,
      masters: undefined,
      exportCircuitId: false,
      allowUnknownPorts: false,
      clients: clients.map(({ key }) => key),
    });
    if (address === undefined) return ['550 Onion address collision'];
    if (flags.has('detach')) this.#tor.services.detached.add(address);
    else this.#ownServices.add(address);
    const secret = encodeBase64(parsed.master.expandedSecret);
    return [
      `250-ServiceID=${address}`,
      ...(parsed.isNew && !flags.has('discardpk') ? [`250-PrivateKey=ED25519-V3:${secret}`] : []),
      ...clients.map(({ text }) => `250-ClientAuthV3=${text}`),
      ok[0],
    ];
  }

  #parseServiceKey(text: string): { readonly master: MasterKey; readonly isNew: boolean } | string {
    const [type = '', blob = '', ...more] = text.split(':').filter(Boolean);
    if (blob === '' || more.length > 0) return '512 Invalid key type/blob';
    if (/^NEW$/i.test(type)) {
      if (!/^(?:ED25519-V3|BEST)$/i.test(blob)) return '513 Invalid key type';
      return { master: masterKeyFromSeed(this.#context.random.bytes(32)), isNew: true };
    }
    if (!/^ED25519-V3$/i.test(type)) return '513 Invalid key type';
    const secret = decodeBase64(blob);
    if (secret === undefined || secret.length !== 64) return '512 Failed to decode ED25519-V3 key';
    try {
      return { master: masterKeyFromExpanded(secret), isNew: false };
    } catch {
      return '551 Failed to generate onion address';
    }
  }

  #delOnion(argument: string): readonly string[] {
    const address = onionOrUndefined(argument);
    if (address === undefined) return ['512 Malformed Onion Service id'];
    const known = this.#ownServices.has(address) || this.#tor.services.detached.has(address);
    if (!known) return ['552 Unknown Onion Service id'];
    this.#ownServices.delete(address);
    this.#tor.services.remove(address);
    return ok;
  }

  // Client authorization.

  #authorize(argument: string): readonly string[] {
    const [target = '', keyText = ''] = argument.split(/\s+/).filter(Boolean);
    if (keyText === '') return ['512 Incomplete ONION_CLIENT_AUTH_ADD command'];
    const address = onionOrUndefined(target);
    if (address === undefined) return [`512 Invalid v3 address "${target}"`];
    const [type = '', blob = '', ...more] = keyText.split(':').filter(Boolean);
    if (blob === '' || more.length > 0) return ['512 Invalid key type/blob'];
    if (!/^x25519$/i.test(type)) return [`552 Unrecognized key type "${type}"`];
    const key = decodeBase64(blob);
    if (key === undefined || key.length !== 32) return ['512 Failed to decode x25519 private key'];
    if (key.every((byte) => byte === 0)) return [`553 Invalid private key "${blob}"`];
    const replaced = this.#tor.client.authorize(address, key);
    return [replaced ? '251 Client for onion existed and replaced' : ok[0]];
  }

  #deauthorize(argument: string): readonly string[] {
    const address = onionOrUndefined(argument);
    if (address === undefined) return [`512 Invalid v3 address "${argument}"`];
    return [this.#tor.client.deauthorize(address) ? ok[0] : `251 No credentials for "${argument}"`];
  }

  #viewAuthorizations(argument: string): readonly string[] {
    const only = argument === '' ? undefined : onionOrUndefined(argument);
    if (argument !== '' && only === undefined) return [`512 Invalid v3 address "${argument}"`];
    const lines = [...this.#tor.client.authorizations]
      .filter(([address]) => only === undefined || address === only)
      .map(([address, key]) => `250-CLIENT ${address} x25519:${encodeBase64(key)}`)
      .sort();
    return [`250-ONION_CLIENT_AUTH_VIEW${only === undefined ? '' : ` ${only}`}`, ...lines, ok[0]];
  }
}
