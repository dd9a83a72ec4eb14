/** The tools of the conformance suite: tors, sites, visits, descriptors, all through control and SOCKS ports. */
import { createHash } from 'node:crypto';
import type { Duplex } from 'node:stream';
import {
  addressOfKey,
  blindedKey,
  createMaterial,
  createRingCache,
  defaultRingRules,
  descriptorSlots,
  encodeDescriptor,
  neighbourPeriod,
  openDescriptor,
  parseOnionAddress,
  parseSecretKeyFile,
  responsibleHsdirs,
  signBlinded,
  subcredential,
  timePeriodAt,
  type ConsensusTimes,
  type Descriptor,
  type DescriptorSlot,
  type DescriptorSlots,
  type IntroPoint,
  type MasterKey,
  type OnionAddress,
  type Relay,
} from '../../../../core/onion/index.ts';
import { formatEndpoint, type Listener, type Runtime } from '../../../../core/runtime/index.ts';
import type { TorInstance, TorNetwork } from '../network.ts';
import { RawControl, type RawReply } from './raw-control.ts';
import { socksConnect, type SocksResult } from './raw-socks.ts';

export interface ConformanceSubject {
  readonly network: TorNetwork;
  readonly runtime: Pick<Runtime, 'clock' | 'random' | 'net' | 'store'>;
  /** Lets time pass until the promise settles. Rejects when `limitMs` pass before. */
  within<T>(promise: Promise<T>, limitMs: number): Promise<T>;
  /** Lets this much time pass. */
  pass(durationMs: number): Promise<void>;
}

/** What the suite knows of the consensus, read as a controller reads it. */
export interface ConsensusView {
  readonly times: ConsensusTimes;
  readonly slots: DescriptorSlots;
  readonly hsdirs: readonly Relay[];
}

const rules = { testingNetwork: true };
export const features = { flowControl: { versions: '1-2', sendmeIncrement: 31 }, singleOnionService: false };
export const socksTimeoutSeconds = 15;
/** In which a new service has uploaded both its descriptors. */
const uploadSeconds = 10;
export const unixTime = (text: string): number => Date.parse(`${text.replace(' ', 'T')}Z`) / 1000;

function halfAt(times: ConsensusTimes): string {
  const { first, clientUses } = descriptorSlots(times, rules, {});
  return `${clientUses} from ${first.period.number}`;
}

export class Bench {
  readonly subject: ConformanceSubject;
  readonly #controls = new Map<TorInstance, RawControl>();
  readonly #listeners: Listener[] = [];
  readonly #rings = createRingCache();
  readonly #lastRevisions = new Map<string, bigint>();

  constructor(subject: ConformanceSubject) {
    this.subject = subject;
  }

  get net(): ConformanceSubject['runtime']['net'] {
    return this.subject.runtime.net;
  }

  within<T>(promise: Promise<T>, limitMs = 60_000): Promise<T> {
    return this.subject.within(promise, limitMs);
  }

  /** Asks until the answer is given; the longer the limit, the less often. */
  async until<T>(ask: () => Promise<T | undefined>, limitMs = 60_000): Promise<T> {
    const { clock } = this.subject.runtime;
    const end = clock.monotonic() + limitMs;
    for (;;) {
      const answer = await ask();
      if (answer !== undefined) return answer;
      if (clock.monotonic() > end) throw new Error(`nothing came within ${limitMs} ms: ${ask.toString()}`);
      await this.subject.pass(Math.max(200, limitMs / 300));
    }
  }

  async addTor(name: string, options: { socks?: boolean; config?: Record<string, string> } = {}): Promise<TorInstance> {
    const tor = await this.within(this.subject.network.addTor({ name, ...options }));
    await this.within(tor.bootstrapped(), 120_000);
    return tor;
  }

  async control(tor: TorInstance): Promise<RawControl> {
    const known = this.#controls.get(tor);
    if (known !== undefined && !known.closed) return known;
    const { net, store } = this.subject.runtime;
    const control = await this.within(RawControl.connect(net, store, tor));
    this.#controls.set(tor, control);
    return control;
  }

  async send(tor: TorInstance, line: string, data?: string): Promise<RawReply> {
    return this.within((await this.control(tor)).send(line, data));
  }

  async getInfo(tor: TorInstance, key: string): Promise<string> {
    return this.within((await this.control(tor)).getInfo(key));
  }

