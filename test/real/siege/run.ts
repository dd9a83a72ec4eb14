/**
 * A real flood of introductions against a service of four heads on a private Tor network, and what honest clients notice.
 *
 * How the flooders aim: they are stock tors, so nobody can hand them a descriptor. They fetch it while it holds one head alone,
 * and C tor keeps it for the time period, as long as one of its points answers. Each stream has SOCKS credentials of its own,
 * so each is one INTRODUCE1, and one rendezvous at that head. Bounded in number and time.
 *
 * Honest clients are fresh: each gives up its descriptors (NEWNYM) before a visit, which tor does at most every ten seconds;
 * so there are as many of them as keep the pace.
 */
import type { Duplex } from 'node:stream';
import { createNode } from '../../../core/cli/node.ts';
import { resolveConfig } from '../../../core/config/index.ts';
import type { Engine, TorClient } from '../../../core/engine/index.ts';
import { addressOfKey, encodeSecretKeyFile, masterKeyFromSeed } from '../../../core/onion/index.ts';
import type { CycleResult } from '../../../core/pipeline/index.ts';
import {
  connectThroughSocks,
  formatEndpoint,
  systemRuntime,
  type Listener,
  type Log,
} from '../../../core/runtime/index.ts';
import { watchRendezvous } from '../../../plugins/siege/index.ts';
import { plugins } from '../../../plugins/index.ts';
import { createTorClient } from '../../../plugins/tor/index.ts';
import { createMemoryBus, memoryTransport } from '../../../plugins/transport/memory/index.ts';
import { presets } from '../../../presets/index.ts';
import { createVisitor, type Visit, type Visitor } from '../../kit/lab/visitor.ts';
import { testMembers } from '../../kit/sim/members.ts';
import { createSeededRandom } from '../../kit/sim/seeded-random.ts';
import type { TorInstance } from '../../kit/network/network.ts';
import { startPrivateNetwork } from '../../kit/network/private/index.ts';

export interface SiegeRunOptions {
  readonly preset: 'hydra' | 'stable';
  readonly honestClients: number;
  readonly honestIntervalMs: number;
  readonly floodSecs: number;
  readonly floodPerSecond: number;
  readonly graceSecs: number;
  readonly tell: (text: string) => void;
}

export interface SiegeRunReport {
  /** From the flood's first introduction, milliseconds; undefined when it did not come. */
  readonly reportedMs: number | undefined;
  readonly confirmedMs: number | undefined;
  readonly honest: {
    readonly made: number;
    readonly failed: number;
    readonly medianMs: number;
    readonly worstMs: number;
  };
  readonly flood: { readonly sent: number; readonly served: number };
  /** Introductions that the flooded head's tor saw, by second of the flood. */
  readonly seenAtHead: number;
  readonly download: 'finished' | 'broken';
  /** Of the rendezvous joined at the ghost after its grace. */
  readonly afterGrace: { readonly joined: number; readonly longestMs: number; readonly open: number };
}

/** Answers `/` with its name, and `/slow` with a line every half second for `slowMs`. */
async function openSlowSite(
  runtime: ReturnType<typeof systemRuntime>,
  name: string,
  slowMs: number,
): Promise<Listener> {
  return runtime.net.listen({ host: '127.0.0.1', port: 0 }, (stream: Duplex) => {
    stream.on('error', () => stream.destroy());
    stream.once('data', (chunk: Buffer) => {
      stream.write('HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n');
      if (!chunk.toString('latin1').startsWith('GET /slow')) {
        stream.end(`${name}\n`);
        return;
      }
      const end = runtime.clock.monotonic() + slowMs;
      const next = (): void => {
        if (stream.destroyed) return;
        if (runtime.clock.monotonic() >= end) {
          stream.end('the end\n');
          return;
        }
        stream.write(`${name}\n`);
        runtime.clock.after(500, next);
      };
      next();
    });
  });
}

