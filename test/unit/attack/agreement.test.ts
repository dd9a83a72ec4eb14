/**
 * The same story on the embedded network, with all cryptography, and in the simulator, without: clients fetch, introduce, are
 * refused and give up equally often.
 */
import { expect, test } from 'vitest';
import { addressOfKey, masterKeyFromSeed, type IntroPoint } from '../../../core/onion/index.ts';
import type { RawReply } from '../../kit/network/conformance/raw-control.ts';
import { loopbackLatency } from '../../kit/network/embedded/latency.ts';
import { requestHistorySeconds } from '../../kit/network/rules/client.ts';
import { Clients } from '../../kit/attack/clients.ts';
import { Directory, lifetimeSeconds } from '../../kit/attack/directory.ts';
import { EventQueue } from '../../kit/attack/queue.ts';
import { defaultScenario } from '../../kit/attack/scenario.ts';
import { Service, type Point } from '../../kit/attack/service.ts';
import { createSeededRandom } from '../../kit/sim/seeded-random.ts';
import { createWorld } from '../network/support.ts';

const clientCount = 4;

/** What clients did in one chapter of the story, all together. */
interface Chapter {
  readonly reached: number;
  readonly fetches: number;
  readonly introductions: number;
  readonly nacks: number;
}

interface Teller {
  /** `count` heads of three points are there, and the descriptor lists them all. */
  publish(count: number): Promise<void>;
  /** The points of the first `count` of those heads are gone; nothing is published. */
  lose(count: number): Promise<void>;
  visits(): Promise<Chapter>;
  pass(seconds: number): Promise<void>;
}

async function story(teller: Teller): Promise<Chapter[]> {
  const chapters: Chapter[] = [];
  const visits = async (): Promise<void> => void chapters.push(await teller.visits());
  await teller.publish(1);
  await visits();
  // Cached: no fetch.
  await visits();
  // All three refuse, the new descriptor helps.
  await teller.lose(1);
  await teller.publish(1);
  await visits();
  // It does not help, twice; then the marks are forgotten and all is tried again.
  await teller.lose(1);
  await visits();
  await visits();
  await teller.pass(121);
  await visits();
  // One of two heads is gone: chance decides how often that is noticed.
  await teller.publish(2);
  await visits();
  await teller.lose(1);
  await visits();
  return chapters;
}

async function embedded(): Promise<Teller> {
  const { bench } = await createWorld('agreement', { votingSeconds: 60 });
  const tors: Awaited<ReturnType<typeof bench.addTor>>[] = [];
  for (let index = 0; index < clientCount; index++) tors.push(await bench.addTor(`client-${index}`, { socks: true }));
  const publisher = tors[0]!;
  const master = masterKeyFromSeed(new Uint8Array(32).fill(5));
  const address = addressOfKey(master.publicKey);
  const target = await bench.site('here');
  let made = 0;
  let heads: Awaited<ReturnType<typeof bench.addTor>>[] = [];
  let visit = 0;
  return {
    publish: async (count) => {
      heads = [];
      const points: IntroPoint[] = [];
      for (let index = 0; index < count; index++) {
        const head = await bench.addTor(`head-${++made}`, { config: { PublishHidServDescriptors: '0' } });
        const service = await bench.service(head, 'one', target, [address]);
        points.push(...(await bench.serviceDescriptor(head, service)).introPoints);
        heads.push(head);
      }
      await bench.publish(publisher, master, points);
    },
    lose: async (count) => {
      for (const head of heads.slice(0, count)) await bench.expectOk(head, 'SETCONF HiddenServiceDir');
      await bench.subject.pass(1_000);
    },
    visits: async () => {
      visit++;
      let reached = 0;
      const lines: string[] = [];
      for (const tor of tors) {
        const events: RawReply[] = await bench.listen(tor, 'HS_DESC', 'CIRC_MINOR');
        if ((await bench.visit(tor, address, `visit-${visit}`)) === 'here') reached++;
        lines.push(...events.map((event) => event.lines[0] ?? ''));
      }
      const count = (pattern: RegExp): number => lines.filter((line) => pattern.test(line)).length;
      const introductions = count(/ PURPOSE_CHANGED .* HS_STATE=HSCI_INTRO_SENT/);
      const acked = count(/ PURPOSE_CHANGED .* HS_STATE=HSCI_DONE/);
      return { reached, fetches: count(/ HS_DESC REQUESTED /), introductions, nacks: introductions - acked };
    },
    pass: (seconds) => bench.subject.pass(seconds * 1_000),
  };
}

