/**
 * One run: a seed, a defence, an attacker. A virtual clock made of events; the seed alone decides everything, and honest clients
 * draw from a source of their own, so that the same seed brings the same visitors to every defence. Enter at `simulateAttack`.
 */
import { createSeededRandom } from '../sim/seeded-random.ts';
import type { RequestHistory } from '../network/rules/client.ts';
import type { Attack, Attacker, AttackView, Sight } from './attacker.ts';
import { Clients } from './clients.ts';
import type { Defence } from './defences.ts';
import { Directory, type Listing } from './directory.ts';
import {
  bucketChanges,
  clockLeak,
  disruption,
  minuteMs,
  quantile,
  ratio,
  Reachability,
  thrash,
  timingLeak,
  unpredictability,
  type Metrics,
} from './measure.ts';
import { Publisher, publisherEvents, type PublisherTotals } from './publisher.ts';
import { EventQueue } from './queue.ts';
import { budgets, defaultScenario, type Scenario } from './scenario.ts';
import { Service, type Head, type Point } from './service.ts';

export interface AttackRun {
  readonly seed: string;
  readonly metrics: Metrics;
  /** Reachability of each minute. */
  readonly series: readonly (number | null)[];
  readonly events: number;
  /** Counts for a comparison with other simulators. */
  readonly counts: { readonly fetches: number; readonly introductions: number; readonly nacks: number };
}

export interface AttackSetup {
  readonly seed: number | string;
  readonly defence: Defence;
  readonly attacker: Attacker;
  readonly scenario?: Partial<Scenario>;
  /** Ends the run early, when it returns true; asked after each tick. */
  readonly until?: (service: Service, publications: PublisherTotals) => boolean;
}

const events = { tick: 20, hour: 21, attack: 22, report: 23, sample: 24, lost: 25, contender: 26, healed: 27 } as const;
/** A silent peer is taken for gone after this; who hears no publisher stands for election after that. */
const peerLostMs = 15_000;
const leaseMs = 60_000;
const sampleMs = 5 * minuteMs;
const sampledClients = 200;
/** What a publication an hour costs in FlipIt's benefit. */
const moveCost = 0.01;
/** Share of relays that are hostile where an attacker has none of its own: what exposures are reckoned with. */
const usualHostileShare = 0.01;

