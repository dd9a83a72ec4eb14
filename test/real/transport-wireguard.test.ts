/** transport/wireguard between machines in network namespaces: the laws, and interfaces that are another's or left by a crash. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { AdmittedNode } from '../../core/engine/index.ts';
import { systemClock } from '../../core/runtime/index.ts';
import { tunnelAddress, type WireguardOptions } from '../../plugins/transport/wireguard/index.ts';
import { describeTransport, type TransportNode } from '../kit/laws/transport.ts';
import { createNamespaces, type Namespaces } from './netns/namespaces.ts';
import { startRemoteTransport, type RemoteTransport } from './netns/remote-transport.ts';
import { describeReal } from './require.ts';

const names = ['a', 'b', 'c'] as const;
const keys = { signing: new Uint8Array(32), agreement: new Uint8Array(32) };

describeReal('transport/wireguard', ['iproute2', 'nftables', 'wireguard-go', 'wireguard-tools'], () => {
  let machines: Namespaces;
  let directory: string;
  const running: RemoteTransport[] = [];

  beforeAll(() => {
    machines = createNamespaces(names);
    directory = mkdtempSync(join(tmpdir(), 'chimera-wireguard-'));
  });
  afterAll(async () => {
    await Promise.all(running.map((one) => one.kill('SIGKILL')));
    machines?.remove();
    rmSync(directory, { recursive: true, force: true });
  });

  const optionsOf = (name: string): WireguardOptions => ({
    node: name,
    cluster: 'test',
    // The socket of a userspace interface is a path, which namespaces share.
    interface: `wgt${process.pid % 100_000}${name}`,
    listenPort: 51_820,
    keepaliveSeconds: 5,
    implementation: 'wireguard-go',
    directory: join(directory, name),
  });
  const start = async (name: string): Promise<RemoteTransport> => {
    const remote = await startRemoteTransport(machines.enter(name), optionsOf(name));
    running.push(remote);
    return remote;
  };
  const stop = async (remote: RemoteTransport, signal: NodeJS.Signals): Promise<void> => {
    await remote.kill(signal);
    running.splice(running.indexOf(remote), 1);
  };
  const on = (name: string, ...words: string[]): string => {
    const [command = '', ...args] = [...machines.enter(name), ...words];
    return execFileSync(command, args, { encoding: 'utf8', stdio: 'pipe' });
  };
  const admitted = (nodes: Readonly<Record<string, TransportNode>>): AdmittedNode[] =>
    Object.entries(nodes).map(([node, { endpoint }]) => ({ node, keys, endpoints: [endpoint], admittedBy: 'a' }));
  const carry = async (from: RemoteTransport, to: RemoteTransport, text: string): Promise<void> => {
    const heard: string[] = [];
    const off = to.onMessage((_from, bytes) => heard.push(Buffer.from(bytes).toString()));
    for (let tries = 0; tries < 150 && !heard.includes(text); tries++) {
      await from.send(to.endpoint, Buffer.from(text));
      await systemClock.sleep(100);
    }
    off();
    expect(heard).toContain(text);
  };

  describeTransport('wireguard', async () => {
    const [a, b, c] = [await start('a'), await start('b'), await start('c')];
    const everybody = admitted({ a, b, c });
    for (const node of [a, b, c]) await node.admit?.(everybody);
    return {
      nodes: [a, b, c],
      nowhere: [a.endpoint.replace(/:.{8}/, ':AAAAAAAA'), 'wireguard:@'],
      admitted: everybody,
      wait: (durationMs) => systemClock.sleep(durationMs),
      throwGarbage: async (node, bytes) => {
        const name = names[[a, b, c].indexOf(node as RemoteTransport)] as string;
        // From outside to the interface, and from a member through the tunnel.
        await c.raw(machines.addressOf(name), 51_820, bytes);
        await c.raw(tunnelAddress('test', name), 7411, bytes);
        await c.raw(machines.addressOf(name), 7411, bytes);
      },
      close: (node) => (node as RemoteTransport).close(),
      end: async () => {
        for (const one of [a, b, c]) await stop(one, 'SIGTERM');
      },
    };
  });

  test('the key is for its owner alone and on no command line; the interface is gone after the stop', async () => {
    const a = await start('a');
    const path = join(directory, 'a', 'private_key');
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const secret = readFileSync(path, 'utf8').trim();
    expect(a.said()).not.toContain(secret);
    expect(on('a', 'wg', 'show', optionsOf('a').interface, 'private-key').trim()).toBe(secret);
    expect(execFileSync('ps', ['-ewwo', 'args'], { encoding: 'utf8' })).not.toContain(secret);
    await a.close();
    expect(() => on('a', 'ip', 'link', 'show', 'dev', optionsOf('a').interface)).toThrow(/does not exist/);
    await stop(a, 'SIGKILL');
  });

  test('what a killed process left is removed at the next start, and the tunnel works again', async () => {
    const [a, b] = [await start('a'), await start('b')];
    for (const node of [a, b]) await node.admit?.(admitted({ a, b }));
    await carry(a, b, 'before');
    await stop(a, 'SIGKILL');
    expect(on('a', 'ip', 'link', 'show', 'dev', optionsOf('a').interface)).toContain('chimera');
    const again = await start('a');
    expect(again.said()).toContain('removing the interface that an earlier process left');
    expect(again.endpoint).toBe(a.endpoint);
    await again.admit?.(admitted({ a: again, b }));
    await carry(again, b, 'after');
    await carry(b, again, 'and back');
    for (const node of [again, b]) await node.close();
    for (const node of [again, b]) await stop(node, 'SIGKILL');
  });

  test('an interface that is another’s is left alone', async () => {
    const { interface: name } = optionsOf('c');
    on('c', 'ip', 'link', 'add', name, 'type', 'bridge');
    await expect(start('c')).rejects.toMatchObject({ code: 'WIREGUARD_TAKEN' });
    expect(on('c', 'ip', 'link', 'show', 'dev', name)).toContain(name);
    on('c', 'ip', 'link', 'delete', 'dev', name);
  });

  test('when its wireguard-go dies the interface is made again, with its peers', async () => {
    const [a, b] = [await start('a'), await start('b')];
    for (const node of [a, b]) await node.admit?.(admitted({ a, b }));
    await carry(a, b, 'before');
    const { interface: name } = optionsOf('b');
    const pid = execFileSync('ps', ['-ewwo', 'pid,args'], { encoding: 'utf8' })
      .split('\n')
      .find((line) => line.includes(`wireguard-go --foreground ${name}`));
    process.kill(Number.parseInt(pid ?? '', 10), 'SIGKILL');
    await carry(a, b, 'after');
    expect(b.said()).toContain('it is made again');
    for (const node of [a, b]) await node.close();
    for (const node of [a, b]) await stop(node, 'SIGKILL');
  });

  test('an admission that names another’s key takes nothing from its holder; a removed node is cut off', async () => {
    const [a, b, c] = [await start('a'), await start('b'), await start('c')];
    const honest = admitted({ a, b, c });
    for (const node of [a, b, c]) await node.admit?.(honest);
    await carry(a, b, 'before');
    const thief: AdmittedNode = { node: 'thief', keys, endpoints: [b.endpoint], admittedBy: 'c' };
    await a.admit?.([thief, ...honest]);
    await carry(a, b, 'still');
    expect(a.said()).toContain('nodes are refused as peers of the tunnel');
    const allowed = on('a', 'wg', 'show', optionsOf('a').interface, 'allowed-ips');
    expect(allowed.trim().split('\n')).toHaveLength(2);
    expect(allowed).not.toContain(tunnelAddress('test', 'thief'));
    await b.admit?.(admitted({ a, b }));
    await systemClock.sleep(300);
    expect(on('b', 'wg', 'show', optionsOf('b').interface, 'peers').trim().split('\n')).toHaveLength(1);
    for (const node of [a, b, c]) await node.close();
    for (const node of [a, b, c]) await stop(node, 'SIGKILL');
  });

  test('a cut holds in one direction alone, and heals', async () => {
    const [a, b] = [await start('a'), await start('b')];
    for (const node of [a, b]) await node.admit?.(admitted({ a, b }));
    await carry(a, b, 'before');
    const heard: string[] = [];
    b.onMessage((_from, bytes) => heard.push(Buffer.from(bytes).toString()));
    machines.cut('a', 'b', true);
    await a.send(b.endpoint, Buffer.from('lost'));
    await carry(b, a, 'the other way');
    expect(heard).not.toContain('lost');
    machines.heal();
    await carry(a, b, 'healed');
    for (const node of [a, b]) await node.close();
  });
});
