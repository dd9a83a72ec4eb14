/**
 * Repair against a real tor: what it reads of introduction circuits, and a tor that dies or hangs under a running node. That one is
 * started again by a command of the operator's; what is done and why is written down, and an hour has a bound. By a unit of
 * systemd, only what `systemctl` is called with is tested (test/unit/plugins/repair-command.test.ts): no systemd is started here.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { reachableServices } from '../../plugins/repair/heads.ts';
import { createTorClient } from '../../plugins/tor/index.ts';
import { startPrivateNetwork, type PrivateNetwork, type PrivateTor } from '../kit/network/private/index.ts';
import { buildCommand, type LogLine } from '../scenarios/newcomer/command.ts';
import {
  makeMaster,
  published,
  runNode,
  runtime,
  stopped,
  tablesFor,
  type Workplace,
} from '../scenarios/newcomer/world.ts';
import { describeReal } from './require.ts';

/**
 * Shorter than anybody should have it, and longer than the connection to tor waits before it is tried again. The waits themselves
 * are shown in virtual time, by test/unit/plugins/repair.test.ts.
 */
const soon = { check_interval_ms: 500, gone_after_ms: 7_000, hangs_after_ms: 7_000, backoff_min_ms: 100 };
const perHour = 2;

describeReal('repair with a real tor', ['tor'], () => {
  const world = {} as { -readonly [Part in keyof Workplace]: Workplace[Part] };
  let network: PrivateNetwork;
  let tor: PrivateTor;
  let pidFile: string;
  let script: string;
  const pid = (): number => Number(readFileSync(pidFile, 'utf8'));

  beforeAll(async () => {
    world.directory = mkdtempSync(join(tmpdir(), 'chimera-repair-'));
    world.command = buildCommand();
    network = await startPrivateNetwork(runtime);
    await network.ready();
    tor = await network.addTor({ name: 'head' });
    await tor.bootstrapped();
    const home = join(tor.dataDirectory, '..');
    pidFile = join(home, 'pid');
    script = join(home, 'restart-tor');
    writeFileSync(pidFile, String(tor.pid));
    // What an operator would write: ends the old one, however it is, starts tor as it was, and waits until it answers.
    writeFileSync(
      script,
      `#!/bin/sh
kill -KILL "$(cat ${pidFile})" 2>/dev/null
while kill -0 "$(cat ${pidFile})" 2>/dev/null; do sleep 0.1; done
rm -f ${tor.cookiePath}
tor --defaults-torrc /dev/null -f ${home}/torrc --RunAsDaemon 1 --PidFile ${pidFile}
until [ -s ${tor.cookiePath} ]; do sleep 0.1; done
`,
      { mode: 0o755 },
    );
  });

  afterAll(async () => {
    await world.command.remove();
    try {
      process.kill(pid(), 'SIGKILL');
    } catch {
      // It is gone already.
    }
    await network?.stop();
    rmSync(world.directory, { recursive: true });
  });

  test('killed, then hanging: started again, its head live again; the third time is beyond the bound', async () => {
    const repair = { ...soon, per_hour: perHour, tors: [{ command: [script] }] };
    const state = mkdtempSync(join(world.directory, 'state-'));
    const tables = { node: { state_directory: state }, repair, tor: { command_timeout_ms: 1_500 } };
    const node = runNode(world, {
      ...tablesFor(tor.control, makeMaster(world), tables),
      plugins: { add: ['repair'] },
    });
    const aboutTor = ({ message }: LogLine): boolean => message.startsWith('repair: tor ');
    const restarted = ({ action }: LogLine): boolean => action === 'restart-tor';
    const firstPublished = await node.line(published);
    expect(firstPublished).toMatchObject({ heads: ['node/1'] });

    const first = pid();
    await tor.kill('SIGKILL');
    const gone = await node.line(restarted);
    expect(gone).toMatchObject({
      message: expect.stringMatching(/^repair: tor \S+ is gone for \d+ s$/),
      outcome: 'done',
    });
    const afterDeath = node.lines().length;
    expect(await node.line(published, afterDeath)).toMatchObject({ heads: ['node/1'] });
    const second = pid();
    expect(second).not.toBe(first);

    process.kill(second, 'SIGSTOP');
    const hung = await node.line(restarted, afterDeath);
    expect(hung).toMatchObject({
      message: expect.stringMatching(/^repair: tor \S+ has not answered for \d+ s$/),
      outcome: 'done',
    });
    const afterHang = node.lines().length;
    expect(await node.line(published, afterHang)).toMatchObject({ heads: ['node/1'] });
    const third = pid();
    expect(third).not.toBe(second);

    process.kill(third, 'SIGKILL');
    const refused = await node.line(aboutTor, afterHang);
    expect(refused).toMatchObject({
      action: 'none',
      outcome: `restarted ${perHour} times within an hour, no more for now`,
    });
    expect(await stopped(node)).toMatchObject({ code: 0 });
    expect(pid()).toBe(third);
    const journal = readFileSync(`${state}/repair.log`, 'utf8').trim().split('\n');
    const entries = journal.map((line) => JSON.parse(line) as { readonly cause: { readonly kind: string } });
    // What else it says: cycles fail while there is no tor.
    expect(entries.filter(({ cause }) => cause.kind.startsWith('tor-'))).toMatchObject([
      { action: 'restart-tor', outcome: 'done', cause: { kind: 'tor-gone' } },
      { action: 'restart-tor', outcome: 'done', cause: { kind: 'tor-hangs' } },
      { action: 'none', cause: { kind: 'tor-gone' } },
    ]);
  });

  test('introduction circuits are seen, are gone without a network, and are seen again', async () => {
    const directory = `${network.directory}/service`;
    const config = { HiddenServiceDir: directory, HiddenServicePort: '80 127.0.0.1:1' };
    const carrier = await network.addTor({ name: 'carrier', config });
    await carrier.bootstrapped();
    const client = createTorClient(runtime, { control: carrier.control });
    try {
      await client.ready(10_000);
      const address = readFileSync(`${directory}/hostname`, 'utf8').slice(0, 56);
      const seen = async (): Promise<string[]> => [...reachableServices(await client.getInfo('circuit-status'))];
      const becomes = async (wanted: readonly string[]): Promise<void> => {
        for (let found = await seen(); found.join() !== wanted.join(); found = await seen())
          await runtime.clock.sleep(500);
      };
      await becomes([address]);
      await client.setConf([['DisableNetwork', '1']]);
      await becomes([]);
      await client.setConf([['DisableNetwork', '0']]);
      await becomes([address]);
      expect(await seen()).toEqual([address]);
    } finally {
      await client.close();
    }
  });
});
