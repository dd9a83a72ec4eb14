import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { AdmittedNode } from '../../../core/engine/index.ts';
import {
  ipFamily,
  silentLog,
  systemNet,
  systemRandom,
  type ChildProcess,
  type Processes,
} from '../../../core/runtime/index.ts';
import {
  createWireguardTransport,
  formatTunnelEndpoint,
  loadTunnelKey,
  peerCommands,
  planPeers,
  readTunnelEndpoint,
  tunnelAddress,
  type TunnelPeer,
} from '../../../plugins/transport/wireguard/index.ts';
import { createMemoryStore } from '../../kit/sim/memory-store.ts';
import { createVirtualClock } from '../../kit/sim/virtual-clock.ts';

const keyOf = (seed: number): string => Buffer.alloc(32, seed).toString('base64');
const keys = { signing: new Uint8Array(32), agreement: new Uint8Array(32) };
const admit = (node: string, key: number, outer = { host: '192.0.2.1', port: 51_820 }): AdmittedNode => ({
  node,
  keys,
  endpoints: ['udp:192.0.2.1:7411', formatTunnelEndpoint({ key: keyOf(key), outer })],
  admittedBy: 'founder',
});
const own = { node: 'self', key: keyOf(200), cluster: 'test' };
const none: ReadonlyMap<string, TunnelPeer> = new Map();

describe('names in the tunnel', () => {
  test('addresses are unique local ones with a prefix of the cluster, the same everywhere', () => {
    // Fixed: another derivation would cut running clusters in two.
    expect(tunnelAddress('chimera', 'node')).toBe('fdf7:86a6:d8c:ceb8:895a:1868:72f3:ee8b');
    const names = Array.from({ length: 2_000 }, (_, index) => `node${index}`);
    const addresses = names.map((name) => tunnelAddress('chimera', name));
    expect(new Set(addresses).size).toBe(names.length);
    expect(addresses.every((address) => ipFamily(address) === 6 && address.startsWith('fdf7:86a6:d8c:'))).toBe(true);
    expect(tunnelAddress('other', 'node').slice(0, 9)).not.toBe('fdf7:86a6');
  });

  test('an endpoint is read back; any other text is none', () => {
    const endpoint = fc.record({
      key: fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes).toString('base64')),
      outer: fc.option(fc.record({ host: fc.ipV4(), port: fc.integer({ min: 1, max: 65_535 }) }), { nil: undefined }),
    });
    const law = fc.property(endpoint, (one) => {
      const first = Number(one.outer?.host.split('.')[0] ?? 1);
      fc.pre(first > 0 && first < 224);
      expect(readTunnelEndpoint(formatTunnelEndpoint(one))).toEqual(one);
    });
    expect(() => fc.assert(law)).not.toThrow();
    const key = Buffer.from(keyOf(1), 'base64').toString('base64url');
    for (const text of [
      '',
      'wireguard:',
      `wireguard:${key}`,
      `wireguard:${key}@example.org:51820`,
      `wireguard:${key}@192.0.2.1`,
      `wireguard:${key}@192.0.2.1:0`,
      `wireguard:${key}@192.0.2.1:1@`,
      `wireguard:${key.slice(1)}@192.0.2.1:1`,
      `wireguard:${key}A@192.0.2.1:1`,
      `wireguard:-peer@192.0.2.1:1`,
      `udp:192.0.2.1:1`,
    ]) {
      expect(readTunnelEndpoint(text)).toBeUndefined();
    }
  });
});

