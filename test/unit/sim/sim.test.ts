import { describe, expect, it } from 'vitest';
import { createMemoryNet } from '../../kit/sim/memory-net.ts';
import { createMemoryStore } from '../../kit/sim/memory-store.ts';
import { createSeededRandom } from '../../kit/sim/seeded-random.ts';
import { createVirtualClock } from '../../kit/sim/virtual-clock.ts';

describe('the virtual clock', () => {
  it('runs timers by time, then by the order of their setting, and lets their consequences run in between', async () => {
    const clock = createVirtualClock(1000);
    const seen: string[] = [];
    const later = async (name: string): Promise<void> => {
      await Promise.resolve();
      await Promise.resolve();
      seen.push(`${name} settled at ${clock.now()}`);
    };
    clock.after(20, () => seen.push('second'));
    clock.after(10, () => void later('a'));
    clock.after(10, () => void later('b'));
    clock.after(15, () => seen.push('never')).cancel();
    expect(clock.pending).toBe(3);
    await clock.advance(30);
    expect(seen).toEqual(['a settled at 1010', 'b settled at 1010', 'second']);
    expect([clock.now(), clock.monotonic(), clock.pending]).toEqual([1030, 30, 0]);
  });

  it('stops at a condition, and says so when it cannot come', async () => {
    const clock = createVirtualClock(0);
    let rings = 0;
    const ring = (): void => {
      rings += 1;
      clock.after(100, ring);
    };
    ring();
    await clock.runUntil(() => rings === 4, 1000);
    expect(clock.now()).toBe(300);
    await expect(clock.runUntil(() => rings > 50, 1000)).rejects.toThrow('after 1000 ms');
    await expect(createVirtualClock().runUntil(() => false, 1000)).rejects.toThrow('nothing is left');
  });

  it('jumps the wall clock without letting time pass', async () => {
    const clock = createVirtualClock(0);
    clock.jump(-5000);
    await clock.advance(10);
    expect([clock.now(), clock.monotonic()]).toEqual([-4990, 10]);
  });

  it('gives the result of a promise that needs time', async () => {
    const clock = createVirtualClock(0);
    expect(
      await clock.runFor(
        clock.sleep(250).then(() => clock.now()),
        1000,
      ),
    ).toBe(250);
  });
});

describe('seeded chance', () => {
  it('replays from the seed, and a fork does not depend on what others draw', () => {
    const draw = (seed: string): number[] => {
      const random = createSeededRandom(seed);
      return Array.from({ length: 20 }, () => random.int(1000));
    };
    expect(draw('x')).toEqual(draw('x'));
    expect(draw('x')).not.toEqual(draw('y'));
    const first = createSeededRandom(1);
    first.bytes(99);
    expect(first.fork('part').bytes(8)).toEqual(createSeededRandom(1).fork('part').bytes(8));
  });

  it('is uniform: 10 bins of 100,000 draws stay within 4 % of each other', () => {
    const random = createSeededRandom('uniform');
    const bins = Array.from({ length: 10 }, () => 0);
    for (let count = 0; count < 100_000; count++) {
      const bin = random.int(10);
      bins[bin] = (bins[bin] ?? 0) + 1;
    }
    expect(Math.min(...bins)).toBeGreaterThan(9600);
    expect(Math.max(...bins)).toBeLessThan(10_400);
  });
});

