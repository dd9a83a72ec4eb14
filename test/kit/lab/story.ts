/**
 * The lab: a whole service on a Tor network of its own, told as it happens. Nodes come up, elect, merge and publish; a
 * client fetches the descriptor, verifies it and reaches every head; a head dies and the descriptor changes. Each claim is
 * checked from outside, by a client's tor. Enter at `runLab`.
 */
import { presetPlugins } from '../../../core/config/preset.ts';
import { resolveConfig } from '../../../core/config/index.ts';
import { createNode } from '../../../core/cli/node.ts';
import type { ChimeraError } from '../../../core/errors.ts';
import { electionContract, type Engine, type TorClient } from '../../../core/engine/index.ts';
import {
  addressOfKey,
  encodeSecretKeyFile,
  introPointId,
  masterKeyFromSeed,
  type OnionAddress,
} from '../../../core/onion/index.ts';
import type { CycleResult } from '../../../core/pipeline/index.ts';
import { formatEndpoint, type Listener } from '../../../core/runtime/index.ts';
import { createTorClient } from '../../../plugins/tor/index.ts';
import type { TorInstance, TorNetwork } from '../network/network.ts';
import { startBackend } from './backend.ts';
import { testMembers, type TestMembers } from '../sim/members.ts';
import { createSeededRandom } from '../sim/seeded-random.ts';
import { askNode } from '../../../plugins/admin/index.ts';
import { panicStory, panicTables } from './panic.ts';
import type { LabEvent, LabOptions, LabReport } from './model.ts';
import { openSite } from './site.ts';
import { createVisitor, type Visit, type Visitor } from './visitor.ts';

export type { LabEvent, LabOptions, LabReport } from './model.ts';

interface LabNode {
  readonly name: string;
  readonly tor: TorInstance;
  /** Undefined for a node that publishes only. */
  readonly site: Listener | undefined;
  readonly engine: Engine;
  /** Its last confirmed publication; later cycles that change nothing do not matter. */
  readonly last: { published: CycleResult | undefined };
}

const visitLimitMs = 15_000;
const publishLimitMs = 30_000;
const deathLimitMs = 15_000;

export async function runLab(options: LabOptions): Promise<LabReport> {
  const { runtime, signal } = options;
  const lab = new Lab(options);
  try {
    await lab.run();
  } catch (error) {
    const { message, remedy } = error as Partial<ChimeraError> & Error;
    if (!signal.aborted) lab.check(false, `the story ended early: ${message}`, remedy === undefined ? {} : { remedy });
  } finally {
    await lab.stop();
  }
  if (signal.aborted) lab.check(false, 'interrupted', { remedy: 'let it run to its end' });
  runtime.log.debug('lab over');
  return lab.report();
}

class Lab {
  private readonly options: LabOptions;
  private readonly begun: number;
  private readonly events: LabEvent[] = [];
  private readonly nodes: LabNode[] = [];
  /** In standalone mode: what stands behind the address without a node. */
  private readonly backends: Pick<LabNode, 'name' | 'tor' | 'site'>[] = [];
  private readonly sites: { close(): Promise<void> }[] = [];
  private readonly visits: Visit[] = [];
  private network: TorNetwork | undefined;
  private members: TestMembers | undefined;
  private readonly clients: TorClient[] = [];
  /** Rejects once the signal aborts, so that a wait ends with it. */
  private readonly aborted: Promise<never>;

  /** Of the first node, for the operator's commands. */
  private readonly adminSocket: string;

  constructor(options: LabOptions) {
    this.options = options;
    this.adminSocket = `${options.directory}/admin.sock`;
    this.begun = options.runtime.clock.monotonic();
    this.aborted = new Promise((_resolve, reject) => {
      options.signal.addEventListener('abort', () => reject(options.signal.reason as Error), { once: true });
    });
    this.aborted.catch(() => undefined);
  }

  private emit(event: Omit<LabEvent, 'atMs'>): void {
    const whole = { atMs: Math.round(this.options.runtime.clock.monotonic() - this.begun), ...event };
    this.events.push(whole);
    this.options.tell(whole);
  }
  private step(text: string): void {
    this.emit({ kind: 'step', text });
  }
  private note(text: string, data?: Readonly<Record<string, unknown>>): void {
    this.emit({ kind: 'note', text, ...(data === undefined ? {} : { data }) });
  }
  check(held: boolean, text: string, data?: Readonly<Record<string, unknown>>): void {
    this.emit({ kind: 'check', held, text, ...(data === undefined ? {} : { data }) });
  }

  report(): LabReport {
    const failed = this.visits.filter(({ head }) => head === undefined).length;
    const held = this.events.every((event) => event.held !== false) && this.events.some((event) => event.held === true);
    return { held, events: this.events, visits: { made: this.visits.length, failed } };
  }