describe('who may be a peer', () => {
  test('the admitted that have a tunnel, each with its own derived address and no other', () => {
    const withoutTunnel: AdmittedNode = {
      node: 'c',
      keys,
      endpoints: ['udp:192.0.2.9:7411', 'wireguard:x'],
      admittedBy: 'a',
    };
    const all = [admit('a', 1), admit('b', 2), withoutTunnel, admit('self', 200)];
    const { peers, refused, keyless } = planPeers(all, own, none);
    expect(keyless).toEqual([withoutTunnel.node]);
    expect(refused).toEqual([]);
    expect([...peers.keys()]).toEqual(['a', 'b']);
    expect(peers.get('a')).toMatchObject({ key: keyOf(1), address: tunnelAddress('test', 'a') });
  });

  test('a claim on the key of this node, or of another, is refused; who had the key keeps it', () => {
    const { peers } = planPeers([admit('victim', 1)], own, none);
    const later = planPeers([admit('thief', 1), admit('victim', 1), admit('cuckoo', 200)], own, peers);
    expect([...later.peers.keys()]).toEqual(['victim']);
    expect(later.refused.map(({ node }) => node).toSorted()).toEqual(['cuckoo', 'thief']);
    // Nobody knows whose it is: neither.
    const fresh = planPeers([admit('thief', 1), admit('victim', 1), admit('other', 3)], own, none);
    expect([...fresh.peers.keys()]).toEqual(['other']);
    expect(fresh.refused[0]?.why).toBe('the same key is claimed by thief, victim');
  });

  test('whatever is admitted in whatever order, no two peers share a key or an address, and no holder loses its own', () => {
    const list = fc.array(fc.tuple(fc.integer({ min: 0, max: 9 }), fc.integer({ min: 0, max: 6 })), { maxLength: 12 });
    const law = fc.property(list, list, (before, after) => {
      const toNodes = (pairs: readonly (readonly [number, number])[]) =>
        pairs.map(([name, key]) => admit(`n${name}`, key));
      const first = planPeers(toNodes(before), own, none).peers;
      const second = planPeers([...toNodes(before), ...toNodes(after)], own, first).peers;
      for (const what of ['key', 'address'] as const) {
        const values = [...second.values()].map((peer) => peer[what]);
        expect(new Set(values).size).toBe(values.length);
      }
      for (const [node, { key }] of first) expect(second.get(node)?.key).toBe(key);
    });
    expect(() => fc.assert(law, { numRuns: 300 })).not.toThrow();
  });

  test('the tunnel is no way to itself, and there is an end to peers', () => {
    const looped = { host: tunnelAddress('test', 'x'), port: 51_820 };
    expect(planPeers([admit('a', 1, looped)], own, none).peers.get('a')?.outer).toBeUndefined();
    const many = Array.from({ length: 300 }, (_, index): AdmittedNode => {
      const key = Buffer.alloc(32);
      key.writeUInt32BE(index);
      return {
        node: `n${index}`,
        keys,
        endpoints: [formatTunnelEndpoint({ key: key.toString('base64'), outer: undefined })],
        admittedBy: 'a',
      };
    });
    const plan = planPeers(many, own, none);
    expect([plan.peers.size, plan.refused.length]).toEqual([256, 44]);
  });

  test('wg is told to let go first, then of who is new or has moved; of the rest nothing', () => {
    const plan = (nodes: readonly AdmittedNode[]) => planPeers(nodes, own, none).peers;
    const from = plan([admit('a', 1), admit('b', 2), admit('c', 3)]);
    const to = plan([admit('b', 4), admit('c', 3), admit('d', 5, { host: '2001:db8::1', port: 7 })]);
    expect(peerCommands(from, to, 25)).toEqual([
      ['peer', keyOf(1), 'remove'],
      ['peer', keyOf(2), 'remove'],
      [
        'peer',
        keyOf(4),
        'endpoint',
        '192.0.2.1:51820',
        'persistent-keepalive',
        '25',
        'allowed-ips',
        `${tunnelAddress('test', 'b')}/128`,
      ],
      [
        'peer',
        keyOf(5),
        'endpoint',
        '[2001:db8::1]:7',
        'persistent-keepalive',
        '25',
        'allowed-ips',
        `${tunnelAddress('test', 'd')}/128`,
      ],
    ]);
    expect(peerCommands(to, to, 25)).toEqual([]);
  });
});

