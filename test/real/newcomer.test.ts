/** On real tor, what test/scenarios/newcomer shows on the embedded network: tor goes, hangs, and Ctrl-C leaves nothing. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startPrivateNetwork, type PrivateNetwork, type PrivateTor } from '../kit/network/private/index.ts';
import { buildCommand } from '../scenarios/newcomer/command.ts';
import {
  makeMaster,
  published,
  runNode,
  runtime,
  servicesOf,
  stopLimitMs,
  stopped,
  tablesFor,
  type Workplace,
} from '../scenarios/newcomer/world.ts';
import { describeReal } from './require.ts';

describeReal('a newcomer’s real tor', ['tor'], () => {
  const world = {} as { -readonly [Part in keyof Workplace]: Workplace[Part] };
  let network: PrivateNetwork;
  let tor: PrivateTor;
  /** A service of the operator's. */
  let mine: string;
  const nothingIsLeft = async (): Promise<void> => {
    expect(await servicesOf(tor)).toEqual([mine]);
    expect(existsSync(`${mine}/hostname`)).toBe(true);
    expect(existsSync(`${tor.dataDirectory}/chimera`)).toBe(false);
  };

  beforeAll(async () => {
    world.directory = mkdtempSync(join(tmpdir(), 'chimera-newcomer-'));
    world.command = buildCommand();
    network = await startPrivateNetwork(runtime);
    mine = `${network.directory}/mine`;
    tor = await network.addTor({
      name: 'head',
      config: { HiddenServiceDir: mine, HiddenServicePort: '80 127.0.0.1:1' },
    });
    await network.ready();
  });

  afterAll(async () => {
    await tor?.kill('SIGCONT');
    await world.command.remove();
    await network?.stop();
    rmSync(world.directory, { recursive: true });
  });

  test('killed and started again: heads are set up and published again by themselves', async () => {
    const node = runNode(world, tablesFor(tor.control, makeMaster(world)));
    const before = await node.line(published);
    await tor.kill();
    await node.line(({ message, why }) => message === 'the head changed' && why === 'its tor is gone');
    await tor.restart();
    const again = await node.line((line) => published(line) && Number(line.cycle) > Number(before.cycle));
    expect(again).toMatchObject({ heads: ['node/1'] });
    expect(await stopped(node)).toMatchObject({ code: 0 });
    await nothingIsLeft();
  });

  test('it hangs, is named, and is used again when it goes on; the stop does not wait for it', async () => {
    const node = runNode(world, tablesFor(tor.control, makeMaster(world), { tor: { command_timeout_ms: 2_000 } }));
    const before = await node.line(published);
    await tor.kill('SIGSTOP');
    const { error } = await node.line(({ message }) => message === 'no connection to tor');
    expect(error).toMatchObject({ code: 'TOR_TIMEOUT' });
    await tor.kill('SIGCONT');
    // Where no cycle has met the hang there is nothing new to publish: it is asked to.
    node.kill('SIGHUP');
    await node.line((line) => published(line) && Number(line.cycle) > Number(before.cycle));
    await tor.kill('SIGSTOP');
    const { code, tookMs } = await stopped(node, 'SIGTERM');
    expect(code).toBe(0);
    expect(tookMs).toBeLessThan(stopLimitMs);
    expect(existsSync(`${tor.dataDirectory}/chimera`)).toBe(false);
    await tor.kill('SIGCONT');
    // Nobody could tell it to let the head go, which it has until its end.
    await tor.restart();
    await tor.bootstrapped();
    await nothingIsLeft();
  });

  test.for(['connected to tor', 'the head is set up', 'the head changed', 'published'])(
    'Ctrl-C after "%s" leaves nothing',
    async (text) => {
      const node = runNode(world, tablesFor(tor.control, makeMaster(world)));
      await node.line(({ message }) => message.startsWith(text));
      await runtime.clock.sleep(runtime.random.float() * 100);
      const { code, tookMs } = await stopped(node);
      expect(code).toBe(0);
      expect(tookMs).toBeLessThan(stopLimitMs);
      await nothingIsLeft();
    },
  );
});
