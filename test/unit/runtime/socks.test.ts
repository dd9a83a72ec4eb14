import type { Duplex } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { connectThroughSocks, type Endpoint, type SocksOptions } from '../../../core/runtime/index.ts';
import { createMemoryNet, type MemoryNet } from '../../kit/sim/memory-net.ts';
import { createVirtualClock, type VirtualClock } from '../../kit/sim/virtual-clock.ts';

const socks: Endpoint = { host: '127.0.0.1', port: 9050 };
const granted = Buffer.from([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
let clock: VirtualClock;
let net: MemoryNet;
let requests: string[];
let accepted: Duplex[];

beforeEach(() => {
  clock = createVirtualClock();
  net = createMemoryNet({ clock, latencyMs: 1 });
  requests = [];
  accepted = [];
});
afterEach(() => {
  for (const stream of accepted) stream.destroy();
});

/** Answers the greeting, a user name, and the request, each by the next of `answers`. */
async function serve(...answers: (Buffer | undefined)[]): Promise<void> {
  await net.listen(socks, (stream) => {
    accepted.push(stream);
    stream.on('error', () => undefined);
    let turn = 0;
    stream.on('data', (chunk: Buffer) => {
      requests.push(chunk.toString('latin1'));
      const answer = answers[turn++];
      if (answer !== undefined) stream.write(answer);
    });
  });
}

const open = (options: Partial<SocksOptions> = {}): Promise<Duplex> =>
  clock.runFor(
    connectThroughSocks({ net, clock }, { socks, host: 'a.onion', port: 80, timeoutMs: 5_000, ...options }),
    60_000,
  );

describe('connectThroughSocks', () => {
  test('leaves names to the other end, and hands over the stream', async () => {
    await serve(Buffer.from([5, 0]), granted, Buffer.from('pong'));
    const stream = await open();
    expect(requests).toEqual(['\u0005\u0001\u0000', '\u0005\u0001\u0000\u0003\u0007a.onion\u0000P']);
    stream.write('ping');
    const [chunk] = (await clock.runFor(stream.take(1).toArray(), 1_000)) as Buffer[];
    expect(chunk?.toString()).toBe('pong');
    expect(requests.at(-1)).toBe('ping');
  });

  test('loses nothing that a server says first, even with its reply', async () => {
    await serve(Buffer.from([5, 0]), Buffer.concat([granted, Buffer.from('220 hello')]));
    const stream = await open();
    const [chunk] = (await clock.runFor(stream.take(1).toArray(), 1_000)) as Buffer[];
    expect(chunk?.toString()).toBe('220 hello');
  });

  test('isolates by user name', async () => {
    await serve(Buffer.from([5, 2]), Buffer.from([1, 0]), granted);
    await open({ isolation: 'mine' });
    expect(requests[1]).toBe('\u0001\u0004mine\u0007isolate');
  });

  test.each([
    [1, 'general failure'],
    [5, 'connection refused'],
    [6, 'timed out'],
    [0xf0, 'the descriptor cannot be found'],
    [0xf4, 'requires client authorization'],
    [0x7f, 'reply 127'],
  ])('says what reply %s means', async (code, meaning) => {
    await serve(Buffer.from([5, 0]), Buffer.from([5, code, 0, 1, 0, 0, 0, 0, 0, 0]));
    await expect(open()).rejects.toMatchObject({ code: 'SOCKS_TARGET', message: expect.stringContaining(meaning) });
    await serveWithUserName(code);
    await expect(open({ isolation: 'x', socks: { ...socks, port: 9150 } })).rejects.toMatchObject({
      code: 'SOCKS_TARGET',
      message: expect.stringContaining(meaning),
    });
  });

  async function serveWithUserName(code: number): Promise<void> {
    const answers = [Buffer.from([5, 2]), Buffer.from([1, 0]), Buffer.from([5, code, 0, 1, 0, 0, 0, 0, 0, 0])];
    await net.listen({ ...socks, port: 9150 }, (stream) => {
      accepted.push(stream);
      stream.on('error', () => undefined);
      stream.on('data', () => stream.write(answers.shift() ?? Buffer.alloc(0)));
    });
  }

  test.each([
    ['nobody', async () => undefined, 'no SOCKS port at 127.0.0.1:9050'],
    ['a port that speaks something else', () => serve(Buffer.from('HTTP/1.0 400 Bad\r\n')), 'does not answer as'],
    ['a port that wants another authentication', () => serve(Buffer.from([5, 255])), 'does not answer as'],
    ['a port that is silent', () => serve(), 'it was silent for 5 s'],
  ])('tells of %s', async (_name, listen, message) => {
    await listen();
    await expect(open()).rejects.toMatchObject({ code: 'SOCKS_CONNECT', message: expect.stringContaining(message) });
  });

  test('gives up on what lies beyond after the time given, and leaves no stream', async () => {
    await serve(Buffer.from([5, 0]));
    await expect(open()).rejects.toMatchObject({
      code: 'SOCKS_TARGET',
      message: expect.stringContaining('within 5 s'),
    });
    await clock.advance(10);
    expect(net.streams).toBe(0);
  });

  test('stops when told to', async () => {
    await serve(Buffer.from([5, 0]));
    const controller = new AbortController();
    clock.after(100, () => controller.abort(new Error('enough')));
    await expect(open({ signal: controller.signal })).rejects.toThrow('enough');
  });
});
