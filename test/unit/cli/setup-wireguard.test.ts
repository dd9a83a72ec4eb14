/** A cluster over WireGuard alone, from the commands to the peers of each interface. */
import { afterEach, expect, test } from 'vitest';
import type { AdmittedNode } from '../../../core/engine/index.ts';
import { silentLog, systemNet, systemRandom, type Processes } from '../../../core/runtime/index.ts';
import { endpointsIn } from '../../../plugins/mesh/index.ts';
import { rosterOf } from '../../../plugins/mesh/roster.ts';
import {
  createWireguardTransport,
  loadTunnelKey,
  planPeers,
  readTunnelEndpoint,
  type WireguardOptions,
} from '../../../plugins/transport/wireguard/index.ts';
import { createMemoryStore, type MemoryStore } from '../../kit/sim/memory-store.ts';
import { createVirtualClock } from '../../kit/sim/virtual-clock.ts';
import { failingAfter, member, open, resolved, run, text } from './setup-support.ts';

const doors: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of doors.splice(0)) await close();
});

/** What a node's transport says of itself once it runs with the configuration of its directory; its interface is only pretended. */
async function endpointAtStart(store: MemoryStore, directory: string, node: string): Promise<string> {
  const { options } = await resolved(store, directory);
  const {
    listen_port: listenPort,
    keepalive_secs: keepaliveSeconds,
    ...rest
  } = options.get('transport/wireguard') as Omit<
    WireguardOptions,
    'listenPort' | 'keepaliveSeconds' | 'directory' | 'node'
  > & {
    readonly listen_port: number;
    readonly keepalive_secs: number;
  };
  const processes: Processes = {
    start: async (_command, args) => ({
      pid: 1,
      ended: Promise.resolve({ code: args.includes('-json') ? 1 : 0, signal: null }),
      output: () => (args.includes('-json') ? 'does not exist' : ''),
      kill: () => undefined,
    }),
  };
  const socket = { endpoint: { host: '::1', port: 1 }, send: () => undefined, close: async () => undefined };
  const { transport, ...opened } = createWireguardTransport(
    {
      clock: createVirtualClock(),
      net: { ...systemNet, bindUdp: async () => socket },
      store,
      random: systemRandom,
      processes,
      log: silentLog,
    },
    {
      ...rest,
      node,
      listenPort,
      keepaliveSeconds,
      implementation: 'kernel',
      directory: `${directory}/state/wireguard`,
    },
  );
  await opened.open();
  await opened.close();
  return transport.endpoint;
}

interface Told {
  readonly address: string;
  readonly node: string;
  readonly endpoint: string;
  readonly invitation: string;
  readonly join: string;
}

async function founded(...more: string[]) {
  const store = createMemoryStore();
  const made = await run(['init', '/one', '--plain-key', '--json', '--wireguard', ...more], store);
  expect([made.exitCode, made.err]).toEqual([0, '']);
  const told = made.json() as unknown as Told;
  const founder = await member(store, '/one', told.address, [await endpointAtStart(store, '/one', told.node)]);
  const { port, close } = await open(founder.answer);
  doors.push(close);
  const args = ['join', `127.0.0.1:${port}`, told.invitation, '/two', '--attempts', '1', '--json'];
  return { store, told, founder, args };
}

const peersOf = (members: readonly AdmittedNode[], { node, endpoint }: Told) => {
  const key = readTunnelEndpoint(endpoint)?.key as string;
  return planPeers(members, { node, key, cluster: 'chimera' }, new Map());
};

test('after init and join without UDP each side has the other as a peer, where it said that it is', async () => {
  const { store, told, founder, args } = await founded('--advertise', '192.0.2.1:51821');
  expect(told.join).toMatch(/ --wireguard$/);
  const joined = await run([...args, '--wireguard', '--advertise', '[2001:db8::2]:7'], store);
  expect([joined.exitCode, joined.err]).toEqual([0, '']);
  const second = joined.json() as unknown as Told;

  // The founder's roster, and the one that the joiner starts with.
  const kept = rosterOf((await store.read('/two/state/roster')) as Uint8Array, 'the roster');
  const admitted = kept.nodes().map((node) => kept.get(node) as AdmittedNode);
  const atFounder = peersOf(founder.nodes(), told);
  const atJoiner = peersOf(admitted, second);
  expect([atFounder.refused, atJoiner.refused]).toEqual([[], []]);
  expect([...atFounder.peers.values()]).toMatchObject([
    { node: second.node, endpoint: second.endpoint, outer: { host: '2001:db8::2', port: 7 } },
  ]);
  expect([...atJoiner.peers.values()]).toMatchObject([
    { node: told.node, endpoint: told.endpoint, outer: { host: '192.0.2.1', port: 51_821 } },
  ]);

  // What runs later is what was announced, and nothing but WireGuard carries it.
  expect(await endpointAtStart(store, '/one', told.node)).toBe(told.endpoint);
  expect(await endpointAtStart(store, '/two', second.node)).toBe(second.endpoint);
  for (const [directory, port] of [
    ['/one', 51_821],
    ['/two', 7],
  ] as const) {
    const { options, plugins } = await resolved(store, directory);
    const transports = plugins.map(({ name }) => name).filter((name) => name.startsWith('transport/'));
    expect(transports).toEqual(['transport/wireguard']);
    expect(options.get('transport/wireguard')).toMatchObject({ listen_port: port });
  }
});

