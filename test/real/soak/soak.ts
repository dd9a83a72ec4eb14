/**
 * The long comparison: several publishers side by side in one private network, each with three heads and a master address
 * that stock clients visit once a second, until at the end one head of each is killed.
 */
import type { TorClient } from '../../../core/engine/index.ts';
import type { OnionAddress } from '../../../core/onion/index.ts';
import type { Runtime, Timer } from '../../../core/runtime/index.ts';
import { startPrivateNetwork, type PrivateNetwork, type PrivateTor } from '../../kit/network/private/index.ts';
import { createChimera, chimeraPresets } from './chimera.ts';
import { request, type Request } from './curl.ts';
import { clientOf, killAndWatch, pointsOfHeads, type Removal } from './death-watch.ts';
import { measureMachine, type MachineLoad } from './machine.ts';
import { createOnionBalance } from './onionbalance.ts';
import { createPlain } from './plain.ts';
import type { Publisher } from './publisher.ts';
import { summarize, type Summary } from './statistics.ts';

export const publisherNames = ['onionbalance', ...chimeraPresets, 'plain'] as const;
export type PublisherName = (typeof publisherNames)[number];

export interface SoakOptions {
  readonly publishers: readonly PublisherName[];
  /** How long the recording lasts, from the moment when all are reachable. */
  readonly minutes: number;
  /** How long to look for a descriptor without the killed head. */
  readonly killLimitSeconds: number;
  /** Default 17, which with the authorities makes 20 HSDirs. */
  readonly relays?: number;
  /**
   * Begins when this many seconds are left until the next rollover of a period or shared random value, and the last one is
   * over: a minute that has to be flawless can only be one without. The whole soak has them all.
   */
  readonly clearOfRolloversSeconds?: number;
  readonly progress: (text: string) => void;
  readonly keep?: boolean;
}

export interface PublisherReport {
  readonly name: string;
  /** From the publisher's start to the first answer through the master address. */
  readonly reachableSeconds: number | undefined;
  /** Plain curl once a second: keeps its descriptor and its circuits. */
  readonly visits: Summary;
  /** The same client on a new circuit each time: keeps its descriptor alone. */
  readonly isolated: Summary;
  /** Clients that forget all descriptors before each visit. */
  readonly fresh: Summary;
  /** Introduction points of each head in the descriptor at the end of the recording. */
  readonly introPoints: Readonly<Record<string, number>>;
  readonly removal: Removal | undefined;
  /** Visits from the kill to the end of the watch. */
  readonly visitsAfterKill: Summary;
  /** Copies of the master's descriptors taken by HSDirs during the recording. */
  readonly uploads: number;
  readonly cpuSeconds: number | undefined;
  readonly cpuMillisecondsPerUpload: number | undefined;
  readonly residentMegabytes: number | undefined;
  readonly requests: Readonly<Record<'visits' | 'isolated' | 'fresh', readonly Request[]>>;
}

export interface SoakReport {
  readonly minutes: number;
  readonly hsdirs: number;
  readonly publishers: readonly PublisherReport[];
  readonly machine: MachineLoad;
}

const reachableLimitSeconds = 180;
const visitIntervalMs = 1_000;
const isolatedIntervalMs = 5_000;
/** Tor takes one NEWNYM in ten seconds; four clients in turn make a fresh visit every 2.6 s. */
const freshClients = 4;
const freshIntervalMs = 10_500;

/** One publisher under observation. */
interface Subject {
  readonly publisher: Publisher;
  readonly client: PrivateTor;
  readonly visits: Request[];
  readonly isolated: Request[];
  readonly fresh: Request[];
  reachableSeconds: number | undefined;
  uploads: number;
}