describe('the memory net', () => {
  const address = { host: '10.0.0.1', port: 80 };

  it('carries bytes both ways after the latency, in order, and ends cleanly', async () => {
    const clock = createVirtualClock(0);
    const net = createMemoryNet({ clock, latencyMs: 10 });
    await net.host('server').listen(address, (stream) => {
      stream.on('data', (chunk) => stream.write(String(chunk).toUpperCase()));
    });
    const stream = await clock.runFor(net.host('client').connect(address), 100);
    expect(clock.monotonic()).toBe(20);
    let got = '';
    stream.on('data', (chunk) => (got += String(chunk)));
    stream.write('hel');
    stream.write('lo');
    await clock.advance(19);
    expect(got).toBe('');
    await clock.advance(1);
    expect(got).toBe('HELLO');
    const closed = new Promise((resolve) => {
      stream.once('close', resolve);
    });
    stream.end();
    await clock.runFor(closed, 1000);
    await clock.advance(100);
    expect(net.streams).toBe(0);
  });

  it('moves more than its buffers hold', async () => {
    const clock = createVirtualClock(0);
    const net = createMemoryNet({ clock, latencyMs: 1 });
    let got = 0;
    await net.listen(address, (stream) => stream.on('data', (chunk: Buffer) => (got += chunk.length)));
    const stream = await clock.runFor(net.connect(address), 100);
    stream.end(Buffer.alloc(1_000_000));
    await clock.advance(10_000);
    expect(got).toBe(1_000_000);
  });

  it('refuses where nobody listens, gives free ports, refuses a taken one', async () => {
    const clock = createVirtualClock(0);
    const net = createMemoryNet({ clock });
    await expect(net.connect(address)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    const one = await net.listen({ host: '::1', port: 0 }, () => undefined);
    const two = await net.listen({ host: '::1', port: 0 }, () => undefined);
    expect(one.endpoint).not.toEqual(two.endpoint);
    await expect(net.listen(one.endpoint, () => undefined)).rejects.toMatchObject({ code: 'EADDRINUSE' });
    await one.close();
    await expect(net.connect(one.endpoint)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('holds back what a cut or a frozen host keeps from arriving, and loses nothing', async () => {
    const clock = createVirtualClock(0);
    const net = createMemoryNet({ clock, latencyMs: 5 });
    let got = '';
    await net.host('b').listen(address, (stream) => stream.on('data', (chunk) => (got += String(chunk))));
    const stream = await clock.runFor(net.host('a').connect(address), 100);
    net.cut('a', 'b');
    stream.write('1');
    await clock.advance(1000);
    expect(got).toBe('');
    net.heal('a', 'b');
    await clock.advance(10);
    expect(got).toBe('1');
    net.pause('b');
    stream.write('2');
    await clock.advance(1000);
    expect(got).toBe('1');
    net.resume('b');
    stream.write('3');
    await clock.advance(10);
    expect(got).toBe('123');
  });

  it('breaks the streams of a host that fails', async () => {
    const clock = createVirtualClock(0);
    const net = createMemoryNet({ clock, latencyMs: 5 });
    await net.host('b').listen(address, () => undefined);
    const stream = await clock.runFor(net.host('a').connect(address), 100);
    const broken = new Promise<Error>((resolve) => {
      stream.once('error', resolve);
    });
    net.fail('b');
    expect(await clock.runFor(broken, 100)).toMatchObject({ code: 'ECONNRESET' });
    await expect(clock.runFor(net.host('a').connect(address), 100)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });
});

describe('the memory store', () => {
  it('keeps files and directories, gives copies, and says undefined for what is not there', async () => {
    const store = createMemoryStore();
    await expect(store.write('/a/b/file', 'x')).rejects.toMatchObject({ code: 'ENOENT' });
    await store.makeDirectory('/a/b');
    await store.write('/a/b/file', 'text');
    const read = (await store.read('/a//b/./file')) as Uint8Array;
    read[0] = 0;
    expect(new TextDecoder().decode(await store.read('/a/b/file'))).toBe('text');
    expect(await store.list('/a')).toEqual(['b']);
    await store.remove('/a');
    expect(await store.read('/a/b/file')).toBeUndefined();
    expect(await store.list('/a')).toEqual([]);
  });

  it('fails as a full disk does and keeps the old file; corrupts a bit', async () => {
    const store = createMemoryStore();
    await store.write('/file', 'old');
    store.full = true;
    await expect(store.write('/file', 'new')).rejects.toMatchObject({ code: 'ENOSPC' });
    expect(new TextDecoder().decode(await store.read('/file'))).toBe('old');
    store.corrupt('/file');
    expect(new TextDecoder().decode(await store.read('/file'))).not.toBe('old');
  });
});
