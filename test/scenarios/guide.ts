/**
 * docs/guides/cluster.md as it stands, with the real command: from nothing to three nodes, over whatever Tor network there is.
 * Each step says in its name which snippet of the guide it runs.
 */
import { appendFileSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { createSocket } from 'node:dgram';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectThroughSocks, formatEndpoint, type Endpoint } from '../../core/runtime/index.ts';
import type { TorInstance } from '../kit/network/network.ts';
import { published, runtime, stopped, type Workplace } from './newcomer/world.ts';
import type { Ended, Running } from './newcomer/command.ts';

const passphrase = 'correct horse battery staple six\n';
const guide = readFileSync(resolve(import.meta.dirname, '../../docs/guides/cluster.md'), 'utf8');

/** A UDP port of loopback that nobody has now. */
function freeUdpPort(): Promise<number> {
  return new Promise((found) => {
    const socket = createSocket('udp4');
    socket.bind(0, '127.0.0.1', () => {
      const { port } = socket.address();
      socket.close(() => found(port));
    });
  });
}

/** What is behind an address, as a client reaches it; `request` as it goes over the wire. */
async function ask(socks: Endpoint, host: string, request: string): Promise<string> {
  const options = { socks, host, port: 80, timeoutMs: 20_000, isolation: String(runtime.random.int(1e9)) };
  const stream = await connectThroughSocks(runtime, options);
  stream.on('error', () => undefined);
  stream.write(request);
  let text = '';
  for await (const chunk of stream as AsyncIterable<Buffer>) text += chunk.toString('latin1');
  return text;
}

