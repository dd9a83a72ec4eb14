/**
 * A real flood of introductions against a service of four heads on a private Tor network, and what honest clients notice.
 *
 * How the flooders aim: they are stock tors, so nobody can hand them a descriptor. They fetch one that holds the first head
 * alone (contender.ts) and are then told to fetch none (FetchHidServDescriptors 0): a static list, for one time period. Each
 * stream has SOCKS credentials of its own, so each is one INTRODUCE1, and one rendezvous at that head. Bounded in number and time.
 *
 * How a head is brought to its limit: a machine that runs the whole network cannot send what a tor on a core of its own cannot
 * take, so every head's tor is bound to a share of a core (share.ts), the same for all contenders.
 *
 * Honest clients are fresh: each gives up its descriptors (NEWNYM) before a visit, which tor does at most every ten seconds;
 * so there are as many of them as keep the pace.
 */
import type { Duplex } from 'node:stream';
import type { TorClient } from '../../../core/engine/index.ts';
import type { OnionAddress } from '../../../core/onion/index.ts';
import type { CycleResult } from '../../../core/pipeline/index.ts';
import { connectThroughSocks, systemRuntime, type Endpoint } from '../../../core/runtime/index.ts';
import { watchRendezvous } from '../../../plugins/siege/index.ts';
import { createTorClient } from '../../../plugins/tor/index.ts';
import { createVisitor, type Visit, type Visitor } from '../../kit/lab/visitor.ts';
import { startPrivateNetwork, type PrivateTor } from '../../kit/network/private/index.ts';
import { createContender, type ContenderName } from './contender.ts';
import { boundShare } from './share.ts';

export interface SiegeRunOptions {
  readonly contender: ContenderName;
  readonly honestClients: number;
  readonly honestIntervalMs: number;
  readonly floodSecs: number;
  readonly floodPerSecond: number;
  readonly flooders: number;
  /** What each head's tor may have of a core, percent; undefined: no bound. */
  readonly headShare: number | undefined;
  readonly graceSecs: number;
  readonly tell: (text: string) => void;
}

export interface SiegeRunReport {
  /** From the flood's first introduction, milliseconds; undefined when it did not come. */
  readonly reportedMs: number | undefined;
  readonly confirmedMs: number | undefined;
  readonly honest: {
    readonly made: number;
    /** No page within 60 s. */
    readonly failed: number;
    /** A page, but not within 10 s. */
    readonly slow: number;
    readonly medianMs: number;
    readonly worstMs: number;
  };
  readonly flood: { readonly sent: number; readonly served: number };
  /** Rendezvous that the flooded head's tor began while the flood lasted, and what it used of a core, percent. */
  readonly seenAtHead: number;
  readonly headCpuPercent: number | undefined;
  readonly download: 'finished' | 'broken';
  /** Of the rendezvous joined at the ghost since it refuses, while the flood goes on and after it. */
  readonly afterGrace: {
    /** From the cut on, milliseconds; undefined when it did not refuse. */
    readonly refusesAfterMs: number | undefined;
    readonly joined: number;
    readonly overASecond: number;
    readonly longestMs: number;
    readonly open: number;
  };
}

const honestLimitMs = 60_000;
const slowMs = 10_000;
const floodLimitMs = 20_000;
/** In which all that listen to a tor have heard of an event. */
const heardMs = 100;
/**
 * Half of a testing network's day: time period and shared random value change in turn. The flooders' descriptor is worth nothing
 * after a change, and they may fetch no other.
 */
const halfSecs = 240;
/** After a change, until every tor has the consensus that says so. */
const settledSecs = 45;