  async run(): Promise<void> {
    const { runtime, nodes: count, preset } = this.options;
    this.step('a Tor network starts');
    const network = await Promise.race([this.options.network(), this.aborted]);
    this.network = network;
    const key = masterKeyFromSeed(runtime.random.bytes(32));
    const address = addressOfKey(key.publicKey);
    const keyPath = `${this.options.directory}/hs_ed25519_secret_key`;
    await runtime.store.write(keyPath, encodeSecretKeyFile(key));

    const names = Array.from({ length: count }, (_none, index) => `node-${index + 1}`);
    const random = createSeededRandom(Buffer.from(runtime.random.bytes(16)).toString('hex'));
    this.members = testMembers(names, random, (_name, node) => `memory:${node}`);
    const tors = await Promise.all(names.map((name) => network.addTor({ name })));
    const visitorTor = await network.addTor({ name: 'visitor', socks: true });
    await Promise.race([network.ready((text) => this.note(text)), this.aborted]);
    this.check(true, `the network is up: ${network.hsdirCount} HSDirs, a consensus every ${network.votingSeconds} s`);

    if (preset === 'standalone') await this.startStandalone(names, tors, address, keyPath);
    else {
      this.step(`${count} nodes start behind ${address}.onion, preset ${preset}`);
      for (const [index, name] of names.entries()) {
        await this.startNode(name, tors[index] as TorInstance, keyPath);
      }
      await this.elected();
    }
    const first = await this.published(count);

    const { visitor } = await this.visitorAt(visitorTor, address);
    await this.verified(visitor, first.introPoints);
    await this.reachEveryHead(visitor, names);
    if (this.options.panic !== undefined) await this.panic(visitor, address, this.options.panic);
    else if (count > 1) await this.killOne(visitor);
    await this.keepVisiting(visitor);
  }

  /** One publisher with a tor of its own, and backends that know nothing of Chimera. */
  private async startStandalone(
    names: readonly string[],
    tors: readonly TorInstance[],
    master: OnionAddress,
    keyPath: string,
  ): Promise<void> {
    const { runtime, shipped, preset, settings = {}, directory } = this.options;
    this.step(`${names.length} OnionBalance backends start, and one publisher for ${master}.onion`);
    const addresses: OnionAddress[] = [];
    for (const [index, name] of names.entries()) {
      const tor = tors[index] as TorInstance;
      const site = await this.openSite(name);
      const client = this.client(tor);
      await client.ready(visitLimitMs);
      const place = `${directory}/${name}`;
      addresses.push(
        await startBackend({ store: runtime.store, tor: client, directory: place, master, target: site.endpoint }),
      );
      this.backends.push({ name, tor, site });
    }
    const tor = await (this.network as TorNetwork).addTor({ name: 'publisher', socks: true });
    await tor.bootstrapped();
    const value = {
      ...settings,
      node: { ...settings.node, id: 'publisher' },
      master: { identity_key_path: keyPath },
      tor: { ...settings.tor, control: formatEndpoint(tor.control) },
      backends: { watch_interval_ms: 1_000, watch_timeout_ms: 4_000, ...settings.backends, addresses },
    };
    const loaded = { file: undefined, directory, value };
    const engine = createNode(await resolveConfig(loaded, shipped, preset), runtime);
    await this.launch({ name: 'publisher', tor, site: undefined, engine });
  }

  private async startNode(name: string, tor: TorInstance, keyPath: string): Promise<void> {
    const members = this.members as TestMembers;
    const { runtime, shipped, preset, settings = {} } = this.options;
    const site = await this.openSite(name);
    const value = {
      ...settings,
      node: { ...settings.node, id: members.identity(name).node },
      master: { identity_key_path: keyPath },
      tor: { ...settings.tor, control: formatEndpoint(tor.control) },
      heads: { ...settings.heads, target: formatEndpoint(site.endpoint) },
      plugins: { remove: ['heads/registry'], add: ['mesh'] },
      ...this.tables(),
    };
    const loaded = { file: undefined, directory: this.options.directory, value };
    const resolved = await resolveConfig(loaded, shipped, preset);
    const plugins = [...resolved.plugins, ...members.plugins(name), ...this.options.cluster()];
    const engine = createNode({ ...resolved, plugins }, { ...runtime, log: runtime.log.child({ node: name }) });
    await this.launch({ name, tor, site, engine });
  }