test('without --advertise a node names an address of its machine, and port 51820', async () => {
  const { store, told, args } = await founded();
  const second = (await run([...args, '--wireguard'], store)).json() as unknown as Told;
  for (const { node, endpoint } of [told, second]) {
    expect(await endpointAtStart(store, node === told.node ? '/one' : '/two', node)).toBe(endpoint);
    expect([undefined, 51_820]).toContain(readTunnelEndpoint(endpoint)?.outer?.port);
  }
});

test('the private key is in its file, 0600, and nowhere else', async () => {
  const { store, args } = await founded();
  const outputs: string[] = [];
  for (const more of [[], ['--wireguard']]) {
    // Once as people see it, once as a program does.
    const directory = more.length === 0 ? '/shown' : '/two';
    const words = more.length === 0 ? ['init', directory, '--plain-key', '--wireguard'] : [...args, ...more];
    const { out, err } = await run(words, store);
    const path = `${directory}/state/wireguard/private_key`;
    const { privateKey, publicKey } = await loadTunnelKey({ store, random: systemRandom }, path);
    expect(await store.mode(path)).toBe(0o600);
    const rest = store.files().filter((file) => file !== path);
    outputs.push(out + err, ...(await Promise.all(rest.map((file) => text(store, file)))));
    for (const form of [privateKey, privateKey.slice(0, 20), Buffer.from(privateKey, 'base64').toString('base64url')])
      expect(outputs.filter((one) => one.includes(form))).toEqual([]);
    expect(out).toContain(Buffer.from(publicKey, 'base64').toString('base64url'));
  }
});

test.each([
  '192.0.2.1',
  '192.0.2.1:0',
  '192.0.2.1:65536',
  'example.org:51820',
  '0.0.0.0:51820',
  '[::]:51820',
  ':51820',
])('the address %j is refused, and nothing is made', async (address) => {
  const store = createMemoryStore();
  for (const words of [
    ['init', '/one'],
    ['join', '127.0.0.1:1', `invite-${'a'.repeat(56)}`, '/one'],
  ]) {
    const { exitCode, err } = await run([...words, '--wireguard', '--advertise', address], store);
    expect(exitCode).toBe(2);
    expect(err).toContain('It must be the IP address and port that others reach, as 192.0.2.1:7411');
  }
  expect(store.files()).toEqual([]);
});

test('--bind is UDP’s: beside --wireguard it is refused', async () => {
  const store = createMemoryStore();
  const { exitCode, err } = await run(['init', '/one', '--wireguard', '--bind', '0.0.0.0:7411'], store);
  expect([exitCode, store.files()]).toEqual([2, []]);
  expect(err).toContain("'--wireguard' cannot be used with option '--bind");
});

test.each([3, 4, 5, 7])(
  'join, ended before step %i, comes in the next time with the key that the cluster knows',
  async (steps) => {
    const { store, told, founder, args } = await founded();
    const first = await run([...args, '--wireguard'], failingAfter(store, steps));
    expect(first.err).toMatch(/error (CLI_FILE|IDENTITY_FILE|STATE_FILE|WIREGUARD_KEY): .*ENOSPC/);
    const second = (await run([...args, '--wireguard'], store)).json() as unknown as Told;
    expect([...peersOf(founder.nodes(), told).peers.values()]).toMatchObject([{ endpoint: second.endpoint }]);
  },
);

test('init, ended after the key was made, goes on with it', async () => {
  const store = createMemoryStore();
  await run(['init', '/one', '--plain-key', '--wireguard'], failingAfter(store, 6));
  const before = await text(store, '/one/state/wireguard/private_key');
  expect(before).not.toBe('');
  expect((await run(['init', '/one', '--plain-key', '--wireguard'], store)).exitCode).toBe(0);
  expect(await text(store, '/one/state/wireguard/private_key')).toBe(before);
});

test('a node that was let in without its WireGuard key is told so, instead of never meeting anybody', async () => {
  const { store, founder, args } = await founded();
  // It ends before its configuration is there, and the operator comes back with another option.
  const first = await run(args, failingAfter(store, 5));
  expect(first.exitCode).not.toBe(0);
  const [node = ''] = founder.nodes().flatMap(({ node: one, endpoints }) => (endpoints.length === 0 ? [one] : []));
  expect(endpointsIn(founder.entries(), node)).toEqual([]);
  const { exitCode, err } = await run([...args, '--wireguard'], store);
  expect(exitCode).toBe(2);
  expect(err).toContain(`SETUP_EXISTS: the cluster has admitted ${node} already, without this WireGuard key`);
  expect(err).toContain('fresh invitation');
});