function simulated(): Teller {
  const scenario = {
    ...defaultScenario,
    heads: 2,
    pointsPerHead: 3,
    clients: clientCount,
    latency: loopbackLatency,
    historySeconds: requestHistorySeconds.testing,
  };
  const random = createSeededRandom('agreement');
  const queue = new EventQueue();
  const directory = new Directory(scenario, random.fork('directory'));
  const service = new Service(scenario, { detects: false, ghost: undefined, relayShare: 0 }, random.fork('service'));
  let reached = 0;
  const attempt = { over: false };
  const clients = new Clients(scenario, queue, directory, service, random.fork('clients'), {
    done: (_attempt, _atMs, success) => {
      attempt.over = true;
      if (success) reached++;
    },
    firstTry: () => undefined,
    refused: () => undefined,
    sessionEnded: () => undefined,
  });
  let nowMs = 0;
  let revision = 0;
  let heads = service.heads.slice(0, 0);
  const now = (): number => scenario.startsAt + nowMs / 1_000;
  const counts = (): Chapter => ({
    reached,
    fetches: clients.fetches,
    introductions: clients.introductions,
    nacks: clients.nacks,
  });
  return {
    publish: async (count) => {
      heads = service.heads.slice(0, count);
      const points: Point[] = heads.flatMap(({ current }) => current);
      const listing = { revision: ++revision, points, publishedMs: nowMs, lifetimeSeconds };
      const { store, blindedKey } = directory.used;
      for (const hsdir of store) expect(directory.upload(hsdir, blindedKey, listing, now())).toBe(true);
    },
    lose: async (count) => {
      for (const head of heads.slice(0, count)) service.renew(head, now(), false);
    },
    visits: async () => {
      const before = counts();
      for (let client = 0; client < clientCount; client++) {
        attempt.over = false;
        clients.begin(client, nowMs);
        while (!attempt.over && queue.next()) {
          nowMs = queue.atMs;
          clients.handle(queue.kind, queue.subject, nowMs);
        }
      }
      const after = counts();
      return {
        reached: after.reached - before.reached,
        fetches: after.fetches - before.fetches,
        introductions: after.introductions - before.introductions,
        nacks: after.nacks - before.nacks,
      };
    },
    pass: async (seconds) => void (nowMs += seconds * 1_000),
  };
}

test('with cryptography and without, the same happens', async () => {
  const real = await story(await embedded());
  const fast = await story(simulated());
  // Seven chapters leave nothing to chance.
  expect(fast.slice(0, -1)).toEqual(real.slice(0, -1));
  expect(real.slice(0, 4)).toEqual([
    { reached: 4, fetches: 4, introductions: 4, nacks: 0 },
    { reached: 4, fetches: 0, introductions: 4, nacks: 0 },
    { reached: 4, fetches: 4, introductions: 16, nacks: 12 },
    { reached: 0, fetches: 4, introductions: 12, nacks: 12 },
  ]);
  const [last, other] = [real.at(-1)!, fast.at(-1)!];
  for (const { reached, fetches, introductions, nacks } of [last, other]) {
    expect([reached, fetches, introductions - nacks]).toEqual([4, 0, 4]);
    // Three of six refuse: none to three of them are met before one that answers.
    expect(nacks).toBeLessThanOrEqual(3 * clientCount);
  }
}, 60_000);
