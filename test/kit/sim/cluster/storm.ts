/**
 * Bad luck by a seed: draws when which fault befalls whom, does it to the world, and undoes it. Alternates storms and calms:
 * in a calm nothing new happens and everything that was broken is repaired, so that checkers see whether the cluster recovers.
 */
import type { Timer } from '../../../../core/runtime/index.ts';
import type { SeededRandom } from '../seeded-random.ts';
import { cloneOf, forge, misbehave } from './attackers.ts';
import type { FaultOptions } from './faults.ts';
import { Membership } from './membership.ts';
import type { SimulatedNode, World } from './world.ts';

/** What is wrong now, and until when it could be felt. */
export interface Disturbance {
  readonly kind: string;
  readonly nodes: readonly string[];
  readonly fromMs: number;
  /** Infinity while it lasts. */
  untilMs: number;
}

type EventKind =
  | 'crash'
  | 'power'
  | 'pause'
  | 'partition'
  | 'oneWay'
  | 'staleQueue'
  | 'outage'
  | 'clockJump'
  | 'forgery'
  | 'hostileMember'
  | 'fullDisk'
  | 'torRestart'
  | 'torHang'
  | 'hsdir'
  | 'clone'
  | 'operator'
  | 'blackout'
  | 'membership'
  | 'torOffline';

const kinds: readonly EventKind[] = [
  'crash',
  'power',
  'pause',
  'partition',
  'oneWay',
  'staleQueue',
  'outage',
  'clockJump',
  'forgery',
  'hostileMember',
  'fullDisk',
  'torRestart',
  'torHang',
  'hsdir',
  'clone',
  'operator',
  'blackout',
  'membership',
  'torOffline',
];
/** What waits, now and then, for a publication to begin. */
const ambushes: ReadonlySet<EventKind> = new Set(['crash', 'power', 'pause']);
/** What changes nothing that could unseat a publisher or hide a head. */
const harmless: ReadonlySet<string> = new Set(['forgery', 'clockJump']);

/** Below it nobody is removed: two must be left. */
const fewestToLose = 3;

export class Storm {
  readonly disturbances: Disturbance[] = [];
  /** True from the end of a storm's last repair to the beginning of the next storm. */
  calmSinceMs: number | undefined;
  /** A publisher that was well lost its daemon, by `kill`: called before it happens. */
  onKill: (node: SimulatedNode, kind: 'crash' | 'power') => void = () => undefined;
  readonly #world: World;
  readonly #faults: FaultOptions;
  readonly #random: SeededRandom;
  readonly #membership: Membership;
  readonly #timers = new Map<EventKind, Timer>();
  readonly #repairs = new Map<Disturbance, { readonly repair: () => void; readonly timer: Timer }>();
  #blowing = false;
  #ambush: EventKind | undefined;

  constructor(world: World, faults: FaultOptions, random: SeededRandom) {
    this.#world = world;
    this.#faults = faults;
    this.#random = random;
    this.#membership = new Membership(world, random.fork('membership'));
  }

  begin(): void {
    this.#blowing = true;
    this.calmSinceMs = undefined;
    for (const kind of kinds) this.#next(kind);
  }

  /** Repairs everything now. */
  end(): void {
    this.#blowing = false;
    this.#ambush = undefined;
    for (const timer of this.#timers.values()) timer.cancel();
    this.#timers.clear();
    for (const [disturbance, { repair, timer }] of this.#repairs) {
      timer.cancel();
      this.#repair(disturbance, repair);
    }
    for (const node of this.#world.nodes) void this.#world.start(node);
    this.calmSinceMs = this.#world.nowMs;
    this.#world.trace.line('calm');
  }

  /** Whether something is wrong, or was until `withinMs` ago, that could unseat a publisher or hide a head. */
  disturbed(withinMs: number, except?: Disturbance): boolean {
    const from = this.#world.nowMs - withinMs;
    return this.disturbances.some((known) => known !== except && known.untilMs >= from);
  }

  #next(kind: EventKind): void {
    const every = this.#faults[`${kind}EverySecs`];
    if (every <= 0) return;
    const waitMs = -Math.log(1 - this.#random.float()) * every * 1_000;
    this.#timers.set(
      kind,
      this.#world.clock.after(waitMs, () => {
        this.#strike(kind);
        if (this.#blowing) this.#next(kind);
      }),
    );
  }

  #secs(mean: number): number {
    return mean * (0.3 + 1.4 * this.#random.float());
  }

  #one<T>(items: readonly T[]): T | undefined {
    return items.length === 0 ? undefined : items[this.#random.int(items.length)];
  }

  /** Something is wrong for so long, and then repaired. */
  #for(kind: EventKind, nodes: readonly SimulatedNode[], secs: number, repair: () => void): Disturbance {
    const world = this.#world;
    const names = nodes.map(({ name }) => name);
    world.trace.line(`${kind}: ${names.join(' ')} for ${secs.toFixed(1)} s`);
    const disturbance: Disturbance = { kind, nodes: names, fromMs: world.nowMs, untilMs: Infinity };
    if (!harmless.has(kind)) this.disturbances.push(disturbance);
    if (this.disturbances.length > 200) this.disturbances.splice(0, 100);
    this.#changed(disturbance);
    const timer = world.clock.after(secs * 1_000, () => this.#repair(disturbance, repair));
    this.#repairs.set(disturbance, { repair, timer });
    return disturbance;
  }

