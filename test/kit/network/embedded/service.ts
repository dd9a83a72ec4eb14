/**
 * An onion service as tor's hs_service.c runs it: two descriptors with introduction points of their own, rotated when a
 * new shared-random run begins; circuits kept up; uploads; INTRODUCE2 cells answered with a rendezvous.
 *
 *   every second at most:  clean up → rotate → build → choose points → launch circuits → upload
 */
import {
  blindedPublicKey,
  descriptorSlots,
  neighbourPeriod,
  publicKeyOf,
  srvRunStart,
  subcredential,
  timePeriodAt,
  addressOfKey,
  type DescriptorSlot,
  type MasterKey,
  type OnionAddress,
  type SlotName,
} from '../../../../core/onion/index.ts';
import { sameBytes } from '../../../../core/onion/bytes.ts';
import type { Timer } from '../../../../core/runtime/index.ts';
import type { Circuit } from './circuits.ts';
import type { SimulatedConsensus } from './consensus.ts';
import type { TorContext } from './context.ts';
import type { Introduction, IntroductionCircuit } from './introduction.ts';
import { IntroductionBucket, isWorn } from '../rules/intro-point.ts';
import { drawMs } from './latency.ts';
import type { ServiceEnd } from './rendezvous.ts';
import type { ServiceConfig } from './service-config.ts';
import { maxCircuitRetries, ServiceDescriptor, ServiceIntroPoint } from './service-descriptor.ts';
import { openServiceEnd } from './service-end.ts';
import { ServiceUploader } from './service-uploader.ts';

/** Beside what is configured, when a descriptor has no point at all. */
const extraPoints = 2;
const retryPeriodSeconds = 300;
const nextUploadSeconds = [3600, 7200] as const;
export const defaultSendmeIncrement = 31;

export class OnionService {
  readonly address: OnionAddress;
  readonly master: MasterKey;
  config: ServiceConfig;
  current: ServiceDescriptor | undefined;
  next: ServiceDescriptor | undefined;
  /** INTRODUCE2 cells so far, as the MetricsPort tells them. */
  readonly introductions = { read: 0, unreadable: 0 };
  readonly #tor: TorContext;
  readonly #uploader: ServiceUploader;
  readonly #rendezvous = new Set<Circuit>();
  /** Subcredentials of an OnionBalance instance, as of the last descriptor build; undefined before. */
  #instanceSubcredentials: readonly Uint8Array[] | undefined;
  #nextRotation = 0;
  #retryPeriodStart = 0;
  #launched = 0;
  /** The next look at everything, when something has happened. */
  #timer: Timer | undefined;
  /** The next look when nothing does. */
  #alarm: Timer | undefined;
  #working = false;
  #again = false;
  #removed = false;
  #reconsiderHsdirs = false;

  constructor(tor: TorContext, master: MasterKey, config: ServiceConfig) {
    this.#tor = tor;
    this.master = master;
    this.address = addressOfKey(master.publicKey);
    this.config = config;
    this.#uploader = new ServiceUploader(tor, this.address);
  }

  /** Looks after itself from now on. */
  start(): void {
    this.#wake();
  }

  /** The network can be reached again. */
  uplinkBack(): void {
    this.#wake();
  }

  consensusChanged(): void {
    this.#reconsiderHsdirs = true;
    this.#wake();
  }

  /** A new configuration for the same key: descriptors, points, circuits and subcredentials stay as they are. */
  reconfigure(config: ServiceConfig): void {
    this.config = config;
    this.#wake();
  }

