/** Ctrl-C at any moment: the node ends within two seconds, and what it set up is gone, or kept when it is told to. */
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { Running } from './command.ts';
import { onFreeMachine } from '../../free-machine.ts';
import {
  addTor,
  blindedKeysOf,
  directoryOf,
  makeMaster,
  published,
  runNode,
  runtime,
  servicesOf,
  stopLimitMs,
  stopped,
  tablesFor,
  type Master,
  type Tor,
  type World,
} from './world.ts';

/** A tor that runs a service of the operator's, with the service's directory. */
async function torInUse(world: World): Promise<{ readonly tor: Tor; readonly mine: string }> {
  const mine = `${directoryOf(world)}/mine`;
  const tor = await addTor(world, { HiddenServiceDir: mine, HiddenServicePort: '80 127.0.0.1:1' });
  return { tor, mine };
}

const upTo = (limitMs: number): Promise<void> => runtime.clock.sleep(runtime.random.float() * limitMs);

/** Resolves when an HSDir has to do with the master's descriptor: it takes it, or is asked for it. */
function atHsdir(world: World, what: 'uploads' | 'fetches', master: Master): Promise<void> {
  const names = blindedKeysOf(world, master.address);
  return new Promise((resolve) => {
    world[what].add((blindedKey: string) => {
      if (names.includes(blindedKey)) resolve();
    });
  });
}

type Moment = (node: Running, world: World, master: Master) => Promise<unknown>;
const told =
  (text: string): Moment =>
  (node) =>
    node.line(({ message }) => message === text);

const moments: readonly (readonly [name: string, moment: Moment, jitterMs: number])[] = [
  ['before it runs, or early in the start', async () => undefined, 600],
  ['early in the start', async () => undefined, 1_500],
  ['when it is connected to tor', told('connected to tor'), 10],
  ['while the head is set up', told('the publisher changed'), 10],
  ['when the head is set up', told('the head is set up'), 10],
  ['when the head is there', told('the head changed'), 20],
  ['during the upload', (_node, world, master) => atHsdir(world, 'uploads', master), 60],
  ['during the fetch-back', (_node, world, master) => atHsdir(world, 'fetches', master), 60],
  ['when it has published', (node) => node.line(published), 500],
];

