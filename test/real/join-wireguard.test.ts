/**
 * `chimera init --wireguard` and `chimera join --wireguard` on machines in network namespaces: the nodes that they set up meet through
 * their tunnels, with no other transport, also after all of them have stopped. Their tors have no network; a member's own door lets in.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../core/runtime/index.ts';
import { createNamespaces, type Namespaces } from './netns/namespaces.ts';
import { describeReal } from './require.ts';

const names = ['a', 'b', 'c'] as const;
const doorPort = 7412;
const chimera = [process.execPath, '--import', 'tsx', join(import.meta.dirname, '../../core/cli/main.ts')];

/** What the commands print that are called here. */
interface Told {
  readonly invitation: string;
  readonly members: readonly {
    readonly self: boolean;
    readonly state: string | null;
    readonly endpoints: readonly string[];
  }[];
}

describeReal(
  'a cluster over WireGuard alone',
  ['iproute2', 'nftables', 'tor', 'wireguard-go', 'wireguard-tools'],
  () => {
    let machines: Namespaces;
    let directory: string;
    const running = new Map<string, ChildProcess>();
    const tors: ChildProcess[] = [];
    const logs = new Map<string, string>();

    beforeAll(() => {
      machines = createNamespaces(names);
      directory = mkdtempSync(join(tmpdir(), 'chimera-tunnels-'));
    });
    const stopAll = async (): Promise<void> => {
      for (const [name, child] of running) {
        const ended = new Promise((resolve) => child.once('exit', resolve));
        if (child.exitCode === null && child.signalCode === null) {
          child.kill('SIGTERM');
          await ended;
        }
        running.delete(name);
      }
    };
    afterAll(async () => {
      await stopAll();
      for (const tor of tors) tor.kill('SIGKILL');
      machines?.remove();
      rmSync(directory, { recursive: true, force: true });
    });

    const control = (name: string): string => join(directory, `tor-${name}`, 'control');
    /** Nodes start with a tor that answers; this one reaches nobody. */
    const startTor = async (name: string): Promise<void> => {
      const data = join(directory, `tor-${name}`);
      mkdirSync(data, { mode: 0o700 });
      writeFileSync(
        join(data, 'torrc'),
        `DisableNetwork 1\nSocksPort 0\nDataDirectory ${data}\nControlPort unix:${control(name)}\n`,
      );
      const [command, ...args] = [...machines.enter(name), 'tor', '-f', join(data, 'torrc')];
      tors.push(spawn(command, args, { stdio: 'ignore' }));
      await until(`the control socket of ${name}`, () => existsSync(control(name)));
    };
    const config = (name: string): string => join(directory, name, 'chimera.toml');
    const on = (name: string, ...words: string[]): Told => {
      const [command, ...args] = [...machines.enter(name), ...chimera, ...words, '--json'];
      return JSON.parse(execFileSync(command, args, { encoding: 'utf8', stdio: 'pipe', timeout: 30_000 })) as Told;
    };
    const start = (name: string): void => {
      const [command, ...args] = [...machines.enter(name), ...chimera, 'run', '--config', config(name)];
      const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
      child.stderr.on('data', (text: Buffer) =>
        logs.set(name, `${logs.get(name) ?? ''}${text.toString()}`.slice(-8_000)),
      );
      running.set(name, child);
    };
    /** Namespaces have the directory of userspace interfaces in common, so that their names must differ. */
    const adapt = (name: string): void => {
      const extra = `[wireguard]\ninterface = "wgj${process.pid % 100_000}${name}"\nimplementation = "wireguard-go"`;
      const door = `[join]\nlisten = "${machines.addressOf(name)}:${doorPort}"\n`;
      const made = readFileSync(config(name), 'utf8').replace('[wireguard]', extra);
      writeFileSync(config(name), `${made}\n${door}`);
    };
    const until = async (what: string, holds: () => boolean): Promise<void> => {
      for (let tries = 0; tries < 120; tries++) {
        try {
          if (holds()) return;
        } catch {
          // The node does not answer yet.
        }
        await systemClock.sleep(500);
      }
      throw new Error(`${what} did not come about\n${[...logs].map(([name, log]) => `${name}:\n${log}`).join('\n')}`);
    };
    /** The endpoints of all members, as soon as so many others are there. */
    const meets = async (name: string, others: number): Promise<readonly string[]> => {
      let endpoints: string[] = [];
      await until(`${name} with ${others} others`, () => {
        const { members } = on(name, 'peer', 'list', '--config', config(name));
        endpoints = members.flatMap((member) => member.endpoints);
        return members.filter(({ self, state }) => !self && state === 'alive').length === others;
      });
      return endpoints;
    };

    test('init, join and join again: everybody meets everybody, and again after a stop of all', async () => {
      const address = (name: string): string => machines.addressOf(name);
      const setUp = (name: string): string[] => [
        '--wireguard',
        '--tor',
        `unix:${control(name)}`,
        '--advertise',
        `${address(name)}:51820`,
      ];
      for (const name of names) await startTor(name);
      const { invitation } = on('a', 'init', join(directory, 'a'), '--plain-key', ...setUp('a'));
      adapt('a');
      start('a');
      await meets('a', 0);
      for (const [name, at, given] of [
        ['b', 'a', invitation],
        ['c', 'b', undefined],
      ] as const) {
        const second = given ?? on(at, 'peer', 'invite', '--config', config(at)).invitation;
        const words = ['join', `${address(at)}:${doorPort}`, second, join(directory, name), '--attempts', '3'];
        on(name, ...words, ...setUp(name));
        adapt(name);
        start(name);
        await meets(name, name === 'b' ? 1 : 2);
      }
      await meets('a', 2);
      await stopAll();
      for (const name of names) start(name);
      for (const name of names) {
        const endpoints = await meets(name, 2);
        expect(endpoints.map((text) => text.split(':')[0])).toEqual(['wireguard', 'wireguard', 'wireguard']);
      }
    });
  },
);