  async expectOk(tor: TorInstance, line: string, data?: string): Promise<void> {
    const { lines } = await this.send(tor, line, data);
    if (lines.join('\n') !== '250 OK') throw new Error(`${line}: ${lines.join(' / ')}`);
  }

  /** Subscribes anew and forgets earlier events. */
  async listen(tor: TorInstance, ...names: string[]): Promise<RawReply[]> {
    await this.expectOk(tor, `SETEVENTS ${names.join(' ')}`);
    const { events } = await this.control(tor);
    events.length = 0;
    return events;
  }

  /** A site that says its name to whoever connects, and then echoes. */
  async site(name: string): Promise<string> {
    const listener = await this.net.listen({ host: '127.0.0.1', port: 0 }, (stream) => {
      stream.on('error', () => undefined);
      stream.write(`${name}\n`);
      stream.on('data', (chunk) => stream.write(chunk));
    });
    this.#listeners.push(listener);
    return formatEndpoint(listener.endpoint);
  }

  open(tor: TorInstance, address: OnionAddress, isolation: string, limitMs = 60_000): Promise<SocksResult> {
    return this.openHost(tor, `${address}.onion`, 80, isolation, limitMs);
  }

  async openHost(
    tor: TorInstance,
    host: string,
    port: number,
    isolation: string,
    limitMs = 60_000,
  ): Promise<SocksResult> {
    const { socks } = tor;
    if (socks === undefined) throw new Error(`${tor.name} has no SOCKS port`);
    return this.within(socksConnect(this.net, socks, host, port, isolation), limitMs);
  }

  /** Visits a service; what the site said, or the SOCKS code. */
  async visit(tor: TorInstance, address: OnionAddress, isolation: string, limitMs = 60_000): Promise<string | number> {
    const { code, stream, early } = await this.open(tor, address, isolation, limitMs);
    if (code !== 0) return code;
    const said = await this.within(firstLine(stream, early), limitMs);
    stream.destroy();
    return said;
  }

  /**
   * Many visits at once, each over circuits of its own, awaited by nobody: `codes` fills as they are answered. Floods of one
   * name share their circuits.
   */
  flood(
    tor: TorInstance,
    address: OnionAddress,
    count: number,
    name = 'flood',
  ): { readonly codes: number[]; readonly end: () => void } {
    const { socks } = tor;
    if (socks === undefined) throw new Error(`${tor.name} has no SOCKS port`);
    const codes: number[] = [];
    const streams: Duplex[] = [];
    let over = false;
    const visit = async (isolation: string): Promise<void> => {
      try {
        const { code, stream } = await socksConnect(this.net, socks, `${address}.onion`, 80, isolation);
        codes.push(code);
        streams.push(stream);
        if (over) stream.destroy();
      } catch {
        codes.push(-1);
      }
    };
    for (let index = 0; index < count; index++) void visit(`${name}-${address}-${index}`);
    return {
      codes,
      end: () => {
        over = true;
        for (const stream of streams) stream.destroy();
      },
    };
  }

  /**
   * Makes a service on `tor` by SETCONF, with `ob_config` first when it is to be an instance. `keep`: beside those that are
   * there; `options`: more of them, in torrc's words.
   */
  async service(
    tor: TorInstance,
    name: string,
    target: string,
    masters: readonly OnionAddress[] = [],
    { keep = false, options = '' } = {},
  ): Promise<OnionAddress> {
    const { store } = this.subject.runtime;
    await this.halfStands(tor);
    const directory = `${tor.dataDirectory}/${name}`;
    if (masters.length > 0) {
      await store.makeDirectory(directory);
      await store.write(
        `${directory}/ob_config`,
        masters.map((master) => `MasterOnionAddress ${master}.onion\n`).join(''),
      );
    }
    const { lines } = keep ? await this.send(tor, 'GETCONF HiddenServiceOptions') : { lines: [] };
    const known = lines.flatMap((line) => /^250[- ](HiddenService\w+)=(.*)$/.exec(line)?.slice(1).join('="') ?? []);
    const before = known.map((setting) => `${setting}" `).join('');
    await this.expectOk(
      tor,
      `SETCONF ${before}HiddenServiceDir="${directory}" HiddenServicePort="80 ${target}"` +
        (masters.length > 0 ? ' HiddenServiceOnionBalanceInstance=1' : '') +
        (options === '' ? '' : ` ${options}`),
    );
    const hostname = await this.until(() => store.read(`${directory}/hostname`));
    return parseOnionAddress(Buffer.from(hostname).toString('utf8').trim());
  }