export function describeStop(world: World): void {
  describe('at any moment', () => {
    const cases = moments.flatMap(([name, moment, jitterMs], index) => {
      const signals = index % 2 === 0 ? (['SIGINT', 'SIGTERM'] as const) : (['SIGTERM', 'SIGINT'] as const);
      // The moments that chance decides are tried with both.
      return (jitterMs >= 600 ? signals : signals.slice(0, 1)).map(
        (signal) => [name, signal, moment, jitterMs] as const,
      );
    });
    test.for(cases)('%s, %s', ([_name, signal, moment, jitterMs]) =>
      onFreeMachine(async () => {
        const { tor, mine } = await torInUse(world);
        const master = makeMaster(world);
        const node = runNode(world, tablesFor(tor.control, master));
        await moment(node, world, master);
        await upTo(jitterMs);
        const { code, err, tookMs } = await stopped(node, signal);
        // Before the first line of the program runs, the signal ends the process by itself, and nothing has been done.
        expect({ code: err === '' && code > 128 ? 0 : code, err }).toMatchObject({ code: 0 });
        expect(tookMs).toBeLessThan(stopLimitMs);
        expect(await servicesOf(tor)).toEqual([mine]);
        expect(existsSync(`${mine}/hostname`)).toBe(true);
        expect(existsSync(`${tor.dataDirectory}/chimera`)).toBe(false);
        expect(node.lines().filter(({ level }) => level === 'error')).toEqual([]);
      }),
    );
  });

  describe('and after it', () => {
    /** The next run, which has the head whose directory the one before has left. */
    const takesOver = async (
      tables: Parameters<typeof runNode>[1],
      own: string,
    ): Promise<ReturnType<typeof runNode>> => {
      const address = readFileSync(`${own}/hostname`, 'utf8').trim();
      const again = runNode(world, tables);
      await again.line(published);
      expect(await again.line(({ message }) => message === 'the head is set up')).toMatchObject({
        address: address.replace('.onion', ''),
      });
      return again;
    };

    test('keep_on_exit: the head stays as it is, and the next run takes it over', async () => {
      const { tor, mine } = await torInUse(world);
      const own = `${tor.dataDirectory}/chimera/node-1`;
      const tables = tablesFor(tor.control, makeMaster(world), { heads: { keep_on_exit: true } });
      const node = runNode(world, tables);
      await node.line(published);
      expect(await stopped(node)).toMatchObject({ code: 0 });
      expect(await servicesOf(tor)).toEqual([mine, own]);
      const again = await takesOver(tables, own);
      expect(await stopped(again, 'SIGTERM')).toMatchObject({ code: 0 });
      expect(await servicesOf(tor)).toEqual([mine, own]);
    });

    test('killed: the head stays as it is, behind a proxy as well, and the next run takes it over', async () => {
      const { tor, mine } = await torInUse(world);
      const own = `${tor.dataDirectory}/chimera/node-1`;
      const tables = tablesFor(tor.control, makeMaster(world), { plugins: { add: ['proxy'] } });
      const node = runNode(world, tables);
      await node.line(published);
      node.kill('SIGKILL');
      await node.ended;
      expect(await servicesOf(tor)).toEqual([mine, own]);
      const again = await takesOver(tables, own);
      expect(await stopped(again)).toMatchObject({ code: 0 });
      expect(await servicesOf(tor)).toEqual([mine]);
    });

    test('one that npm hands on a second time is one', async () => {
      const { tor, mine } = await torInUse(world);
      const node = runNode(world, tablesFor(tor.control, makeMaster(world)));
      await node.line(published);
      node.kill('SIGINT');
      await node.line(({ message }) => message === 'stopping');
      expect(await stopped(node)).toMatchObject({ code: 0 });
      expect(await servicesOf(tor)).toEqual([mine]);
    });

    test('the reader of the log goes away: it ends in order, as at Ctrl-C', async () => {
      const { tor, mine } = await torInUse(world);
      const node = runNode(world, tablesFor(tor.control, makeMaster(world)));
      await node.line(published);
      node.stopReading();
      // It notices when it has something to say.
      node.kill('SIGHUP');
      expect(await node.ended).toMatchObject({ code: 0 });
      expect(await servicesOf(tor)).toEqual([mine]);
      expect(existsSync(`${tor.dataDirectory}/chimera`)).toBe(false);
    });

    test('one more, while the stop waits for a tor that hangs, ends it at once', async () => {
      const { tor } = await torInUse(world);
      const node = runNode(world, tablesFor(tor.control, makeMaster(world)));
      await node.line(published);
      await tor.kill('SIGSTOP');
      node.kill('SIGINT');
      await node.line(({ message }) => message === 'stopping');
      await runtime.clock.sleep(300);
      expect((await stopped(node)).code).toBe(130);
    });

    test('the heads of several tors go too, though one of them hangs', () =>
      onFreeMachine(async () => {
        const tors = [await torInUse(world), await torInUse(world), await torInUse(world)];
        const [first, second, third] = tors as [(typeof tors)[0], (typeof tors)[0], (typeof tors)[0]];
        const controls = tors.map(({ tor }) => tor.control as { host: string; port: number });
        const heads = { controls: controls.map(({ host, port }) => `${host}:${port}`) };
        const node = runNode(world, tablesFor(first.tor.control, makeMaster(world), { heads }));
        await node.line((line) => published(line) && (line.heads as string[]).length === 3);
        await second.tor.kill('SIGSTOP');
        const { code, tookMs } = await stopped(node);
        expect(code).toBe(0);
        expect(tookMs).toBeLessThan(stopLimitMs);
        expect(await servicesOf(first.tor)).toEqual([first.mine]);
        expect(await servicesOf(third.tor)).toEqual([third.mine]);
        expect(tors.map(({ tor }) => existsSync(`${tor.dataDirectory}/chimera`))).toEqual([false, false, false]);
      }));
  });
}