  #repair(disturbance: Disturbance, repair: () => void): void {
    const world = this.#world;
    this.#repairs.delete(disturbance);
    disturbance.untilMs = world.nowMs;
    world.trace.line(`${disturbance.kind} is over: ${disturbance.nodes.join(' ')}`);
    this.#changed(disturbance);
    repair();
  }

  #changed({ kind, nodes }: Disturbance): void {
    if (harmless.has(kind)) return;
    for (const node of this.#world.nodes) if (nodes.includes(node.name)) node.changedAtMs = this.#world.nowMs;
  }

  /** Called when a node begins to send a publication: the worst moment for it to stop. */
  sending(node: string): void {
    const kind = this.#ambush;
    const victim = this.#world.node(node);
    if (kind === undefined || victim === undefined || !this.#blowing) return;
    this.#ambush = undefined;
    this.#world.clock.after(300 * this.#random.float(), () => {
      if (this.#blowing && this.#world.awake().includes(victim)) this.#strike(kind, victim);
    });
  }

  #strike(kind: EventKind, chosen?: SimulatedNode): void {
    const world = this.#world;
    const faults = this.#faults;
    const awake = world.awake();
    // Publishers are the ones worth hitting.
    const publisher = awake.find(({ daemon }) => daemon?.election.elected);
    const drawn = this.#random.float() < 0.4 && publisher !== undefined ? publisher : this.#one(awake);
    const victim = chosen ?? drawn;
    if (victim === undefined) return;
    if (chosen === undefined && ambushes.has(kind) && this.#random.float() < 0.4) {
      this.#ambush = kind;
      return;
    }
    const { daemon, parts } = victim;
    switch (kind) {
      case 'crash':
      case 'power': {
        if (awake.length < 2) return;
        this.onKill(victim, kind);
        world.kill(victim);
        if (kind === 'power') void parts.tor.kill();
        if (this.#random.float() < faults.damagedStateShare) void this.#damage(victim);
        this.#for(kind, [victim], this.#secs(faults[`${kind}Secs`]), () => {
          if (kind === 'power') void world.raise(victim);
          void world.start(victim);
        });
        return;
      }
      case 'pause': {
        daemon?.life.pause();
        this.#for(kind, [victim], this.#secs(faults.pauseSecs), () => daemon?.life.resume());
        return;
      }
      case 'partition': {
        const side = new Set(world.nodes.filter(() => this.#random.float() < 0.5));
        const ways = world.nodes.flatMap((a) =>
          world.nodes.filter((b) => side.has(a) !== side.has(b)).map((b) => [a, b] as const),
        );
        this.#cut('partition', ways, this.#secs(faults.partitionSecs));
        return;
      }
      case 'oneWay': {
        const ways = world.nodes
          .filter((b) => b !== victim && this.#random.float() < 0.5)
          .map((b) => [victim, b] as const);
        this.#cut('oneWay', ways, this.#secs(faults.oneWaySecs));
        return;
      }
      case 'staleQueue': {
        world.bus.hold(victim.id);
        this.#for(kind, world.nodes, this.#secs(faults.staleQueueSecs), () => world.bus.release(victim.id));
        return;
      }
      case 'outage': {
        if (world.bus.down) return;
        world.bus.down = true;
        this.#for(kind, world.nodes, this.#secs(faults.outageSecs), () => {
          world.bus.down = false;
        });
        return;
      }
      case 'clockJump': {
        const far = 2 * (this.#random.float() - 0.5) * faults.clockJumpMaximumSecs * 1_000;
        parts.machine.wallOffsetMs += far;
        this.#for(kind, [victim], this.#secs(120), () => {
          parts.machine.wallOffsetMs -= far;
        });
        return;
      }
      case 'forgery': {
        forge(world, this.#random, faults.forgeryBurst);
        return;
      }
      case 'hostileMember': {
        const stop = misbehave(world, victim, this.#random);
        this.#for(kind, [victim], this.#secs(faults.hostileMemberSecs), stop);
        return;
      }
      case 'fullDisk': {
        parts.machine.diskFull = true;
        this.#for(kind, [victim], this.#secs(faults.fullDiskSecs), () => {
          parts.machine.diskFull = false;
        });
        return;
      }
      case 'torRestart': {
        if (!parts.tor.running) return;
        void parts.tor.kill();
        this.#for(kind, [victim], this.#secs(15), () => void world.raise(victim));
        return;
      }
      case 'torHang': {
        if (!parts.tor.running) return;
        const { run } = parts.tor;
        void parts.tor.kill('SIGSTOP');
        this.#for(kind, [victim], this.#secs(faults.torHangSecs), () => {
          if (parts.tor.run === run) void parts.tor.kill('SIGCONT');
        });
        return;
      }
      case 'hsdir': {
        this.#hsdirs();
        return;
      }
      case 'clone': {
        void this.#clone(victim);
        return;
      }
      case 'operator': {
        void this.#operate(publisher ?? victim);
        return;
      }
      case 'blackout': {
        this.#blackout();
        return;
      }
      case 'membership': {
        this.#replace(victim);
        return;
      }
      case 'torOffline': {
        const { run } = parts.tor;
        if (run?.process.frozen !== false) return;
        void run.setOnline(false);
        this.#for(kind, [victim], this.#secs(faults.torOfflineSecs), () => void run.setOnline(true));
      }
    }
  }

  /** A member is removed, and its machine goes on, is started again, or is gone; later another one joins. */
  #replace(victim: SimulatedNode): void {
    const world = this.#world;
    if (this.#membership.changing || world.nodes.length < fewestToLose || world.awake().length < 2) return;
    const fate = this.#one(['goes on', 'is started again', 'is gone'] as const);
    const secs = this.#secs(this.#faults.membershipSecs);
    world.trace.line(`${victim.name} is to be removed, and ${fate}`);
    if (fate !== 'goes on') world.kill(victim);
    if (fate === 'is gone') world.scrap(victim);
    const removed = this.#membership.remove(victim);
    if (fate === 'is started again') world.clock.after(secs * 300, () => void world.start(victim));
    this.#for('membership', [victim], secs, () => {
      if (!victim.scrapped) world.scrap(victim);
      void removed.then(() => this.#membership.join());
    });
  }

  #blackout(): void {
    const world = this.#world;
    const dark = world.nodes.filter(({ daemon }) => daemon !== undefined);
    for (const node of dark) {
      world.kill(node);
      void node.parts.tor.kill();
    }
    this.#for('blackout', dark, this.#secs(this.#faults.blackoutSecs), () => {
      for (const node of dark) {
        void world.raise(node);
        world.clock.after(5_000 * this.#random.float(), () => void world.start(node));
      }
    });
  }

  #cut(kind: EventKind, ways: readonly (readonly [SimulatedNode, SimulatedNode])[], secs: number): void {
    if (ways.length === 0) return;
    const { bus, nodes } = this.#world;
    for (const [a, b] of ways) bus.cut(a.id, b.id);
    this.#for(kind, nodes, secs, () => {
      for (const [a, b] of ways) bus.heal(a.id, b.id);
    });
  }

  #hsdirs(): void {
    const how = this.#one(['rejectsUploads', 'deniesFetches', 'overloaded', 'silent', 'forgets'] as const);
    // Where most do not give back what they have, publications are not confirmed, and `repair` has something to do.
    const share = how === 'deniesFetches' && this.#random.float() < 0.5 ? 0.9 : 0.2;
    const relays = this.#world.network.relays.filter(() => this.#random.float() < share);
    for (const { hsdir } of relays) {
      if (how === 'forgets') hsdir.forget();
      else if (how !== undefined) hsdir.faults[how] = true;
    }
    this.#for('hsdir', [], this.#secs(this.#faults.hsdirSecs), () => {
      for (const { hsdir } of relays) if (how !== undefined && how !== 'forgets') hsdir.faults[how] = false;
    });
  }

  /** A file of the daemon's is cut, or has a bit changed. */
  async #damage(node: SimulatedNode): Promise<void> {
    const { store } = this.#world;
    const paths = store.files().filter((path) => path.startsWith(`${node.parts.directory}/`));
    const path = this.#one(paths);
    if (path === undefined) return;
    this.#world.trace.line(`${path} is damaged`);
    const { nowMs } = this.#world;
    this.disturbances.push({ kind: 'damage', nodes: [node.name], fromMs: nowMs, untilMs: nowMs });
    const bytes = (await store.read(path)) ?? new Uint8Array(0);
    const { length } = bytes;
    this.#world.operator.backUp(path, bytes);
    if (length > 0 && this.#random.float() < 0.5) store.corrupt(path);
    else store.truncate(path, Math.floor(length * this.#random.float()));
  }

  async #clone(node: SimulatedNode): Promise<void> {
    const ready = this.disturbances.every(({ kind, untilMs }) => kind !== 'clone' || untilMs < Infinity);
    if (!ready) return;
    let stop: () => void = () => undefined;
    this.#for('clone', this.#world.nodes, this.#secs(this.#faults.cloneSecs), () => stop());
    const disturbance = this.disturbances.at(-1);
    stop = await cloneOf(this.#world, node);
    if (disturbance !== undefined && disturbance.untilMs < Infinity) stop();
  }

  async #operate(node: SimulatedNode): Promise<void> {
    const world = this.#world;
    if (this.#random.float() < 0.5) {
      this.#for('operator', [node], 1, () => undefined);
      const command = node.daemon?.commands.get('step-down');
      const never = new AbortController().signal;
      await command
        ?.run({}, (text) => world.trace.line(`step-down: ${text}`), never)
        .catch((error: unknown) => {
          world.trace.line(`step-down: ${String(error)}`);
        });
      return;
    }
    this.#for('operator', [node], this.#secs(20), () => void world.start(node));
    await world.stop(node);
  }
}
