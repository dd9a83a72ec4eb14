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

/** Where one of the guide's machines is. */
export interface GuideMachine {
  /** With a SOCKS port, bootstrapped. */
  readonly tor: TorInstance;
  /** Of the machine itself, where the other nodes send to; loopback unless told. */
  readonly address?: string;
  /** What a command line begins with to run there; nothing on this machine. */
  readonly enter?: readonly string[];
}

const loopback = '127.0.0.1';

/** Declares the tests. `addMachine` is called once for each of the guide's three machines, and for a visitor's. */
export function describeGuide(world: Workplace, addMachine: () => Promise<GuideMachine>): void {
  const nodes: Running[] = [];
  const machines: GuideMachine[] = [];
  const asked: string[] = [];
  let target: Server;
  let targetPath = '';
  let invitation = '';
  let address = '';

  beforeAll(async () => {
    target = createServer((request, response) => {
      asked.push(request.url ?? '');
      response.setHeader('connection', 'close').end('my site\n');
    });
    // A path reaches from one machine to another where a port of loopback does not.
    targetPath = join(world.directory, 'site.sock');
    await new Promise<void>((done) => target.listen(targetPath, done));
  });
  afterAll(async () => {
    for (const node of nodes) node.kill('SIGKILL');
    await Promise.all(nodes.map(({ ended }) => ended));
    await new Promise((done) => target.close(done));
  });

  const config = (name: string): string => join(world.directory, name, 'chimera.toml');
  const settings = async ({ tor, address: own = loopback }: GuideMachine): Promise<string[]> => [
    '--tor',
    formatEndpoint(tor.control),
    '--target',
    `unix:${targetPath}`,
    '--bind',
    `${own}:${await freeUdpPort()}`,
  ];
  const socksOf = ({ tor }: GuideMachine): string[] => ['--socks', formatEndpoint(tor.socks as Endpoint)];
  const done = async ({ enter = [] }: GuideMachine, args: readonly string[], descriptor?: string): Promise<Ended> =>
    world.command.start(args, { enter, ...(descriptor === undefined ? {} : { descriptor }) }).ended;
  const run = ({ enter = [] }: GuideMachine, name: string, ...args: readonly string[]): Running => {
    // Nobody else reads from it, and a pipe that nobody reads breaks.
    const options = args.length > 0 ? { enter, descriptor: passphrase } : { enter };
    const node = world.command.start(['run', '--config', config(name), ...args], options);
    nodes.push(node);
    return node;
  };
  const readable = (name: string): void => appendFileSync(config(name), '\n[log]\nformat = "json"\n');
  const status = async (machine: GuideMachine, name: string): Promise<Record<string, Record<string, unknown>>> =>
    JSON.parse((await done(machine, ['status', '--config', config(name), '--json'])).out) as Record<
      string,
      Record<string, unknown>
    >;
  const headsIn =
    (count: number) =>
    (line: Parameters<typeof published>[0]): boolean =>
      published(line) && (line.heads as string[]).length === count;
  const next = async (): Promise<GuideMachine> => {
    const machine = await addMachine();
    machines.push(machine);
    return machine;
  };

  test('the first machine: chimera init, chimera run', async () => {
    expect(guide).toContain('chimera init /etc/chimera --target 127.0.0.1:8080');
    const machine = await next();
    const place = [join(world.directory, 'one'), '--json', '--new-passphrase-fd', '3'];
    const made = await done(machine, ['init', ...place, ...(await settings(machine))], passphrase);
    expect([made.code, made.err]).toEqual([0, '']);
    ({ invitation, address } = JSON.parse(made.out) as { invitation: string; address: string });
    readable('one');
    expect((await done(machine, ['status', '--config', config('one')])).err).toContain('ADMIN_UNREACHABLE');
    await run(machine, 'one', '--passphrase-fd', '3').line(published);
    expect(await status(machine, 'one')).toMatchObject({ election: { elected: true }, node: { address } });
  });

  test('clients reach the target through the proxy, and never /.rb', async () => {
    const socks = machines[0]?.tor.socks as Endpoint;
    expect(await ask(socks, address, `GET /page HTTP/1.1\r\nHost: ${address}\r\n\r\n`)).toContain('my site');
    const knock = `POST /.rb/${'a'.repeat(24)} HTTP/1.1\r\nHost: ${address}\r\nContent-Length: 4\r\n\r\nhush`;
    expect(await ask(socks, address, knock)).toMatch(/^HTTP\/1.1 404 /);
    expect(asked).toEqual(['/page']);
  });

  test('the second machine: chimera join over the master address, chimera run', async () => {
    expect(guide).toContain('chimera join ADDRESS.onion INVITATION /etc/chimera --target 127.0.0.1:8080');
    const machine = await next();
    const args = [address, invitation, join(world.directory, 'two'), ...socksOf(machine)];
    expect(await done(machine, ['join', ...args, ...(await settings(machine))])).toMatchObject({ code: 0 });
    readable('two');
    run(machine, 'two');
    await nodes[0]?.line(headsIn(2));
    const again = ['join', address, invitation, join(world.directory, 'four'), '--attempts', '1'];
    const refused = await done(machine, [...again, ...socksOf(machine), ...(await settings(machine))]);
    expect(refused.code).toBe(1);
    expect(refused.err).toContain('JOIN_REFUSED');
  });

  test('the third machine: an invitation of any node', async () => {
    expect(guide).toContain('chimera peer invite --config /etc/chimera/chimera.toml');
    const invited = await done(machines[1] as GuideMachine, ['peer', 'invite', '--config', config('two')]);
    const words = invited.out.trim().split(' ');
    expect(words.slice(0, 3)).toEqual(['chimera', 'join', address]);
    const machine = await next();
    const args = [...words.slice(1), join(world.directory, 'three'), ...socksOf(machine)];
    expect(await done(machine, [...args, ...(await settings(machine))])).toMatchObject({ code: 0 });
    readable('three');
    run(machine, 'three');
    await nodes[0]?.line(headsIn(3));
    const listed = JSON.parse((await done(machine, ['peer', 'list', '--json', '--config', config('three')])).out) as {
      members: { state: string }[];
    };
    expect(listed.members.map(({ state }) => state)).toEqual(['alive', 'alive', 'alive']);
  });

  test('the publisher is killed: another node publishes without its head, and clients are answered', async () => {
    const [first, ...others] = nodes as [Running, ...Running[]];
    first.kill('SIGKILL');
    await first.ended;
    await Promise.race(others.map((node) => node.line(headsIn(2))));
    const left = [[machines[1], 'two'] as const, [machines[2], 'three'] as const];
    const elected = await Promise.all(
      left.map(async ([machine, name]) => (await status(machine as GuideMachine, name)).election?.elected),
    );
    expect(elected.filter(Boolean)).toHaveLength(1);
    // The tors of the others have a descriptor from before.
    const visitor = await next();
    const request = `GET /after HTTP/1.1\r\nHost: ${address}\r\n\r\n`;
    expect(await ask(visitor.tor.socks as Endpoint, address, request)).toContain('my site');
    expect(asked.at(-1)).toBe('/after');
  });

  test('each stops in order, and no file has a secret of the others', async () => {
    for (const node of nodes.slice(1)) expect(await stopped(node)).toMatchObject({ code: 0 });
    for (const node of nodes) expect(node.err()).not.toMatch(/invite-[a-z2-7]{30}|seed [A-Za-z0-9+/]{40}/);
  });
}