export async function runSoak(runtime: Runtime, options: SoakOptions): Promise<SoakReport> {
  const { progress } = options;
  const network = await startPrivateNetwork(runtime, {
    relays: options.relays ?? 17,
    progress,
    keep: options.keep ?? false,
  });
  const publishers: Publisher[] = [];
  const clients: TorClient[] = [];
  try {
    for (const name of options.publishers) publishers.push(await create(runtime, network, name));
    const subjects = await Promise.all(
      publishers.map(async (publisher): Promise<Subject> => ({
        publisher,
        client: await network.addTor({ name: `${fileName(publisher.name)}-client`, socks: true }),
        visits: [],
        isolated: [],
        fresh: [],
        reachableSeconds: undefined,
        uploads: 0,
      })),
    );
    const strangers = await Promise.all(
      Array.from({ length: freshClients }, (_, index) => network.addTor({ name: `fresh-${index}`, socks: true })),
    );
    const proberTor = await network.addTor({ name: 'prober' });
    await network.ready();
    const prober = clientOf(runtime, proberTor);
    clients.push(prober, ...subjects.flatMap((subject) => countUploads(runtime, subject)));
    await Promise.all(clients.map((client) => client.ready(10_000)));
    await Promise.all(
      publishers.flatMap(({ backends }) => backends.map((address) => untilPublished(runtime, prober, address))),
    );
    await Promise.all(subjects.map((subject) => untilReachable(runtime, subject, progress)));

    // What they learned while the services came up, they forget: a descriptor of the first seconds may lack a head.
    await Promise.all(
      subjects.map(async ({ client }) => {
        const control = clientOf(runtime, client);
        clients.push(control);
        await control.ready(10_000);
        await control.signal('NEWNYM');
      }),
    );
    await untilClearOfRollovers(runtime, options);
    progress(`recording for ${options.minutes} min`);
    const machine = await measureMachine(runtime, network);
    const usageBefore = await Promise.all(publishers.map((publisher) => publisher.usage()));
    for (const subject of subjects) subject.uploads = 0;
    const begunMs = runtime.clock.monotonic();
    const stopVisits = visitAgainAndAgain(runtime, subjects, begunMs);
    const stopFresh = await visitAfresh(runtime, subjects, strangers, begunMs, clients);
    await tellMinutes(runtime, subjects, options, begunMs);
    stopFresh();
    const load = await machine();
    const usageAfter = await Promise.all(publishers.map((publisher) => publisher.usage()));
    const uploads = subjects.map((subject) => subject.uploads);
    const killedAt = (runtime.clock.monotonic() - begunMs) / 1000;

    const introPoints = await Promise.all(
      publishers.map((publisher) => pointsOfHeads(runtime, prober, publisher).catch(() => ({}))),
    );

    progress('killing one head of each');
    const removals = await Promise.all(
      publishers.map((publisher) =>
        publisher.heads.length > 1
          ? killAndWatch(runtime, prober, publisher, options.killLimitSeconds)
          : Promise.resolve(undefined),
      ),
    );
    await stopVisits();

    return {
      minutes: options.minutes,
      hsdirs: network.hsdirCount,
      machine: load,
      publishers: subjects.map(({ publisher, visits, isolated, fresh, reachableSeconds }, index): PublisherReport => {
        const heads = publisher.heads.map((head) => head.name);
        const [before, after, copies] = [usageBefore[index], usageAfter[index], uploads[index] as number];
        const cpuSeconds = before && after ? after.cpuSeconds - before.cpuSeconds : undefined;
        return {
          name: publisher.name,
          reachableSeconds,
          visits: summarize(
            visits.filter(({ at }) => at < killedAt),
            heads,
          ),
          isolated: summarize(
            isolated.filter(({ at }) => at < killedAt),
            heads,
          ),
          fresh: summarize(fresh, heads),
          introPoints: introPoints[index] ?? {},
          removal: removals[index],
          visitsAfterKill: summarize(
            visits.filter(({ at }) => at >= killedAt),
            heads,
          ),
          uploads: copies,
          cpuSeconds,
          cpuMillisecondsPerUpload: cpuSeconds === undefined || copies === 0 ? undefined : (1000 * cpuSeconds) / copies,
          residentMegabytes: after && after.residentBytes / 1e6,
          requests: { visits, isolated, fresh },
        };
      }),
    };
  } catch (error) {
    for (const publisher of publishers) progress(`${publisher.name} said last:\n${publisher.output().slice(-2000)}`);
    throw error;
  } finally {
    await Promise.all(clients.map((client) => client.close()));
    if (options.keep) {
      for (const publisher of publishers) {
        await runtime.store.write(`${network.directory}/${fileName(publisher.name)}.log`, publisher.output());
      }
    }
    await Promise.all(publishers.map((publisher) => publisher.stop()));
    await network.stop();
  }
}

function fileName(name: string): string {
  return name.replaceAll(' ', '-');
}

function create(runtime: Runtime, network: PrivateNetwork, name: PublisherName): Promise<Publisher> {
  const directory = `${network.directory}/publisher-${name}`;
  if (name === 'onionbalance') return createOnionBalance(runtime, network, directory);
  if (name === 'plain') return createPlain(runtime, network);
  return createChimera(runtime, network, directory, name);
}

/** Counts, in `subject.uploads`, the HSDirs' receipts for the master's descriptors. */
function countUploads(runtime: Runtime, subject: Subject): TorClient[] {
  const { uploader, master } = subject.publisher;
  if (uploader === undefined) return [];
  const client = clientOf(runtime, uploader);
  client.onEvent('HS_DESC', ({ words }) => {
    if (words[0] === 'UPLOADED' && words[1] === master) subject.uploads++;
  });
  return [client];
}

/** A backend that is up has its descriptor at the HSDirs; whoever looks for it before waits out a back-off of its own. */
async function untilPublished(runtime: Runtime, prober: TorClient, address: OnionAddress): Promise<void> {
  const { clock } = runtime;
  const endMs = clock.monotonic() + reachableLimitSeconds * 1000;
  for (;;) {
    try {
      await prober.fetchDescriptor(address);
      return;
    } catch (error) {
      if (clock.monotonic() > endMs) throw error;
    }
    await clock.sleep(visitIntervalMs);
  }
}