describe('the key', () => {
  test('is made once, and is what wg calls one', async () => {
    const store = createMemoryStore();
    const first = await loadTunnelKey({ store, random: systemRandom }, '/private_key');
    expect(await loadTunnelKey({ store, random: systemRandom }, '/private_key')).toEqual(first);
    const secret = Buffer.from(first.privateKey, 'base64');
    expect([secret.length, (secret[0] as number) & 7, (secret[31] as number) & 192]).toEqual([32, 0, 64]);
    expect(first.publicKey).toMatch(/^[A-Za-z0-9+/]{43}=$/);
    expect(await loadTunnelKey({ store, random: systemRandom }, undefined)).not.toEqual(first);
  });

  test.for(['', 'nonsense', keyOf(1).slice(2), `${keyOf(1)}${keyOf(1)}`])(
    '%j in its file is WIREGUARD_KEY',
    async (text) => {
      const store = createMemoryStore();
      await store.write('/private_key', text);
      await expect(loadTunnelKey({ store, random: systemRandom }, '/private_key')).rejects.toMatchObject({
        code: 'WIREGUARD_KEY',
      });
    },
  );
});

test.for([0o640, 0o604, 0o666])('a key of mode %o, which others could have, is WIREGUARD_KEY', async (mode) => {
  const store = createMemoryStore();
  await loadTunnelKey({ store, random: systemRandom }, '/private_key');
  store.setMode('/private_key', mode);
  await expect(loadTunnelKey({ store, random: systemRandom }, '/private_key')).rejects.toMatchObject({
    code: 'WIREGUARD_KEY',
    remedy: expect.stringContaining('remove it') as string,
  });
});

test('a key that cannot be read or kept is WIREGUARD_KEY, and names the file', async () => {
  const store = createMemoryStore();
  const load = () => loadTunnelKey({ store, random: systemRandom }, '/private_key');
  store.full = true;
  await expect(load()).rejects.toMatchObject({
    code: 'WIREGUARD_KEY',
    message: expect.stringContaining('/private_key') as string,
  });
  expect(store.files()).toEqual([]);
  store.full = false;
  await store.makeDirectory('/private_key');
  await expect(load()).rejects.toMatchObject({
    code: 'WIREGUARD_KEY',
    message: expect.stringContaining('EISDIR') as string,
  });
});