  /**
   * Waits while another half of a time period is about to begin or has begun without this tor's having heard. One that hears of it
   * while it uploads a new service's descriptors brings each to the HSDirs of the other one, and notices a minute later (C tor 0.4.9.11); and
   * with each new shared random value a service closes the circuits of half of its introduction points.
   */
  async halfStands(tor: TorInstance, forSeconds = uploadSeconds): Promise<void> {
    await this.until(async () => {
      const times = await this.#times(tor);
      const voting = times.freshUntil - times.validAfter;
      const stands = [this.now(), this.now() + forSeconds].every((seconds) => {
        const validAfter = Math.floor(seconds / voting) * voting;
        return halfAt({ validAfter, freshUntil: validAfter + voting }) === halfAt(times);
      });
      return stands || undefined;
    }, this.subject.network.votingSeconds * 6_000);
  }

  /**
   * What `look` sees or throws while this tor knows one half of a time period, from one that still lasts so long. Taken again
   * where it heard of another one meanwhile: services close introduction circuits by themselves then, and clients fetch another
   * descriptor.
   */
  async withinOneHalf<T>(tor: TorInstance, forSeconds: number, look: () => Promise<T>): Promise<T> {
    for (;;) {
      await this.halfStands(tor, forSeconds);
      const half = halfAt(await this.#times(tor));
      const [seen] = await Promise.allSettled([look()]);
      if (halfAt(await this.#times(tor)) !== half) continue;
      if (seen.status === 'rejected') throw seen.reason;
      return seen.value;
    }
  }

  async serviceKey(tor: TorInstance, name: string): Promise<MasterKey> {
    const file = await this.subject.runtime.store.read(`${tor.dataDirectory}/${name}/hs_ed25519_secret_key`);
    return parseSecretKeyFile(file as Uint8Array);
  }

  async #times(tor: TorInstance): Promise<ConsensusTimes> {
    const validAfter = unixTime(await this.getInfo(tor, 'consensus/valid-after'));
    return { validAfter, freshUntil: unixTime(await this.getInfo(tor, 'consensus/fresh-until')) };
  }

  async consensus(tor: TorInstance): Promise<ConsensusView> {
    for (;;) {
      const times = await this.#times(tor);
      const current = Buffer.from(await this.getInfo(tor, 'sr/current'), 'base64');
      const previous = Buffer.from(await this.getInfo(tor, 'sr/previous'), 'base64');
      const hsdirs = relaysOf(await this.getInfo(tor, 'ns/all'), await this.getInfo(tor, 'md/all'));
      if ((await this.#times(tor)).validAfter !== times.validAfter) continue;
      const random = {
        ...(current.length === 32 ? { current } : {}),
        ...(previous.length === 32 ? { previous } : {}),
      };
      return { times, slots: descriptorSlots(times, rules, random), hsdirs };
    }
  }

  /** GETINFO hs/service/desc/id, opened, once it has at least `points` introduction points. */
  async serviceDescriptor(tor: TorInstance, address: OnionAddress, points = 3): Promise<Descriptor> {
    return this.until(async () => {
      const reply = await this.send(tor, `GETINFO hs/service/desc/id/${address}`);
      if (reply.code !== 250) return undefined;
      const { times } = await this.consensus(tor);
      const period = timePeriodAt(times, rules);
      const opened = tryOpen(
        `${reply.lines.slice(1, -1).join('\n')}\n`,
        address,
        [neighbourPeriod(period, -1), period, neighbourPeriod(period, 1)],
        this.now(),
      );
      return opened !== undefined && opened.introPoints.length >= points ? opened : undefined;
    });
  }

  now(): number {
    return Math.floor(this.subject.runtime.clock.now() / 1000);
  }

  /** A descriptor of `master` for a slot, as a publisher of the merged kind makes it, with a revision above all before. */
  async encode(
    master: MasterKey,
    slot: DescriptorSlot,
    introPoints: readonly IntroPoint[],
    wantedRevision?: bigint,
  ): Promise<string> {
    const { random } = this.subject.runtime;
    const blinded = blindedKey(master, slot.period);
    const material = await createMaterial({
      random,
      blindedPublicKey: blinded.publicKey,
      now: this.now(),
      sign: async (body) => signBlinded(blinded, body),
    });
    const key = Buffer.from(blinded.publicKey).toString('hex');
    const revision = wantedRevision ?? (this.#lastRevisions.get(key) ?? 2n ** 34n) + 1n;
    if (wantedRevision === undefined) this.#lastRevisions.set(key, revision);
    return encodeDescriptor(material, {
      subcredential: subcredential(master.publicKey, blinded.publicKey),
      revision,
      introPoints,
      features,
      now: this.now(),
      random,
    });
  }

  responsible(view: ConsensusView, slot: DescriptorSlot, master: MasterKey): string[] {
    const ring = this.#rings(view.hsdirs, slot.srv, slot.period);
    const { publicKey } = blindedKey(master, slot.period);
    return responsibleHsdirs(ring, publicKey, slot.period, defaultRingRules, 'store').map((relay) => relay.fingerprint);
  }

  /** HSPOSTs both descriptors of `master` to their HSDirs, and waits for all of them to be taken. */
  async publish(tor: TorInstance, master: MasterKey, introPoints: readonly IntroPoint[]): Promise<void> {
    const view = await this.consensus(tor);
    const address = addressOfKey(master.publicKey);
    const events = await this.listen(tor, 'HS_DESC');
    let wanted = 0;
    for (const slot of [view.slots.first, view.slots.second]) {
      const servers = this.responsible(view, slot, master);
      wanted += servers.length;
      const text = await this.encode(master, slot, introPoints);
      await this.expectOk(tor, hspost(address, servers), text);
    }
    await this.until(async () => {
      const taken = events.filter((event) => event.lines[0]?.startsWith(`650 HS_DESC UPLOADED ${address} `)).length;
      return taken >= wanted ? true : undefined;
    });
  }

  /** Circuits of one purpose and state, from circuit-status. */
  async circuits(tor: TorInstance, purpose: string, state: string): Promise<string[]> {
    const status = await this.getInfo(tor, 'circuit-status');
    return status
      .split('\n')
      .filter((line) => line.includes(` PURPOSE=${purpose} `) && line.includes(` HS_STATE=${state} `))
      .map((line) => line.split(' ')[0] ?? '');
  }

  async close(): Promise<void> {
    for (const control of this.#controls.values()) control.close();
    await Promise.all(this.#listeners.map((listener) => listener.close()));
    await this.within(this.subject.network.stop());
  }
}

export function hspost(address: string, servers: readonly string[]): string {
  return `+HSPOST ${servers.map((server) => `SERVER=${server} `).join('')}HSADDRESS=${address}`;
}

export function tryOpen(
  text: string,
  address: OnionAddress,
  periods: Parameters<typeof openDescriptor>[1]['periods'],
  now: number,
): Descriptor | undefined {
  try {
    return openDescriptor(text, { address, periods, now });
  } catch {
    return undefined;
  }
}

function relaysOf(statuses: string, microdescriptors: string): Relay[] {
  const ids = new Map<string, Uint8Array>();
  for (const text of microdescriptors.split(/^(?=onion-key$)/m)) {
    const id = /^id ed25519 (\S+)$/m.exec(text)?.[1];
    if (id === undefined) continue;
    const digest = createHash('sha256')
      .update(`${text.replace(/\n*$/, '')}\n`)
      .digest();
    const name = digest.subarray(0, 20).toString('base64').replace(/=+$/, '');
    ids.set(name, new Uint8Array(Buffer.from(id, 'base64')));
  }
  const relays: Relay[] = [];
  for (const text of statuses.split(/^(?=r )/m)) {
    const [, identity = '', digest = ''] = /^r \S+ (\S+) (\S+) /.exec(text) ?? [];
    const ed25519 = ids.get(digest);
    if (ed25519 === undefined || !/^s .*\bHSDir\b/m.test(text)) continue;
    relays.push({ fingerprint: Buffer.from(identity, 'base64').toString('hex').toUpperCase(), ed25519 });
  }
  return relays;
}

function firstLine(stream: Duplex, early: Buffer): Promise<string> {
  return new Promise((resolve) => {
    let text = early.toString('utf8');
    const look = (): void => {
      const end = text.indexOf('\n');
      if (end >= 0) resolve(text.slice(0, end));
    };
    look();
    stream.on('data', (chunk: Buffer) => {
      text += chunk.toString('utf8');
      look();
    });
    stream.once('close', () => resolve(text));
    stream.resume();
  });
}

/** The first lines of the events that name this address. */
export function linesAbout(events: readonly RawReply[], address: OnionAddress): string[] {
  return events.map((event) => event.lines[0] ?? '').filter((line) => line.includes(address));
}