  /** Settings that only some presets know: the story reaches every head. */
  private tables(): Record<string, unknown> {
    const { settings = {}, panic } = this.options;
    return {
      ...(this.has('hydra') ? { hydra: { spares: 0, ...settings.hydra } } : {}),
      ...(panic === undefined ? {} : panicTables(panic.turnMs, this.nodes.length === 0 ? this.adminSocket : undefined)),
    };
  }

  private async launch(node: Omit<LabNode, 'last'>): Promise<void> {
    const last: LabNode['last'] = { published: undefined };
    node.engine.onResult((result) => {
      if (result.outcome === 'published') last.published = result;
    });
    this.nodes.push({ ...node, last });
    await node.engine.start();
  }

  /** Asks until `look` answers, or fails after `limitMs`. */
  private async until<T>(what: string, limitMs: number, look: () => T | undefined): Promise<T> {
    const { clock } = this.options.runtime;
    const deadline = clock.monotonic() + limitMs;
    for (;;) {
      const found = look();
      if (found !== undefined) return found;
      if (clock.monotonic() > deadline) throw new Error(`${what}: not within ${limitMs / 1_000} s`);
      await Promise.race([clock.sleep(50), this.aborted]);
    }
  }

  private publisher(): LabNode | undefined {
    if (this.backends.length > 0) return this.nodes[0];
    const elected = this.nodes.filter(({ engine }) => engine.service(electionContract).elected);
    return elected.length === 1 ? elected[0] : undefined;
  }

  private async elected(): Promise<void> {
    const all = this.nodes.length;
    const publisher = await this.until('an elected publisher', publishLimitMs, () => {
      const candidate = this.publisher();
      const agreed = this.nodes.filter(
        ({ engine }) => engine.service(electionContract).publisher === candidate?.engine.node,
      ).length;
      return agreed === all ? candidate : undefined;
    });
    const { epoch } = publisher.engine.service(electionContract);
    this.check(true, `${publisher.name} is elected by all ${all} nodes, epoch ${epoch}`);
  }

  /** Waits for a confirmed publication by a publisher that knows exactly `heads` heads, live or not. */
  private async published(heads: number, limitMs = publishLimitMs): Promise<CycleResult> {
    const result = await this.until(`a confirmed descriptor of ${heads} heads`, limitMs, () => {
      const last = this.publisher()?.last.published;
      return last?.heads.length === heads ? last : undefined;
    });
    const { introPoints, live, uploads, confirmations, sealed } = result;
    const periods = sealed?.descriptors.map(
      ({ slot, period, revision }) => `${slot}: period ${period.number}, revision ${revision}`,
    );
    this.check(
      true,
      `one merged descriptor: ${introPoints} introduction points of ${live.length === heads ? '' : `${live.length} of `}${heads} heads, taken by ${uploads.length} HSDirs, fetched back from ${confirmations.length}`,
      { periods },
    );
    return result;
  }

  /** Whether the preset has that plugin. */
  private has(name: string): boolean {
    const chosen = this.options.shipped.presets.get(this.options.preset);
    return chosen !== undefined && presetPlugins(chosen).some((plugin) => plugin.name === name);
  }

  private async openSite(name: string): ReturnType<typeof openSite> {
    const site = await openSite(this.options.runtime.net, name);
    this.sites.push(site);
    return site;
  }

  private client(instance: TorInstance): TorClient {
    const client = createTorClient(this.options.runtime, { control: instance.control, name: instance.name });
    this.clients.push(client);
    return client;
  }

  /** Somebody who visits through that tor. */
  private async visitorAt(
    instance: TorInstance,
    address: OnionAddress,
  ): Promise<{ readonly visitor: Visitor; readonly tor: TorClient }> {
    const { net, clock } = this.options.runtime;
    const tor = this.client(instance);
    await tor.ready(visitLimitMs);
    const socks = instance.socks as NonNullable<TorInstance['socks']>;
    return { visitor: createVisitor({ net, clock, tor, socks, address, port: 80 }), tor };
  }

  private async verified(visitor: Visitor, introPoints: number): Promise<void> {
    const descriptor = await visitor.descriptor();
    const found = new Set(descriptor.introPoints.map(introPointId)).size;
    // Where each HSDir has a subset of its own, nobody has all of them.
    const isPart = this.has('merge/distinct') && found > 0 && found < introPoints;
    this.check(
      found === introPoints || isPart,
      `a client fetched it: certificates, signatures and the blinded key of the address verify; ${found}${isPart ? ` of ${introPoints}` : ''} introduction points`,
    );
  }

  private async visit(visitor: Visitor): Promise<Visit> {
    const visit = await Promise.race([visitor.visit(visitLimitMs), this.aborted]);
    this.visits.push(visit);
    return visit;
  }