export async function runSiege(options: SiegeRunOptions): Promise<SiegeRunReport> {
  const { preset, graceSecs, floodSecs, floodPerSecond, tell } = options;
  const runtime = systemRuntime();
  const { clock, random, net, store } = runtime;
  const network = await startPrivateNetwork(runtime);
  const engines: Engine[] = [];
  const clients: TorClient[] = [];
  const sites: Listener[] = [];
  let reportedAtMs: number | undefined;
  const results: { readonly atMs: number; readonly result: CycleResult }[] = [];
  const listen = (message: string): void => {
    if (message === 'a head is under siege') reportedAtMs ??= clock.monotonic();
  };
  const log: Log = {
    debug: () => undefined,
    info: (message, fields) => {
      if (/^the head is |given up|head grows/.test(message)) tell(`${message} ${JSON.stringify(fields ?? {})}`);
    },
    warn: (message) => listen(message),
    error: (message) => tell(message),
    child: () => log,
  };
  try {
    const names = ['a', 'b', 'c', 'd'];
    const tors = new Map<string, TorInstance>();
    for (const name of names) tors.set(name, await network.addTor({ name }));
    const flooderTors = [
      await network.addTor({ name: 'flooder-1', socks: true }),
      await network.addTor({ name: 'flooder-2', socks: true }),
    ];
    const honestTors: TorInstance[] = [];
    for (let index = 0; index < options.honestClients; index++) {
      honestTors.push(await network.addTor({ name: `honest-${index}`, socks: true }));
    }
    await network.ready();
    tell(`the network is up: ${network.hsdirCount} HSDirs`);

    const key = masterKeyFromSeed(random.bytes(32));
    const address = addressOfKey(key.publicKey);
    const keyPath = `${network.directory}/master-key`;
    await store.write(keyPath, encodeSecretKeyFile(key));
    const members = testMembers(names, createSeededRandom('siege'));
    const flooded = `${members.identity('a').node}/1`;
    const bus = createMemoryBus({ clock, random });
    const slowMs = (floodSecs + graceSecs + 20) * 1_000;

    const startNode = async (name: string): Promise<void> => {
      const tor = tors.get(name) as TorInstance;
      const site = await openSlowSite(runtime, name, slowMs);
      sites.push(site);
      const tables = preset === 'hydra' ? { ghost: { siege_grace_secs: graceSecs, allow_short_grace: true } } : {};
      const value = {
        node: { id: members.identity(name).node },
        master: { identity_key_path: keyPath },
        tor: { control: formatEndpoint(tor.control) },
        heads: { target: formatEndpoint(site.endpoint) },
        election: { priority: 10 * (names.indexOf(name) + 1) },
        plugins: { remove: ['heads/registry'], add: ['mesh'] },
        ...tables,
      };
      const resolved = await resolveConfig(
        { file: undefined, directory: network.directory, value },
        { presets, plugins },
        preset,
      );
      const engine = createNode(
        { ...resolved, plugins: [...resolved.plugins, ...members.plugins(name), memoryTransport(bus, name)] },
        { ...runtime, log },
      );
      engine.onResult((result) => results.push({ atMs: clock.monotonic(), result }));
      engines.push(engine);
      await engine.start();
    };
    const visitorOf = async (instance: TorInstance): Promise<{ visitor: Visitor; tor: TorClient }> => {
      const tor = createTorClient(runtime, { control: instance.control, name: instance.name });
      clients.push(tor);
      await tor.ready(20_000);
      const socks = instance.socks as NonNullable<TorInstance['socks']>;
      return { visitor: createVisitor({ net, clock, tor, socks, address, port: 80 }), tor };
    };
    const until = async (what: string, limitMs: number, look: () => boolean): Promise<void> => {
      const deadline = clock.monotonic() + limitMs;
      while (!look()) {
        if (clock.monotonic() > deadline) throw new Error(`${what}: not within ${limitMs} ms`);
        await clock.sleep(100);
      }
    };
    const confirmed = (fits: (result: CycleResult) => boolean): number | undefined =>
      results.find(({ result }) => result.outcome === 'published' && fits(result))?.atMs;

    await startNode('a');
    await until('the first descriptor', 60_000, () => confirmed(() => true) !== undefined);
    const flooders = await Promise.all(flooderTors.map(visitorOf));
    for (const { visitor } of flooders) {
      const { head, reason } = await visitor.visit(30_000);
      if (head !== 'a') throw new Error(`a flooder did not reach the head: ${reason}`);
    }
    // The download goes through the head that will be cut.
    const stream = await connectThroughSocks(
      { net, clock },
      {
        socks: (flooderTors[0] as TorInstance).socks as NonNullable<TorInstance['socks']>,
        host: `${address}.onion`,
        port: 80,
        timeoutMs: 30_000,
        isolation: 'download',
      },
    );
    stream.write('GET /slow HTTP/1.1\r\n\r\n');
    let download = '';
    const downloaded = (async () => {
      try {
        for await (const chunk of stream as AsyncIterable<Buffer>) download += chunk.toString('latin1');
      } catch {
        // Cut.
      }
    })();

    for (const name of names.slice(1)) await startNode(name);
    const wanted = preset === 'hydra' ? 3 : 4;
    await until('all heads', 60_000, () => confirmed(({ heads }) => heads.length >= wanted) !== undefined);
    const honest = await Promise.all(honestTors.map(visitorOf));
    await clock.sleep(5_000);

    const visits: Promise<Visit>[] = [];
    let honestOn = true;
    let turn = 0;
    const honestNext = (): void => {
      if (!honestOn) return;
      const { visitor, tor } = honest[turn++ % honest.length] as (typeof honest)[number];
      visits.push(tor.signal('NEWNYM').then(() => visitor.visit(60_000)));
      clock.after(options.honestIntervalMs, honestNext);
    };
    honestNext();

    const headTor = createTorClient(runtime, { control: (tors.get('a') as TorInstance).control, name: 'watch a' });
    clients.push(headTor);
    await headTor.ready(10_000);
    let seenAtHead = 0;
    const openAtHead = new Map<string, number>();
    const late: { joined: number; longestMs: number } = { joined: 0, longestMs: 0 };
    let graceOver = false;
    const release = watchRendezvous(
      headTor,
      { headOf: () => flooded, only: () => flooded },
      {
        seen: () => seenAtHead++,
        joined: (_head, id) => {
          if (!graceOver) return;
          late.joined++;
          openAtHead.set(id, clock.monotonic());
        },
        closed: (_head, id) => {
          const at = openAtHead.get(id);
          openAtHead.delete(id);
          if (at !== undefined) late.longestMs = Math.max(late.longestMs, clock.monotonic() - at);
        },
      },
    );

    const begunMs = clock.monotonic();
    tell(`the flood begins: ${floodPerSecond}/s at the head of a`);
    const sent: Promise<Visit>[] = [];
    const total = floodSecs * floodPerSecond;
    let floodOn = true;
    const floodNext = (): void => {
      if (!floodOn || sent.length >= total) return;
      sent.push((flooders[sent.length % flooders.length] as (typeof flooders)[number]).visitor.visit(20_000));
      clock.after(Math.max(0, begunMs + (1_000 * sent.length) / floodPerSecond - clock.monotonic()), floodNext);
    };
    floodNext();
    await clock.sleep(floodSecs * 1_000);
    floodOn = false;
    const cutAtMs = confirmed(({ why }) => why.includes(`${flooded} is cut`));
    const floodSeen = seenAtHead;
    const cut = results.find(({ result }) => result.why.includes(`${flooded} is cut`));
    if (cut !== undefined) {
      const { outcome, durationMs, stepsMs, reasons, why } = cut.result;
      tell(
        `the cut: ${outcome} at ${Math.round(cut.atMs - begunMs)} ms, ${JSON.stringify({ durationMs, stepsMs, reasons })}; ${why}`,
      );
    }
    tell(`the flood ends: ${sent.length} sent, ${floodSeen} seen at the head`);

    // A trickle by those who still have the old descriptor goes on past the grace.
    const left = cutAtMs === undefined ? 0 : Math.max(0, cutAtMs + graceSecs * 1_000 + 1_500 - clock.monotonic());
    await clock.sleep(left);
    graceOver = preset === 'hydra';
    for (let index = 0; index < 8; index++) {
      sent.push((flooders[index % 2] as (typeof flooders)[number]).visitor.visit(20_000));
      await clock.sleep(1_000);
    }
    honestOn = false;
    const done = await Promise.all(visits);
    const served = await Promise.all(sent);
    await downloaded;
    release();
    const failed = done.filter(({ head }) => head === undefined);
    for (const { reason, durationMs } of failed) tell(`an honest visit failed after ${durationMs} ms: ${reason}`);
    const times = done.map(({ durationMs }) => durationMs).sort((x, y) => x - y);
    return {
      reportedMs: reportedAtMs === undefined ? undefined : Math.round(reportedAtMs - begunMs),
      confirmedMs: cutAtMs === undefined ? undefined : Math.round(cutAtMs - begunMs),
      honest: {
        made: done.length,
        failed: failed.length,
        medianMs: times[times.length >> 1] ?? 0,
        worstMs: times.at(-1) ?? 0,
      },
      flood: { sent: sent.length, served: served.filter(({ head }) => head !== undefined).length },
      seenAtHead: floodSeen,
      download: download.includes('the end') ? 'finished' : 'broken',
      afterGrace: { ...late, longestMs: Math.round(late.longestMs), open: openAtHead.size },
    };
  } finally {
    for (const engine of engines.reverse()) await engine.stop();
    for (const client of clients) await client.close();
    for (const site of sites) await site.close();
    await network.stop();
  }
}