/** Declares the tests. `addTor` gives a tor with a SOCKS port that has bootstrapped. */
export function describeGuide(world: Workplace, addTor: () => Promise<TorInstance>): void {
  const nodes: Running[] = [];
  const asked: string[] = [];
  let target: Server;
  let targetPort = 0;
  let invitation = '';
  let address = '';

  beforeAll(async () => {
    target = createServer((request, response) => {
      asked.push(request.url ?? '');
      response.setHeader('connection', 'close').end('my site\n');
    });
    await new Promise<void>((done) => target.listen(0, '127.0.0.1', done));
    targetPort = (target.address() as { port: number }).port;
  });
  afterAll(async () => {
    for (const node of nodes) node.kill('SIGKILL');
    await Promise.all(nodes.map(({ ended }) => ended));
    await new Promise((done) => target.close(done));
  });

  const config = (name: string): string => join(world.directory, name, 'chimera.toml');
  const machine = async (tor: TorInstance): Promise<string[]> => [
    '--tor',
    formatEndpoint(tor.control),
    '--target',
    `127.0.0.1:${targetPort}`,
    '--bind',
    `127.0.0.1:${await freeUdpPort()}`,
  ];
  const done = async (args: readonly string[], descriptor?: string): Promise<Ended> =>
    world.command.start(args, descriptor === undefined ? {} : { descriptor }).ended;
  const run = (name: string, ...args: readonly string[]): Running => {
    // Nobody else reads from it, and a pipe that nobody reads breaks.
    const options = args.length > 0 ? { descriptor: passphrase } : {};
    const node = world.command.start(['run', '--config', config(name), ...args], options);
    nodes.push(node);
    return node;
  };
  const readable = (name: string): void => appendFileSync(config(name), '\n[log]\nformat = "json"\n');
  const status = async (name: string): Promise<Record<string, Record<string, unknown>>> =>
    JSON.parse((await done(['status', '--config', config(name), '--json'])).out) as Record<
      string,
      Record<string, unknown>
    >;
  const headsIn =
    (count: number) =>
    (line: Parameters<typeof published>[0]): boolean =>
      published(line) && (line.heads as string[]).length === count;
  const tors: TorInstance[] = [];

  test('the first machine: chimera init, chimera run', async () => {
    expect(guide).toContain('chimera init /etc/chimera --target 127.0.0.1:8080');
    const tor = await addTor();
    tors.push(tor);
    const args = ['init', join(world.directory, 'one'), '--json', '--new-passphrase-fd', '3', ...(await machine(tor))];
    const made = await done(args, passphrase);
    expect([made.code, made.err]).toEqual([0, '']);
    ({ invitation, address } = JSON.parse(made.out) as { invitation: string; address: string });
    readable('one');
    expect((await done(['status', '--config', config('one')])).err).toContain('ADMIN_UNREACHABLE');
    await run('one', '--passphrase-fd', '3').line(published);
    expect(await status('one')).toMatchObject({ election: { elected: true }, node: { address } });
  });

  test('clients reach the target through the proxy, and never /.rb', async () => {
    const socks = tors[0]?.socks as Endpoint;
    expect(await ask(socks, address, `GET /page HTTP/1.1\r\nHost: ${address}\r\n\r\n`)).toContain('my site');
    const knock = `POST /.rb/${'a'.repeat(24)} HTTP/1.1\r\nHost: ${address}\r\nContent-Length: 4\r\n\r\nhush`;
    expect(await ask(socks, address, knock)).toMatch(/^HTTP\/1.1 404 /);
    expect(asked).toEqual(['/page']);
  });

  test('the second machine: chimera join over the master address, chimera run', async () => {
    expect(guide).toContain('chimera join ADDRESS.onion INVITATION /etc/chimera --target 127.0.0.1:8080');
    const tor = await addTor();
    tors.push(tor);
    const args = [address, invitation, join(world.directory, 'two'), '--socks', formatEndpoint(tor.socks as Endpoint)];
    const joined = await done(['join', ...args, ...(await machine(tor))]);
    expect(joined).toMatchObject({ code: 0 });
    readable('two');
    run('two');
    await nodes[0]?.line(headsIn(2));
    const other = ['join', address, invitation, join(world.directory, 'four'), '--attempts', '1'];
    const refused = await done([...other, '--socks', formatEndpoint(tor.socks as Endpoint), ...(await machine(tor))]);
    expect(refused.code).toBe(1);
    expect(refused.err).toContain('JOIN_REFUSED');
  });

  test('the third machine: an invitation of any node', async () => {
    expect(guide).toContain('chimera peer invite --config /etc/chimera/chimera.toml');
    const tor = await addTor();
    tors.push(tor);
    const invited = await done(['peer', 'invite', '--config', config('two')]);
    const words = invited.out.trim().split(' ');
    expect(words.slice(0, 3)).toEqual(['chimera', 'join', address]);
    const where = [join(world.directory, 'three'), '--socks', formatEndpoint(tor.socks as Endpoint)];
    expect(await done([...words.slice(1), ...where, ...(await machine(tor))])).toMatchObject({ code: 0 });
    readable('three');
    run('three');
    await nodes[0]?.line(headsIn(3));
    const listed = JSON.parse((await done(['peer', 'list', '--json', '--config', config('three')])).out) as {
      members: { state: string }[];
    };
    expect(listed.members.map(({ state }) => state)).toEqual(['alive', 'alive', 'alive']);
  });

  test('the publisher is killed, and another node publishes', async () => {
    const [first, ...others] = nodes as [Running, ...Running[]];
    first.kill('SIGKILL');
    await first.ended;
    await Promise.race(others.map((node) => node.line(published)));
    const elected = await Promise.all(['two', 'three'].map(async (name) => (await status(name)).election?.elected));
    expect(elected.filter(Boolean)).toHaveLength(1);
  });

  test('each stops in order, and no file has a secret of the others', async () => {
    for (const node of nodes.slice(1)) expect(await stopped(node)).toMatchObject({ code: 0 });
    for (const node of nodes) expect(node.err()).not.toMatch(/invite-[a-z2-7]{30}|seed [A-Za-z0-9+/]{40}/);
  });
}