  remove(): void {
    this.#removed = true;
    this.#timer?.cancel();
    this.#alarm?.cancel();
    for (const descriptor of this.#descriptors()) this.#closePoints(descriptor);
    for (const circuit of this.#rendezvous) circuit.close('FINISHED');
  }

  /** GETINFO hs/service/desc/id: desc_current, with the points of its last refresh; none before the first. */
  describe(): string | undefined {
    return this.current === undefined ? undefined : this.#encode(this.current);
  }

  #encode(descriptor: ServiceDescriptor): string {
    const increment = this.#tor.consensus()?.parameters.cc_sendme_inc ?? defaultSendmeIncrement;
    return descriptor.encode(this.#tor.random, this.#tor.now(), increment, this.config.clients);
  }

  #descriptors(): ServiceDescriptor[] {
    return [this.current, this.next].filter((descriptor) => descriptor !== undefined);
  }

  // The main loop.

  /** Tor looks at its services once a second. */
  #wake(delayMs = this.#tor.random.int(1000)): void {
    if (this.#removed) return;
    if (this.#working) {
      this.#again = true;
      return;
    }
    if (this.#timer !== undefined) return;
    this.#timer = this.#tor.process.after(delayMs, () => {
      this.#timer = undefined;
      this.#working = true;
      void this.#work()
        .catch((error: unknown) => this.#tor.log.error('the simulated onion service failed', { error }))
        .finally(() => {
          this.#working = false;
          if (this.#again) {
            this.#again = false;
            this.#wake(1000);
          } else {
            this.#sleepUntilDue();
          }
        });
    });
  }

  #sleepUntilDue(): void {
    const now = this.#tor.now();
    const due = this.#descriptors().flatMap((descriptor) => [
      descriptor.nextUploadAt,
      ...descriptor.points.map((point) => point.expiresAt),
    ]);
    due.push(this.#retryPeriodStart + retryPeriodSeconds + 1);
    const future = due.filter((at) => at > now);
    if (future.length === 0 || this.#removed) return;
    const delayMs = (Math.min(...future) - now) * 1000;
    this.#alarm?.cancel();
    this.#alarm = this.#tor.process.after(delayMs, () => this.#wake(0));
  }

  async #work(): Promise<void> {
    const consensus = this.#tor.consensus();
    if (consensus === undefined || this.#removed || !this.#tor.uplink.open) return;
    if (this.#nextRotation === 0) this.#setRotation(consensus);
    for (const descriptor of this.#descriptors()) this.#cleanUp(descriptor, consensus);
    if (this.current && this.next && consensus.times.validAfter >= this.#nextRotation) this.#rotate(consensus);
    await this.#buildMissing(consensus);
    if (this.#removed) return;
    for (const descriptor of this.#descriptors()) this.#choosePoints(descriptor, consensus);
    this.#launchCircuits();
    for (const descriptor of this.#descriptors()) await this.#maybeUpload(descriptor, consensus);
    this.#reconsiderHsdirs = false;
  }

  // Descriptors.

  #setRotation(consensus: SimulatedConsensus): void {
    const { times } = consensus;
    this.#nextRotation = srvRunStart(times) + 24 * (times.freshUntil - times.validAfter);
  }

  #rotate(consensus: SimulatedConsensus): void {
    if (this.current) this.#closePoints(this.current);
    this.current = this.next;
    this.next = undefined;
    this.#setRotation(consensus);
  }

  async #buildMissing(consensus: SimulatedConsensus): Promise<void> {
    const slots = this.#slots(consensus);
    if (this.current === undefined) {
      this.current = await this.#build(slots.first);
      this.next = await this.#build(slots.second);
      this.#refreshInstanceSubcredentials(consensus);
    } else if (this.next === undefined) {
      // Rotation happens when a new run has just begun: the next period is the one after the current.
      const period = neighbourPeriod(timePeriodAt(consensus.times, consensus.rules), 1);
      this.next = await this.#build({ ...slots.second, period });
      this.#refreshInstanceSubcredentials(consensus);
    }
  }

  async #build(slot: DescriptorSlot): Promise<ServiceDescriptor> {
    const descriptor = await ServiceDescriptor.build(this.master, slot.period, this.#tor.random, this.#tor.now());
    this.#tor.events.emit('HS_DESC', () => `650 HS_DESC CREATED ${this.address} UNKNOWN UNKNOWN ${descriptor.id}`);
    return descriptor;
  }

  #refreshInstanceSubcredentials(consensus: SimulatedConsensus): void {
    const { masters } = this.config;
    if (masters === undefined || masters.length === 0 || !this.current || !this.next) return;
    const period = timePeriodAt(consensus.times, consensus.rules);
    const ofMasters = [0, -1, 1].flatMap((step) =>
      masters.map((master) => {
        const key = publicKeyOf(master);
        return subcredential(key, blindedPublicKey(key, neighbourPeriod(period, step)));
      }),
    );
    this.#instanceSubcredentials = [...ofMasters, this.current.subcredential, this.next.subcredential];
  }

  #slots(consensus: SimulatedConsensus): Record<SlotName, DescriptorSlot> {
    return descriptorSlots(consensus.times, consensus.rules, consensus.sharedRandom);
  }

  // Introduction points.

  #cleanUp(descriptor: ServiceDescriptor, consensus: SimulatedConsensus): void {
    const now = this.#tor.now();
    for (const [relay, at] of descriptor.failed) if (at + retryPeriodSeconds < now) descriptor.failed.delete(relay);
    for (const point of descriptor.points.slice()) {
      const worn = isWorn(point, point.introductions, now);
      const gone = !consensus.relays.includes(point.relay);
      const exhausted = point.circuit === undefined && point.launches > maxCircuitRetries;
      if (!worn && !gone && !exhausted) continue;
      if (point.launches > maxCircuitRetries) descriptor.failed.set(point.relay, now);
      this.#drop(descriptor, point);
    }
  }

  #drop(descriptor: ServiceDescriptor, point: ServiceIntroPoint): void {
    descriptor.points.splice(descriptor.points.indexOf(point), 1);
    const { circuit } = point;
    point.circuit = undefined;
    circuit?.close('FINISHED');
  }

  #closePoints(descriptor: ServiceDescriptor): void {
    for (const point of descriptor.points.slice()) this.#drop(descriptor, point);
  }

  #choosePoints(descriptor: ServiceDescriptor, consensus: SimulatedConsensus): void {
    const present = descriptor.points.length;
    let wanted = this.config.introPoints - present;
    if (wanted <= 0) return;
    if (present === 0) wanted += extraPoints;
    const excluded = new Set([...descriptor.points.map((point) => point.relay), ...descriptor.failed.keys()]);
    let chosen = 0;
    for (; chosen < wanted; chosen++) {
      const fit = consensus.relays.filter((relay) => !excluded.has(relay));
      const relay = fit.length === 0 ? undefined : fit[this.#tor.random.int(fit.length)];
      if (relay === undefined) break;
      excluded.add(relay);
      descriptor.points.push(new ServiceIntroPoint(relay, this.#tor.random, this.#tor.now()));
    }
    if (chosen > 0) {
      descriptor.nextUploadAt = this.#tor.now();
      descriptor.previousHsdirs.clear();
    }
    descriptor.missingPoints = chosen + present < this.config.introPoints;
  }

  /** As many launches as tor allows itself within five minutes. */
  #launchLimit(): number {
    const { introPoints } = this.config;
    return (introPoints + extraPoints + introPoints * maxCircuitRetries) * this.#descriptors().length;
  }

  #launchCircuits(): void {
    const now = this.#tor.now();
    if (now > this.#retryPeriodStart + retryPeriodSeconds) {
      this.#retryPeriodStart = now;
      this.#launched = 0;
    } else if (this.#launched > this.#launchLimit()) {
      return;
    }
    for (const descriptor of this.#descriptors()) {
      for (const point of descriptor.points) {
        if (point.circuit === undefined) this.#launchCircuit(descriptor, point);
      }
    }
  }

  #launchCircuit(descriptor: ServiceDescriptor, point: ServiceIntroPoint): void {
    const { network, process, random, clock } = this.#tor;
    // The relay is told when the circuit is established, and keeps to it as long as that lives.
    let bucket: IntroductionBucket | undefined;
    point.launches += 1;
    this.#launched += 1;
    const inbox: IntroductionCircuit = {
      admits: () => bucket?.take(clock.monotonic() / 1000) ?? true,
      deliver: (introduction) => {
        process.after(drawMs(random, network.latency.cellMs), () => {
          if (point.circuit?.closed !== false) return;
          point.circuit.carried('read', 'introduce2');
          this.#introduced(descriptor, point, introduction);
        });
      },
    };
    point.circuit = this.#tor.circuits.launch(
      {
        purpose: 'HS_SERVICE_INTRO',
        hsState: 'HSSI_CONNECTING',
        flags: 'IS_INTERNAL,NEED_UPTIME',
        target: point.relay,
        hops: 4,
        address: this.address,
      },
      {
        built: (circuit) => {
          if (this.#enoughPoints(descriptor)) {
            point.circuit = undefined;
            this.#drop(descriptor, point);
            circuit.changePurpose('HS_VANGUARDS', undefined);
            return;
          }
          point.opened = true;
          circuit.carried('written', 'establishIntro');
          const roundTripMs = 2 * drawMs(random, network.latency.cellMs);
          process.after(roundTripMs, () => {
            if (circuit.closed || point.circuit !== circuit) return;
            const { introductionLimit: limit } = this.config;
            if (limit !== undefined) bucket = new IntroductionBucket(limit, clock.monotonic() / 1000);
            point.relay.introductions.set(point.authKeyHex, inbox);
            point.established = true;
            circuit.carried('read', 'introEstablished');
            circuit.changePurpose('HS_SERVICE_INTRO', 'HSSI_ESTABLISHED');
            this.#wake();
          });
        },
        closed: () => {
          if (point.circuit?.closed ?? true) point.circuit = undefined;
          point.opened = false;
          point.established = false;
          this.#forgetAtRelay(point, inbox);
          this.#wake();
        },
      },
    );
  }

  /** True when as many circuits as wanted have been opened before this one. */
  #enoughPoints(descriptor: ServiceDescriptor): boolean {
    return descriptor.points.filter((point) => point.opened).length >= this.config.introPoints;
  }

  #forgetAtRelay(point: ServiceIntroPoint, inbox: IntroductionCircuit): void {
    const { network, process, random, clock } = this.#tor;
    const { introductions } = point.relay;
    if (introductions.get(point.authKeyHex) !== inbox) return;
    const forget = (): void => {
      if (introductions.get(point.authKeyHex) === deaf || introductions.get(point.authKeyHex) === inbox) {
        introductions.delete(point.authKeyHex);
      }
    };
    const deaf: IntroductionCircuit = { deliver: () => undefined };
    if (process.ended && random.float() < network.faults.lingeringIntroductions) {
      introductions.set(point.authKeyHex, deaf);
      clock.after(network.faults.lingeringMs, forget);
    } else {
      forget();
    }
  }

  // Introductions and rendezvous.

  #introduced(descriptor: ServiceDescriptor, point: ServiceIntroPoint, introduction: Introduction): void {
    const isInstance = (this.config.masters?.length ?? 0) > 0;
    const accepted = isInstance ? (this.#instanceSubcredentials ?? []) : [descriptor.subcredential];
    const readable =
      sameBytes(introduction.encKey, point.encKey) &&
      accepted.some((candidate) => sameBytes(candidate, introduction.subcredential));
    if (!readable) {
      this.introductions.unreadable += 1;
      this.#tor.log.info('could not get valid INTRO2 keys', { service: this.address });
      return;
    }
    this.introductions.read += 1;
    point.introductions += 1;
    if (point.introductions >= point.introductionLimit) this.#wake();
    this.#meet(introduction);
  }

  #meet({ rendezvous }: Introduction): void {
    let end: ServiceEnd | undefined;
    this.#tor.circuits.launch(
      {
        purpose: 'HS_SERVICE_REND',
        hsState: 'HSSR_CONNECTING',
        flags: 'IS_INTERNAL,NEED_CAPACITY,NEED_UPTIME',
        target: rendezvous.relay,
        hops: 4,
        address: this.address,
      },
      {
        built: (circuit) => {
          circuit.changePurpose('HS_SERVICE_REND', 'HSSR_JOINED');
          this.#rendezvous.add(circuit);
          const joining = openServiceEnd(this.#tor, () => this.config, circuit);
          end = joining;
          this.#tor.process.after(drawMs(this.#tor.random, this.#tor.network.latency.cellMs), () => {
            if (!circuit.closed && !rendezvous.join(joining)) circuit.close('DESTROYED', 'FINISHED');
          });
        },
        closed: (circuit) => {
          this.#rendezvous.delete(circuit);
          if (end !== undefined) rendezvous.serviceClosed(end);
        },
      },
    );
  }

  // Uploads.

  async #maybeUpload(descriptor: ServiceDescriptor, consensus: SimulatedConsensus): Promise<void> {
    const name: SlotName = descriptor === this.next ? 'second' : 'first';
    const slot = this.#slots(consensus)[name];
    const responsible = this.#uploader.responsible(descriptor, slot, consensus);
    const now = this.#tor.now();
    const moved = responsible.some((relay) => !descriptor.previousHsdirs.has(relay.fingerprint));
    if (this.#reconsiderHsdirs && descriptor.previousHsdirs.size > 0 && moved) descriptor.nextUploadAt = now;
    const wanted = descriptor.missingPoints ? descriptor.points.length : this.config.introPoints;
    if (wanted === 0 || descriptor.established.length !== wanted || descriptor.nextUploadAt > now) return;
    await descriptor.refresh(now, slot.revisionStart);
    descriptor.previousHsdirs.clear();
    if (this.#tor.configuration.flag('PublishHidServDescriptors')) {
      this.#uploader.upload(descriptor, this.#encode(descriptor), slot, responsible);
    }
    const [least, most] = nextUploadSeconds;
    descriptor.nextUploadAt = now + least + this.#tor.random.int(most - least);
  }
}