export async function runSiege(options: SiegeRunOptions): Promise<SiegeRunReport> {
  const { graceSecs, floodSecs, floodPerSecond, tell } = options;
  const runtime = systemRuntime();
  const { clock, net } = runtime;
  const network = await startPrivateNetwork(runtime);
  const clients: TorClient[] = [];
  const shares: (() => Promise<void>)[] = [];
  const stops: (() => Promise<void>)[] = [];
  const watch = async (instance: PrivateTor): Promise<TorClient> => {
    const tor = createTorClient(runtime, { control: instance.control, name: instance.name });
    clients.push(tor);
    await tor.ready(20_000);
    return tor;
  };
  const socksOf = (instance: PrivateTor): Endpoint => instance.socks as Endpoint;
  const visitorOf = async (
    instance: PrivateTor,
    address: OnionAddress,
  ): Promise<{ visitor: Visitor; tor: TorClient }> => {
    const tor = await watch(instance);
    return { visitor: createVisitor({ net, clock, tor, socks: socksOf(instance), address, port: 80 }), tor };
  };
  const until = async (what: string, limitMs: number, look: () => Promise<boolean> | boolean): Promise<void> => {
    const deadline = clock.monotonic() + limitMs;
    while (!(await look())) {
      if (clock.monotonic() > deadline) throw new Error(`${what}: not within ${limitMs} ms`);
      await clock.sleep(500);
    }
  };
  try {
    const names = ['a', 'b', 'c', 'd'];
    const tors = new Map<string, PrivateTor>();
    for (const name of names) tors.set(name, await network.addTor({ name }));
    const add = async (kind: string, count: number): Promise<PrivateTor[]> => {
      const all: PrivateTor[] = [];
      for (let index = 0; index < count; index++) {
        // A stock client has 32 circuits on the way at most; a bot has as many as it likes.
        const config = kind === 'flooder' ? { MaxClientCircuitsPending: '1024' } : {};
        all.push(await network.addTor({ name: `${kind}-${index}`, socks: true, config }));
      }
      return all;
    };
    const flooderTors = await add('flooder', options.flooders);
    const honestTors = await add('honest', options.honestClients);
    await network.ready();
    tell(`the network is up: ${network.hsdirCount} HSDirs`);
    const headA = tors.get('a') as PrivateTor;

    const intoHalf = (): number => (clock.now() / 1_000) % halfSecs;
    const lastStart = halfSecs - floodSecs - 50;
    if (intoHalf() < settledSecs || intoHalf() > lastStart) {
      tell('the flood waits for the next half of the day');
      await clock.sleep((((settledSecs - intoHalf() + halfSecs) % halfSecs) + 1) * 1_000);
    }

    const contender = await createContender(options.contender, {
      runtime,
      network,
      tors,
      slowMs: (floodSecs + 20) * 1_000,
      graceSecs,
      tell,
    });
    stops.push(() => contender.stop());
    const { address, seen, flooded } = contender;

    await contender.startFirst();
    const flooders = await Promise.all(flooderTors.map((tor) => visitorOf(tor, contender.aim)));
    for (const { visitor, tor } of flooders) {
      let visit: Visit | undefined;
      await until('a flooder at the head', 90_000, async () => {
        visit = await visitor.visit(15_000);
        return visit.head !== undefined;
      });
      if (visit?.head !== 'a') throw new Error(`a flooder reached ${visit?.head}`);
      await tor.setConf([['FetchHidServDescriptors', '0']]);
    }
    await contender.startOthers();
    const honest = await Promise.all(honestTors.map((tor) => visitorOf(tor, address)));
    const [first] = honest as [(typeof honest)[number]];
    await until('a descriptor of all heads', 180_000, async () => {
      const descriptor = await first.visitor.descriptor().catch(() => undefined);
      return descriptor !== undefined && contender.isComplete(descriptor.introPoints, first.tor);
    });

    const through = { socks: socksOf(flooderTors[0] as PrivateTor), host: `${contender.aim}.onion`, port: 80 };
    // Of three hops twice one may fail; tor tries again when it is asked again.
    const connected = async (tries: number): Promise<Duplex> => {
      const isolation = `download-${tries}`;
      try {
        return await connectThroughSocks({ net, clock }, { ...through, timeoutMs: 30_000, isolation });
      } catch (error) {
        if (tries === 1) throw error;
        return connected(tries - 1);
      }
    };
    const stream = await connected(3);
    stream.write('GET /slow HTTP/1.1\r\n\r\n');
    let download = '';
    const downloaded = (async () => {
      try {
        for await (const chunk of stream as AsyncIterable<Buffer>) download += chunk.toString('latin1');
      } catch {
        // Cut.
      }
    })();

    const headTor = await watch(headA);
    if (options.headShare !== undefined) {
      for (const [name, instance] of tors) {
        const pid = Number(await (name === 'a' ? headTor : await watch(instance)).getInfo('process/pid'));
        shares.push(await boundShare(name, pid, options.headShare));
      }
    }
    await clock.sleep(5_000);

    const visits: Promise<Visit>[] = [];
    let honestOn = true;
    let turn = 0;
    const honestNext = (): void => {
      if (!honestOn) return;
      const { visitor, tor } = honest[turn++ % honest.length] as (typeof honest)[number];
      visits.push(tor.signal('NEWNYM').then(() => visitor.visit(honestLimitMs)));
      clock.after(options.honestIntervalMs, honestNext);
    };

    let begunMs = Infinity;
    const left = ({ outcome, live }: CycleResult): boolean => outcome === 'published' && !live.includes(flooded);
    let seenAtHead = 0;
    const openAtHead = new Map<string, number>();
    const late = { joined: 0, overASecond: 0, longestMs: 0 };
    const release = watchRendezvous(
      headTor,
      { headOf: () => flooded, only: () => flooded },
      {
        seen: () => seenAtHead++,
        joined: (_head, id) => {
          // Joined while it drained is kept, and the ghost may have heard of it a moment before.
          if (clock.monotonic() < (seen.refusingAtMs ?? Infinity) + heardMs) return;
          late.joined++;
          openAtHead.set(id, clock.monotonic());
        },
        closed: (_head, id) => {
          const at = openAtHead.get(id);
          openAtHead.delete(id);
          if (at === undefined) return;
          const lastedMs = clock.monotonic() - at;
          if (lastedMs > 1_000) late.overASecond++;
          late.longestMs = Math.max(late.longestMs, lastedMs);
        },
      },
    );

    const usedBefore = (await headA.usage())?.cpuSeconds;
    begunMs = clock.monotonic();
    tell(`the flood begins: ${floodPerSecond}/s at the head of a`);
    honestNext();
    const sent: Promise<Visit>[] = [];
    const total = floodSecs * floodPerSecond;
    let floodOn = true;
    const floodNext = (): void => {
      if (!floodOn || sent.length >= total) return;
      sent.push((flooders[sent.length % flooders.length] as (typeof flooders)[number]).visitor.visit(floodLimitMs));
      clock.after(Math.max(0, begunMs + (1_000 * sent.length) / floodPerSecond - clock.monotonic()), floodNext);
    };
    floodNext();
    await clock.sleep(floodSecs * 1_000);
    floodOn = false;
    honestOn = false;
    const used = (await headA.usage())?.cpuSeconds;
    const lastedSecs = (clock.monotonic() - begunMs) / 1_000;
    const floodSeen = seenAtHead;
    const cut = seen.results.find(({ atMs, result }) => atMs > begunMs && left(result));
    if (cut !== undefined) {
      const { durationMs, stepsMs, reasons, why } = cut.result;
      tell(
        `the cut: at ${Math.round(cut.atMs - begunMs)} ms, ${JSON.stringify({ durationMs, stepsMs, reasons })}; ${why}`,
      );
    }
    for (const { atMs, result } of seen.results) {
      const { outcome, why, durationMs, error } = result;
      if (atMs < begunMs || outcome === 'published') continue;
      tell(`a cycle at ${Math.round(atMs - begunMs)} ms, ${durationMs} ms long: ${outcome}, ${error?.message ?? why}`);
    }
    tell(`the flood ends: ${sent.length} sent, ${floodSeen} seen at the head`);

    // By those who still have the old descriptor a trickle goes on past the flood, and past the grace in any case.
    if (cut !== undefined) {
      await clock.sleep(Math.max(0, cut.atMs + graceSecs * 1_000 + 1_500 - clock.monotonic()));
      for (let index = 0; index < 8; index++) {
        sent.push((flooders[index % flooders.length] as (typeof flooders)[number]).visitor.visit(floodLimitMs));
        await clock.sleep(1_000);
      }
    }
    const done = await Promise.all(visits);
    const served = await Promise.all(sent);
    await downloaded;
    // What was joined last has its second as well.
    await clock.sleep(2_000);
    release();
    const failed = done.filter(({ head }) => head === undefined);
    for (const { reason, durationMs } of failed) tell(`an honest visit failed after ${durationMs} ms: ${reason}`);
    const times = done.map(({ durationMs }) => durationMs).sort((x, y) => x - y);
    return {
      reportedMs: seen.reportedAtMs === undefined ? undefined : Math.round(seen.reportedAtMs - begunMs),
      confirmedMs: cut === undefined ? undefined : Math.round(cut.atMs - begunMs),
      honest: {
        made: done.length,
        failed: failed.length,
        slow: done.filter(({ head, durationMs }) => head !== undefined && durationMs > slowMs).length,
        medianMs: times[times.length >> 1] ?? 0,
        worstMs: times.at(-1) ?? 0,
      },
      flood: { sent: sent.length, served: served.filter(({ head }) => head !== undefined).length },
      seenAtHead: floodSeen,
      headCpuPercent:
        used === undefined || usedBefore === undefined
          ? undefined
          : Number(((100 * (used - usedBefore)) / lastedSecs).toFixed(2)),
      download: download.includes('the end') ? 'finished' : 'broken',
      afterGrace: {
        refusesAfterMs:
          cut === undefined || seen.refusingAtMs === undefined ? undefined : Math.round(seen.refusingAtMs - cut.atMs),
        ...late,
        longestMs: Math.round(late.longestMs),
        open: openAtHead.size,
      },
    };
  } finally {
    for (const stop of stops) await stop();
    for (const client of clients) await client.close();
    await network.stop();
    for (const unbind of shares) await unbind();
  }
}