export function simulateAttack(setup: AttackSetup): AttackRun {
  const { defence, attacker } = setup;
  const scenario: Scenario = { ...defaultScenario, ...defence.scenario, ...setup.scenario };
  const endMs = scenario.hours * 3_600_000;
  const root = createSeededRandom(`attack/${setup.seed}`);
  const queue = new EventQueue();
  const directory = new Directory(scenario, root.fork('directory'));
  const service = new Service(
    scenario,
    { detects: defence.detects, ghost: defence.ghost, relayShare: attacker.relayShare ?? 0 },
    root.fork('service'),
  );
  const totals: PublisherTotals = { publications: [], uploads: 0, fenced: 0, replacements: 0, cycles: 0 };
  const parts = { scenario, defence, queue, directory, service, seed: `seed/${setup.seed}` };
  const publishers = [0, 1].map(
    (index) => new Publisher({ ...parts, random: root.fork(`publisher/${index}`) }, index, totals),
  );
  const [publisher, contender] = publishers as [Publisher, Publisher];

  const reach = new Reachability(scenario.hours, scenario.attackAtMs);
  let tries = 0;
  let passed = 0;
  let refusals = 0;
  let honest = 0;
  let sessionsEnded = 0;
  let sessionsSurvived = 0;
  const clients = new Clients(scenario, queue, directory, service, root.fork('clients'), {
    done: ({ startedMs, fresh }, atMs, success) => {
      honest++;
      reach.note(startedMs, fresh, atMs, success);
    },
    firstTry: (through) => {
      if (queue.atMs < scenario.attackAtMs) return;
      tries++;
      if (through) passed++;
    },
    refused: () => refusals++,
    sessionEnded: (survived) => {
      sessionsEnded++;
      if (survived) sessionsSurvived++;
    },
  });

  // The attacker.
  const attackRandom = root.fork('attack');
  const budget = budgets[attacker.budget ?? 'small'];
  const hostileHsdirs = (attacker.hsdirShare ?? 0) * scenario.hsdirs;
  const secondsAt = (nowMs: number): number => scenario.startsAt + nowMs / 1_000;
  const sightOf = ({ points, revision }: Listing): Sight => ({
    points: points.map(({ id }) => id),
    revision,
    expiresAt: directory.expiresAt,
  });
  const viewAt = (nowMs: number): AttackView => ({
    nowMs,
    sinceMs: nowMs - scenario.attackAtMs,
    perSecond: budget.perSecond,
    nowSeconds: secondsAt(nowMs),
    validAfter: directory.validAfter,
    fetch: (history?: RequestHistory<number>) => {
      const now = secondsAt(nowMs);
      const { fetch } = directory.used;
      const hsdir =
        history === undefined
          ? fetch[attackRandom.int(Math.max(1, fetch.length))]
          : directory.choose(history, attackRandom, now);
      const found = hsdir === undefined ? undefined : directory.read(hsdir, now);
      return found === undefined ? undefined : sightOf(found);
    },
    forget: (history) => history.forget(directory.used.blindedKey),
    watch: () =>
      directory.used.store
        .filter((hsdir) => hsdir < hostileHsdirs)
        .flatMap((hsdir) => directory.read(hsdir, secondsAt(nowMs)) ?? [])
        .map(sightOf),
    answers: (id) => service.byId.get(id)?.alive ?? false,
    owns: (id) => service.byId.get(id)?.hostile ?? false,
  });
  let attackState = attacker.initial();
  let attack: Attack | undefined;
  let believes: readonly string[] = [];
  let cells = 0;
  let cellsSinceMs = 0;
  let rate = 0;
  let freshMs = 0;
  let judgedMs = 0;
  let freshSinceMs = 0;
  const listText = (ids: readonly string[]): string => [...ids].sort().join(' ');
  let believed = '';
  let current: readonly string[] = [];
  const countUp = (nowMs: number): void => {
    cells += (rate * (nowMs - cellsSinceMs)) / 1_000;
    cellsSinceMs = nowMs;
    if (nowMs >= scenario.attackAtMs) {
      const fromMs = Math.max(freshSinceMs, scenario.attackAtMs);
      judgedMs += nowMs - fromMs;
      if (believed !== '' && current.includes(believed)) freshMs += nowMs - fromMs;
    }
    freshSinceMs = nowMs;
  };
  const act = (nowMs: number): void => {
    countUp(nowMs);
    const answer = attacker.act(viewAt(nowMs), attackState, attackRandom);
    attackState = answer.state;
    const before = attack;
    ({ attack } = answer);
    believes = attack.believes ?? [...attack.flood.keys()];
    believed = listText(believes);
    rate = [...attack.flood.values()].reduce((sum, one) => sum + one, 0);
    service.flood(attack.flood);
    if (attack.cut !== undefined && before?.cut === undefined) queue.add(nowMs + peerLostMs, events.lost);
    if (attack.cut === undefined && before?.cut !== undefined) queue.add(nowMs + 1, events.healed);
    if (Number.isFinite(attack.nextMs)) queue.add(nowMs + Math.max(1, attack.nextMs), events.attack);
  };

  // What goes on by itself.
  let idleMs = 0;
  let captured = 0;
  let captureSamples = 0;
  let spared = 0;
  let asked = 0;
  let reporting = false;
  let known = 0;
  const isCut = ({ index }: Head): boolean => index < Math.round((attack?.cut?.share ?? 0) * scenario.heads);
  const onPublication = (nowMs: number): void => {
    if (totals.publications.length === known) return;
    countUp(nowMs);
    known = totals.publications.length;
    current = (totals.publications.at(-1)?.sets ?? []).map((set) => listText(set.map(({ id }) => id)));
  };
  const sample = (): void => {
    const live = totals.publications.at(-1)?.sets.flat() ?? [];
    if (live.length > 0) {
      captured += live.filter(({ hostile }) => hostile).length / live.length;
      captureSamples++;
    }
    const counted = clients.isolation(sampledClients, (point: Point) => point.attack > 0);
    spared += counted.spared;
    asked += counted.asked;
  };
  const hostility = attacker.relayShare ?? usualHostileShare;

  let firstKey = directory.first.blindedKey;
  let ended = endMs;
  const own = (kind: number, nowMs: number): void => {
    if (kind === events.tick) {
      const { changed, siege } = service.tick(nowMs, secondsAt(nowMs));
      for (const { listed } of service.heads) if (!listed) idleMs += scenario.tickMs;
      if ((siege || changed) && !reporting) {
        reporting = true;
        queue.add(nowMs + scenario.reportMs, events.report);
      }
      queue.add(nowMs + scenario.tickMs, events.tick);
      if (setup.until?.(service, totals) === true) ended = nowMs;
    } else if (kind === events.report) {
      reporting = false;
      for (const head of service.heads) head.reported = head.siege;
      publisher.request(nowMs);
    } else if (kind === events.hour) {
      if (directory.moveTo(secondsAt(nowMs))) {
        if (directory.first.blindedKey !== firstKey) service.turnMidnight(secondsAt(nowMs));
        firstKey = directory.first.blindedKey;
        publisher.request(nowMs);
      }
      queue.add(nowMs + 3_600_000, events.hour);
    } else if (kind === events.attack) act(nowMs);
    else if (kind === events.sample) {
      sample();
      queue.add(nowMs + sampleMs, events.sample);
    } else if (kind === events.lost) {
      publisher.missing = isCut;
      publisher.request(nowMs);
      if (attack?.cut?.oneWay === false) queue.add(nowMs + leaseMs, events.contender);
    } else if (kind === events.contender && attack?.cut !== undefined) {
      contender.missing = (head) => !isCut(head);
      contender.succeed(publisher.epoch + 1);
      contender.request(nowMs);
    } else if (kind === events.healed) {
      publisher.missing = () => false;
      publisher.succeed(Math.max(publisher.epoch, contender.epoch) + 1);
      publisher.request(nowMs);
    }
  };

  publisher.request(0);
  clients.start();
  queue.add(scenario.tickMs, events.tick);
  queue.add(3_600_000 - ((scenario.startsAt * 1_000) % 3_600_000), events.hour);
  queue.add(1, events.attack);
  queue.add(scenario.attackAtMs + minuteMs, events.sample);
  while (queue.next() && queue.atMs <= Math.min(endMs, ended)) {
    const { kind, subject, atMs } = queue;
    if (kind < publisherEvents.cycle) clients.handle(kind, subject, atMs);
    else if (kind < events.tick) {
      (publishers[subject & 1] as Publisher).handle(kind, subject, atMs);
      onPublication(atMs);
    } else own(kind, atMs);
  }
  const overMs = Math.min(endMs, ended);
  countUp(overMs);

  const series = reach.series();
  const { disruptSecs, recoverSecs, minutes, well } = disruption(series, scenario.attackAtMs);
  const hours = overMs / 3_600_000;
  const { publications, uploads, fenced, replacements } = totals;
  const times = reach.times.sort((a, b) => a - b);
  const reached = reach.newSuccesses + reach.cachedSuccesses;
  const publishesPerHour = publications.length / hours;
  const metrics: Metrics = {
    reachability: ratio(reached, reach.newAttempts + reach.cachedAttempts),
    reachabilityNew: ratio(reach.newSuccesses, reach.newAttempts),
    reachabilityCached: ratio(reach.cachedSuccesses, reach.cachedAttempts),
    firstTrySuccess: ratio(passed, tries),
    timeToConnectMs: quantile(times, 0.5),
    timeToConnectP95Ms: quantile(times, 0.95),
    sessionSurvival: ratio(sessionsSurvived, sessionsEnded),
    attackYield: ratio(service.totals.attackOnLive, service.totals.attackSent),
    targetFreshness: ratio(freshMs, judgedMs),
    timeToDisruptSecs: disruptSecs,
    timeToRecoverSecs: recoverSecs,
    outageMinutes: minutes,
    attackCells: cells,
    dollarsPerOutageMinute: minutes === 0 || cells === 0 ? null : budget.dollars / minutes,
    publishesPerHour,
    uploadsPerHour: uploads / hours,
    introCircuitsPerHour: service.totals.circuits / hours,
    idleNodeShare: idleMs / (scenario.heads * overMs),
    fencedUploads: fenced,
    replacements,
    benefit: well - moveCost * publishesPerHour,
    unpredictabilityBits: unpredictability(publications),
    relaysShown: service.totals.relays.size,
    relayExposure: 1 - (1 - hostility) ** service.totals.relays.size,
    captureShare: ratio(captured, captureSamples),
    forcedCircuits: service.totals.forcedCircuits,
    ghostFalsePositive: ratio(refusals, honest),
    falseSieges: service.totals.falseSieges,
    thrashPerHour: thrash(publications, hours),
    isolation: ratio(spared, asked),
    leakTiming: timingLeak(
      publications.map(({ atMs }) => atMs),
      overMs,
    ),
    leakBuckets: bucketChanges(publications),
    leakClock: clockLeak(publications),
  };
  const { fetches, introductions, nacks } = clients;
  return { seed: String(setup.seed), metrics, series, events: queue.count, counts: { fetches, introductions, nacks } };
}