describe('the interface', () => {
  interface Ran {
    readonly line: string;
    readonly input: string;
  }
  interface Answer {
    readonly code?: number;
    readonly output?: string;
    /** It goes on until it is killed. */
    readonly runs?: boolean;
  }
  /** Programs that answer as told, and what was run. */
  function programs(answer: (line: string) => Answer | undefined) {
    const ran: Ran[] = [];
    const processes: Processes = {
      start: async (command, args, { input = '' } = {}): Promise<ChildProcess> => {
        const line = [command, ...args].join(' ');
        ran.push({ line, input });
        const result = answer(line);
        if (result === undefined) throw Object.assign(new Error(`spawn ${command} ENOENT`), { code: 'ENOENT' });
        const { code = 0, output = '', runs = false } = result;
        const ended = runs ? new Promise<never>(() => undefined) : Promise.resolve({ code, signal: null });
        return { pid: 1, ended, output: () => output, kill: () => undefined };
      },
    };
    return { ran, processes };
  }
  const open = (
    processes: Processes,
    implementation: 'auto' | 'kernel' | 'wireguard-go' = 'kernel',
    store = createMemoryStore(),
    clock = createVirtualClock(),
  ) => {
    const net = {
      ...systemNet,
      bindUdp: async () => ({
        endpoint: { host: '::1', port: 1 },
        send: () => undefined,
        close: async () => undefined,
      }),
    };
    const transport = createWireguardTransport(
      { clock, net, store, random: systemRandom, processes, log: silentLog },
      {
        node: 'self',
        cluster: 'test',
        interface: 'wg-test',
        listenPort: 1,
        keepaliveSeconds: 25,
        implementation,
        directory: '/wireguard',
      },
    );
    return { ...transport, store };
  };
  const absent = (line: string) =>
    line.includes('-json') ? { code: 1, output: 'Device "wg-test" does not exist.' } : {};

  test('by the kernel: the key goes in on standard input, is on no command line, and the stop removes all', async () => {
    const { ran, processes } = programs(absent);
    const { open: start, close, store } = open(processes);
    await start();
    const secret = Buffer.from((await store.read('/wireguard/private_key')) ?? [])
      .toString()
      .trim();
    expect(ran.filter(({ input }) => input.includes(secret)).map(({ line }) => line.split(' ')[0])).toEqual(['sh']);
    expect(ran.filter(({ line }) => line.includes(secret))).toEqual([]);
    expect(await store.list('/wireguard')).toEqual(['interface', 'private_key']);
    await close();
    expect(ran.at(-1)?.line).toBe('ip link delete dev wg-test');
    expect(await store.list('/wireguard')).toEqual(['private_key']);
  });

  test('a step that fails leaves nothing and says what to do', async () => {
    const denied = programs((line) =>
      line.includes('type wireguard')
        ? { code: 2, output: 'RTNETLINK answers: Operation not permitted' }
        : absent(line),
    );
    await expect(open(denied.processes, 'auto').open()).rejects.toMatchObject({
      code: 'WIREGUARD_COMMAND',
      remedy: expect.stringContaining('CAP_NET_ADMIN') as string,
    });
    const noSix = programs((line) =>
      line.includes('address add') ? { code: 2, output: 'IPv6 is disabled' } : absent(line),
    );
    await expect(open(noSix.processes).open()).rejects.toMatchObject({ code: 'WIREGUARD_COMMAND' });
    expect(noSix.ran.map(({ line }) => line)).toContain('ip link delete dev wg-test');
    await expect(open(programs(() => undefined).processes).open()).rejects.toMatchObject({ code: 'WIREGUARD_MISSING' });
  });

  test.each([
    { ends: 2, outcome: 'another is started' },
    { ends: 3, outcome: 'that is said' },
  ])('wireguard-go that ends before its interface is there, $ends times: $outcome', async ({ ends }) => {
    const store = createMemoryStore();
    const clock = createVirtualClock();
    const socket = '/var/run/wireguard/wg-test.sock';
    await store.makeDirectory('/var/run/wireguard');
    await store.write(socket, Buffer.from('of one that was killed'));
    let started = 0;
    const asked: boolean[] = [];
    const { ran, processes } = programs((line) => {
      if (line.startsWith('wireguard-go ')) {
        if (++started <= ends) return { code: 1, output: 'ERROR: Failed to listen on uapi socket' };
        void store.write(socket, Buffer.from(''));
        return { runs: true };
      }
      if (line.startsWith('wg show')) asked.push(started > ends);
      return absent(line);
    });
    const opened = open(processes, 'wireguard-go', store, clock)
      .open()
      .then(
        () => 'open',
        (error: Error) => error.message,
      );
    expect(await clock.runFor(opened, 60_000)).toMatch(ends < 3 ? /^open$/ : /uapi socket/);
    expect(started).toBe(3);
    // `wg` removes a socket that refuses it: it asks of no other than the one that has come.
    expect(asked).toEqual(ends < 3 ? [true] : []);
    expect(ran.some(({ line }) => line.includes('listen-port "$1"'))).toBe(ends < 3);
  });

  test('one of that name that is another’s is left alone', async () => {
    const { ran, processes } = programs((line) =>
      line.includes('-json') ? { output: '[{"ifalias":"the office"}]' } : {},
    );
    await expect(open(processes).open()).rejects.toMatchObject({ code: 'WIREGUARD_TAKEN' });
    expect(ran.filter(({ line }) => line.includes('delete'))).toEqual([]);
  });
});
