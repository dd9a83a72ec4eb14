/**
 * Somebody who has recorded the path between two nodes and floods one of them, as a child process: takes `FloodOrder`, sends replayed
 * and forged datagrams, and says how long that took.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createSeededRandom } from '../kit/sim/seeded-random.ts';

export interface FloodOrder {
  readonly port: number;
  readonly count: number;
  /** 0: as fast as it can. */
  readonly perSecond: number;
  /** Genuine datagrams, in base64. */
  readonly recorded: readonly string[];
}
export interface FloodDone {
  readonly tookMs: number;
}

const socket = createSocket('udp4');
socket.bind(0, '127.0.0.1');
await once(socket, 'listening');
process.send?.('ready');
const [order] = (await once(process, 'message')) as [FloodOrder];
const random = createSeededRandom('attacker');
const genuine = order.recorded.map((text) => Buffer.from(text, 'base64'));

/** Made beforehand, so that the sender is as fast as it can be. */
const stock = Array.from({ length: 20_000 }, (_none, at): Buffer => {
  const bytes = Buffer.from(genuine[random.int(genuine.length)] as Buffer);
  const place = random.int(bytes.length);
  if (at % 4 === 0) return bytes;
  // A byte of the content, the counter, or anything.
  if (at % 4 === 1) bytes[bytes.length - 1] = (bytes[bytes.length - 1] as number) ^ 1;
  else if (at % 4 === 2) bytes.set(random.bytes(4), Math.min(10, bytes.length - 4));
  else bytes[place] = (bytes[place] as number) ^ (1 + random.int(255));
  return bytes;
});

const startedAtMs = performance.now();
let sent = 0;
/** How many are on their way to the kernel; it takes them one after another. */
let waiting = 0;
const mostWaiting = 256;
const burst = (): void => {
  const due =
    order.perSecond === 0
      ? order.count
      : Math.min(order.count, Math.floor(((performance.now() - startedAtMs) / 1_000) * order.perSecond));
  while (sent < due && waiting < mostWaiting) {
    waiting++;
    socket.send(stock[sent++ % stock.length] as Buffer, order.port, '127.0.0.1', () => void waiting--);
  }
  if (sent < order.count) setImmediate(burst);
  else process.send?.({ tookMs: performance.now() - startedAtMs } satisfies FloodDone);
};
burst();
process.on('disconnect', () => process.exit());
