/**
 * A node of the mesh under a flood over real UDP, on loopback: how much of an honest node's traffic still arrives, whether anything
 * of the flood changes what the node holds, and what it costs. Three processes: the node, an honest one, the attacker.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { extname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { FloodDone, FloodOrder } from './flood-attacker.ts';
import type { FloodReport } from './flood-node.ts';
import type { Figure } from './table.ts';

export interface FloodFigures {
  readonly count: number;
  /** Datagrams a second that the attacker sent. */
  readonly perSecond: number;
  /** Of the honest node's records the share that arrived, without the flood and during it, and one by the other. */
  readonly quiet: number;
  readonly flooded: number;
  readonly ratio: number;
  /** Honest records a second meanwhile. */
  readonly offeredPerSecond: number;
  /** Of the flood, the share that the kernel handed on; what is beyond its buffer is lost there, with honest ones among it. */
  readonly taken: number;
  /** Processor time of the node for each datagram that was dropped, microseconds. */
  readonly costMicroseconds: number;
  readonly grownBytes: number;
  readonly residentBytes: number;
  readonly sessions: number;
  /** Whether the node holds and shows the same as before. */
  readonly unchanged: boolean;
}

/** Records a second of the honest node: some thirty times what the mesh sends by itself. */
const honestPerSecond = 100;

interface Reports {
  readonly victim: FloodReport;
  readonly honest: FloodReport;
}

function start(name: string, ...args: readonly string[]): ChildProcess {
  const own = fileURLToPath(import.meta.url);
  const extension = extname(own);
  const file = fileURLToPath(new URL(`./${name}${extension}`, import.meta.url));
  return fork(file, args, { execArgv: extension === '.ts' ? ['--import', 'tsx'] : [] });
}

async function report(child: ChildProcess): Promise<FloodReport> {
  child.send('report');
  const [answer] = (await once(child, 'message')) as [FloodReport];
  return answer;
}

export async function benchFlood(options: {
  readonly count: number;
  /** 0: as fast as one process can. */
  readonly perSecond: number;
  readonly quietSeconds: number;
  /** As the option `peer_sockets` of transport/udp. */
  readonly peerSockets: number;
}): Promise<FloodFigures> {
  const children: ChildProcess[] = [];
  const begin = (name: string, ...args: readonly string[]): ChildProcess => {
    const child = start(name, ...args);
    children.push(child);
    return child;
  };
  try {
    const victim = begin('flood-node', 'victim', '0', String(options.peerSockets));
    const { port } = await report(victim);
    const rest = [String(honestPerSecond), String(options.peerSockets), String(port)];
    const honest = begin('flood-node', 'honest', ...rest);
    const attacker = begin('flood-attacker');
    await once(attacker, 'message');
    // Until they know each other, and the code is compiled.
    for (let waited = 0; (await report(victim)).heard < 3 * honestPerSecond; waited++) {
      if (waited > 60) throw new Error('the two nodes do not find each other');
      await sleep(500);
    }
    const both = async (): Promise<Reports> => {
      const said = await report(honest);
      return { victim: await report(victim), honest: said };
    };
    const share = (from: Reports, to: Reports): number =>
      (to.victim.heard - from.victim.heard) / (to.honest.published - from.honest.published);
    const quietFrom = await both();
    await sleep(options.quietSeconds * 1_000);
    const before = await both();
    const order = { port, count: options.count, perSecond: options.perSecond, recorded: before.honest.sent };
    attacker.send(order satisfies FloodOrder);
    const [{ tookMs }] = (await once(attacker, 'message')) as [FloodDone];
    const after = await both();
    const [quiet, flooded] = [share(quietFrom, before), share(before, after)];
    const [lazy, calm, busy] = [quietFrom.victim, before.victim, after.victim];
    const dropped = busy.dropped - calm.dropped;
    const quietCpu = (calm.cpuMs - lazy.cpuMs) / (calm.atMs - lazy.atMs);
    const offered = after.honest.published - before.honest.published;
    return {
      count: options.count,
      perSecond: (options.count / tookMs) * 1_000,
      quiet,
      flooded,
      ratio: flooded / quiet,
      offeredPerSecond: (offered / (after.honest.atMs - before.honest.atMs)) * 1_000,
      taken: dropped / options.count,
      costMicroseconds: ((busy.cpuMs - calm.cpuMs - quietCpu * (busy.atMs - calm.atMs)) / dropped) * 1_000,
      grownBytes: busy.heldBytes - calm.heldBytes,
      residentBytes: busy.residentBytes,
      sessions: busy.sessions,
      unchanged: busy.state === calm.state,
    };
  } finally {
    for (const child of children) child.kill('SIGKILL');
  }
}

export function floodFigures(figures: FloodFigures): Figure[] {
  const mebibyte = 1_048_576;
  return [
    { what: 'datagrams a second', value: figures.perSecond, unit: '' },
    { what: 'honest records that arrive, without it', value: 100 * figures.quiet, unit: '%' },
    { what: 'honest records that arrive, during it', value: 100 * figures.flooded, unit: '%' },
    { what: 'one by the other', value: 100 * figures.ratio, unit: '%', least: 90 },
    { what: 'of the flood, read by the node', value: 100 * figures.taken, unit: '%' },
    { what: 'processor time for each that is dropped', value: figures.costMicroseconds, unit: 'µs' },
    { what: 'memory held more afterwards', value: figures.grownBytes / mebibyte, unit: 'MiB', below: 4 },
    { what: 'changes of what the node holds', value: figures.unchanged ? 0 : 1, unit: '', below: 1 },
  ];
}