/** Starts the publisher and knocks every second until somebody answers. */
async function untilReachable(runtime: Runtime, subject: Subject, progress: (text: string) => void): Promise<void> {
  const { clock } = runtime;
  const { publisher, client } = subject;
  const begunMs = clock.monotonic();
  await publisher.start();
  while (subject.reachableSeconds === undefined) {
    if (clock.monotonic() - begunMs > reachableLimitSeconds * 1000) {
      throw new Error(`${publisher.name} was not reachable within ${reachableLimitSeconds} s`);
    }
    void request(runtime, client, publisher.master, begunMs, true).then(({ at, seconds, head }) => {
      if (head !== undefined) subject.reachableSeconds ??= at + seconds;
      return undefined;
    });
    await clock.sleep(visitIntervalMs);
  }
  progress(`${publisher.name} is reachable after ${subject.reachableSeconds.toFixed(1)} s`);
}

/**
 * Visits each master every second with plain curl and now and then on a new circuit, whether the visits before are
 * answered or not. The function returned waits for the last.
 */
function visitAgainAndAgain(runtime: Runtime, subjects: readonly Subject[], begunMs: number): () => Promise<void> {
  const open = new Set<Promise<unknown>>();
  const visitEvery = (
    { publisher, client }: Subject,
    index: number,
    intervalMs: number,
    isolated: boolean,
    into: Request[],
  ): (() => void) =>
    repeat(runtime, intervalMs, (intervalMs * index) / subjects.length, () => {
      const visit = request(runtime, client, publisher.master, begunMs, isolated).then((result) => into.push(result));
      open.add(visit);
      void visit.finally(() => open.delete(visit));
    });
  const stops = subjects.flatMap((subject, index) => [
    visitEvery(subject, index, visitIntervalMs, false, subject.visits),
    visitEvery(subject, index, isolatedIntervalMs, true, subject.isolated),
  ]);
  return async () => {
    for (const stop of stops) stop();
    await Promise.all(open);
  };
}

/** Rollovers come at the multiples of twelve voting intervals; clients hear of them up to three intervals later. */
const rolloverSeconds = 240;
const rolloverEchoSeconds = 75;

async function untilClearOfRollovers({ clock }: Runtime, options: SoakOptions): Promise<void> {
  const clear = options.clearOfRolloversSeconds;
  if (clear === undefined) return;
  const since = (): number => (clock.now() / 1000) % rolloverSeconds;
  if (since() < rolloverEchoSeconds || since() > rolloverSeconds - clear) {
    const waitSeconds = (rolloverSeconds + rolloverEchoSeconds - since()) % rolloverSeconds;
    options.progress(`${Math.round(waitSeconds)} s until the next rollover is over`);
    await clock.sleep(waitSeconds * 1000);
  }
}

/** Each stranger forgets everything, then visits every master once. */
async function visitAfresh(
  runtime: Runtime,
  subjects: readonly Subject[],
  strangers: readonly PrivateTor[],
  begunMs: number,
  clients: TorClient[],
): Promise<() => void> {
  const controls = strangers.map((stranger) => clientOf(runtime, stranger));
  clients.push(...controls);
  await Promise.all(controls.map((control) => control.ready(10_000)));
  const stops = strangers.map((stranger, index) =>
    repeat(runtime, freshIntervalMs, (freshIntervalMs * index) / strangers.length, () => {
      const visitAll = async (): Promise<void> => {
        await controls[index]?.signal('NEWNYM');
        await Promise.all(
          subjects.map(async ({ publisher, fresh }) => {
            fresh.push(await request(runtime, stranger, publisher.master, begunMs, true));
          }),
        );
      };
      // A stranger whose tor does not answer on an overloaded machine misses this round; the next one comes.
      visitAll().catch(() => undefined);
    }),
  );
  return () => {
    for (const stop of stops) stop();
  };
}

/** Runs `work` at once after `delayMs` and then every `intervalMs` by the clock. */
function repeat({ clock }: Runtime, intervalMs: number, delayMs: number, work: () => void): () => void {
  let timer: Timer;
  const next = (dueMs: number): void => {
    timer = clock.after(dueMs - clock.monotonic(), () => {
      next(dueMs + intervalMs);
      work();
    });
  };
  next(clock.monotonic() + delayMs);
  return () => timer.cancel();
}

async function tellMinutes(
  { clock }: Runtime,
  subjects: readonly Subject[],
  { minutes, progress }: SoakOptions,
  begunMs: number,
): Promise<void> {
  const endMs = begunMs + minutes * 60_000;
  while (clock.monotonic() < endMs) {
    await clock.sleep(Math.min(60_000, endMs - clock.monotonic()));
    const state = subjects.map(({ publisher, visits }) => {
      const failed = visits.filter(({ head }) => head === undefined).length;
      return `${publisher.name} ${failed}/${visits.length}`;
    });
    progress(`${Math.round((clock.monotonic() - begunMs) / 1000)} s; failed: ${state.join(', ')}`);
  }
}
