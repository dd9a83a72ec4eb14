import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest';
import { isChimeraError } from '../../core/errors.ts';
import { systemRuntime } from '../../core/runtime/index.ts';
import { createTorClient } from '../../plugins/tor/index.ts';
import type { TorInstance } from '../kit/network/network.ts';
import { startPrivateNetwork, type PrivateNetwork } from '../kit/network/private/index.ts';
import { describeReal } from './require.ts';

const runtime = systemRuntime();

function runs(pid: number): boolean {
  // A process that has ended but was not waited for is a zombie: gone for all that matters here.
  const stat = existsSync(`/proc/${pid}/stat`) ? readFileSync(`/proc/${pid}/stat`, 'utf8') : '';
  return stat !== '' && !/\) Z /.test(stat);
}

function pidsNaming(directory: string): string {
  return spawnSync('pgrep', ['-f', directory], { encoding: 'utf8' }).stdout;
}

describeReal('a private network', ['tor', 'curl'], () => {
  let network: PrivateNetwork;
  let server: Server;
  let head: TorInstance;
  let client: TorInstance;
  const progress: string[] = [];

  beforeAll(async () => {
    server = createServer((_request, response) => response.end('hello from the head\n'));
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    const { port } = server.address() as AddressInfo;
    network = await startPrivateNetwork(runtime, { progress: (text) => progress.push(text) });
    head = await network.addTor({
      name: 'head',
      config: { HiddenServiceDir: `${network.directory}/service`, HiddenServicePort: `80 127.0.0.1:${port}` },
    });
    client = await network.addTor({ name: 'client', socks: true });
    await network.ready();
  });

  afterAll(async () => {
    await network?.stop();
    server.close();
  });

  function curl(through: TorInstance): Promise<string> {
    const address = readFileSync(`${network.directory}/service/hostname`, 'utf8').trim();
    const { host, port } = through.socks as { host: string; port: number };
    const child = spawn('curl', ['-sS', '-m', '20', '--socks5-hostname', `${host}:${port}`, `http://${address}/`]);
    return new Promise((resolve) => {
      let body = '';
      child.stdout.on('data', (chunk: Buffer) => (body += chunk.toString()));
      child.once('close', () => resolve(body));
    });
  }

  it('carries a stock onion service, a head killed and restarted included', async () => {
    await vi.waitFor(async () => expect(await curl(client)).toBe('hello from the head\n'), { timeout: 90_000 });
    expect(head.running).toBe(true);
    await head.kill();
    expect(head.running).toBe(false);
    await expect(head.bootstrapped()).rejects.toSatisfy((error) => isChimeraError(error, 'LAB_TOR_EXITED'));
    await head.restart();
    await head.bootstrapped();
    // A client that has the old descriptor may hang on introduction points that are dead, whose relays go on acknowledging;
    // what is asked here is the head, so the client forgets before each try.
    const fresh = await network.addTor({ name: 'fresh', socks: true });
    await fresh.bootstrapped();
    const forgetful = createTorClient(runtime, { control: fresh.control, name: 'fresh' });
    await forgetful.ready(30_000);
    expect((await head.usage())?.residentBytes).toBeGreaterThan(1e6);
    const visit = async (): Promise<void> => {
      await forgetful.signal('NEWNYM');
      expect(await curl(fresh)).toBe('hello from the head\n');
    };
    await vi.waitFor(visit, { timeout: 90_000, interval: 1_000 });
    await forgetful.close();
  });

  it('tells how far it is, and counts its HSDirs', () => {
    expect(progress.join('\n')).toMatch(/consensus with 8 of 8 HSDirs[^]*bootstrapped: head, client/);
    expect(network.hsdirCount).toBe(8);
  });

  it('says with its last lines why a tor did not start', async () => {
    const refused = network.addTor({ name: 'refused', config: { SocksTimeout: 'never' } });
    await expect(refused).rejects.toThrow(/SocksTimeout/);
    await expect(refused).rejects.toSatisfy((error) => isChimeraError(error, 'LAB_TOR_EXITED'));
  });

  it('leaves no process and no directory, stopped twice', async () => {
    expect(pidsNaming(network.directory)).not.toBe('');
    await Promise.all([network.stop(), network.stop()]);
    await network.stop();
    expect(pidsNaming(network.directory)).toBe('');
    expect(existsSync(network.directory)).toBe(false);
    await expect(network.addTor({ name: 'late' })).rejects.toSatisfy((error) => isChimeraError(error, 'LAB_STOPPED'));
  });
});

describeReal('a private network whose owner dies', ['tor'], () => {
  let owner: ChildProcess | undefined;

  afterEach(() => {
    owner?.kill('SIGKILL');
  });

  async function hold(): Promise<{ directory: string; pids: number[] }> {
    const child = spawn(
      process.execPath,
      ['--import', 'tsx', fileURLToPath(new URL('fixtures/hold-network.ts', import.meta.url))],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    owner = child;
    const line = await new Promise<string>((resolve, reject) => {
      child.stdout.once('data', (chunk: Buffer) => resolve(chunk.toString()));
      child.once('close', () => reject(new Error('the owner ended before it had a network')));
    });
    return JSON.parse(line) as { directory: string; pids: number[] };
  }

  it.each(['SIGTERM', 'SIGINT'] as const)('is gone at once after %s, directory included', async (signal) => {
    const { directory, pids } = await hold();
    expect(pids.every(runs)).toBe(true);
    owner?.kill(signal);
    await new Promise((resolve) => owner?.once('close', resolve));
    expect(owner?.signalCode).toBe(signal);
    await vi.waitFor(() => expect(pids.filter(runs)).toEqual([]), { timeout: 5_000 });
    expect(existsSync(directory)).toBe(false);
  });

  it('ends by itself after SIGKILL, and its directory goes with the next start', async () => {
    const { directory, pids } = await hold();
    owner?.kill('SIGKILL');
    await vi.waitFor(() => expect(pids.filter(runs)).toEqual([]), { timeout: 40_000, interval: 500 });
    expect(existsSync(directory)).toBe(true);
    const next = await startPrivateNetwork(runtime, { authorities: 1, relays: 0 });
    await next.stop();
    expect(existsSync(directory)).toBe(false);
  });
});