  private async reachEveryHead(visitor: Visitor, names: readonly string[]): Promise<void> {
    this.step('a client visits, each time over a new circuit');
    const counts = new Map<string, number>(names.map((name) => [name, 0]));
    const most = 12 * names.length;
    let made = 0;
    while (made < most && [...counts.values()].includes(0)) {
      const { head, reason } = await this.visit(visitor);
      made++;
      if (head !== undefined) counts.set(head, (counts.get(head) ?? 0) + 1);
      else this.note(`a visit failed: ${reason}`);
    }
    const shares = [...counts].map(([name, served]) => `${name} ${served}`).join(', ');
    this.check(![...counts.values()].includes(0), `the client reached every head (${made} visits: ${shares})`);
  }

  private async killOne(visitor: Visitor): Promise<void> {
    const { clock } = this.options.runtime;
    const publisher = this.publisher();
    const heads = this.backends.length > 0 ? this.backends : this.nodes;
    const victim = heads.find(({ name }) => name !== publisher?.name) as (typeof heads)[number];
    this.step(`the tor of ${victim.name} is killed`);
    const killedAt = clock.monotonic();
    await victim.tor.kill('SIGKILL');
    await this.published(heads.length - 1, deathLimitMs);
    const seconds = ((clock.monotonic() - killedAt) / 1_000).toFixed(1);
    const descriptor = await visitor.descriptor();
    this.check(true, `${seconds} s later the descriptor without it is confirmed`, {
      introPoints: descriptor.introPoints.length,
    });
    const after: Visit[] = [];
    for (let visits = 0; visits < 3; visits++) {
      after.push(await this.visit(visitor));
    }
    const held = after.every(({ head }) => head !== undefined && head !== victim.name);
    this.check(
      held,
      `clients reach the others: ${after.map(({ head, reason }) => head ?? `failed (${reason})`).join(', ')}`,
    );
  }

  private async panic(
    visitor: Visitor,
    address: OnionAddress,
    { turns, turnMs }: NonNullable<LabOptions['panic']>,
  ): Promise<void> {
    const { runtime, signal } = this.options;
    const { clock } = runtime;
    const members = this.members as TestMembers;
    const stranger = await (this.network as TorNetwork).addTor({ name: 'stranger', socks: true });
    await Promise.race([stranger.bootstrapped(), this.aborted]);
    const fresh = await this.visitorAt(stranger, address);
    let forgotAt = clock.monotonic();
    await panicStory({
      clock,
      turnMs,
      turns,
      panic: async (on) => {
        const request = { command: 'panic', args: { on } };
        await askNode(runtime, { path: this.adminSocket, request, howToStart: 'the lab starts it', signal });
      },
      published: () => {
        const node = this.publisher();
        const heads = node?.last.published?.live;
        return node === undefined || heads === undefined
          ? undefined
          : { heads: heads.map((head) => members.nameOf(head.split('/')[0]) ?? head), publisher: node.name };
      },
      clients: {
        'a client that keeps its descriptor': () => this.visit(visitor),
        'a client that knows nothing, again and again': async () => {
          // Tor forgets on request once in ten seconds.
          if (clock.monotonic() - forgotAt > 11_000) {
            await fresh.tor.signal('NEWNYM');
            forgotAt = clock.monotonic();
          }
          return this.visit(fresh.visitor);
        },
      },
      until: (what, limitMs, look) => this.until(what, limitMs, look),
      step: (text) => this.step(text),
      note: (text) => this.note(text),
      check: (held, text, data) => this.check(held, text, data),
    });
  }

  private async keepVisiting(visitor: Visitor): Promise<void> {
    const { runtime, forMs } = this.options;
    if (forMs <= 0) return;
    this.step(`a client visits once a second for ${Math.round(forMs / 1_000)} s`);
    const { clock } = runtime;
    const end = clock.monotonic() + forMs;
    const visits: Visit[] = [];
    while (clock.monotonic() < end) {
      const begun = clock.monotonic();
      const visit = await this.visit(visitor);
      visits.push(visit);
      if (visit.head === undefined) this.note(`a visit failed: ${visit.reason}`);
      if (visits.length % 60 === 0)
        this.note(`${visits.length} visits, ${visits.filter((v) => v.head === undefined).length} failed`);
      await Promise.race([clock.sleep(Math.max(0, 1_000 - (clock.monotonic() - begun))), this.aborted]);
    }
    const failed = visits.filter(({ head }) => head === undefined).length;
    this.check(failed * 200 <= visits.length, `${visits.length} visits, ${failed} failed`);
  }

  async stop(): Promise<void> {
    await Promise.all(this.clients.map((client) => client.close()));
    for (const { engine } of [...this.nodes].reverse()) await engine.stop();
    for (const site of this.sites) await site.close();
    await this.network?.stop();
  }
}
