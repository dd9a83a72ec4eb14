/**
 * Distinct descriptors on real tor: more HSDirs than one descriptor has, over 40 introduction points in use at once, fresh clients
 * at all heads alike, and republications that no client gets stuck on. CHIMERA_DISTINCT_VISITS sets how many fresh clients come.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createNode } from '../../core/cli/node.ts';
import { resolveConfig } from '../../core/config/index.ts';
import type { Engine, TorClient } from '../../core/engine/index.ts';
import {
  addressOfKey,
  encodeSecretKeyFile,
  introPointId,
  masterKeyFromSeed,
  openDescriptor,
  type OnionAddress,
} from '../../core/onion/index.ts';
import type { CycleResult } from '../../core/pipeline/index.ts';
import { formatEndpoint, systemRuntime, type Listener } from '../../core/runtime/index.ts';
import { plugins } from '../../plugins/index.ts';
import { createTorClient } from '../../plugins/tor/index.ts';
import { presets } from '../../presets/index.ts';
import { openSite } from '../kit/lab/site.ts';
import { createVisitor, type Visitor } from '../kit/lab/visitor.ts';
import type { TorInstance } from '../kit/network/network.ts';
import { startPrivateNetwork, type PrivateNetwork } from '../kit/network/private/index.ts';
import { describeReal } from './require.ts';

const visits = Number(process.env.CHIMERA_DISTINCT_VISITS ?? 72);
const heads = 4;
const pointsPerHead = 12;
const visitors = 3;
const republications = 10;
const visitLimitMs = 30_000;

describeReal('distinct descriptors', ['tor'], () => {
  const runtime = systemRuntime();
  let directory: string;
  let network: PrivateNetwork;
  let engine: Engine;
  let site: Listener;
  let address: OnionAddress;
  const clients: TorClient[] = [];
  const visiting: { readonly visitor: Visitor; readonly tor: TorClient }[] = [];
  /** Introductions that each head has answered. */
  const served = new Map<string, number>();
  const results: CycleResult[] = [];

  const clientOf = async ({ name, control }: TorInstance): Promise<TorClient> => {
    const tor = createTorClient(runtime, { control, name });
    clients.push(tor);
    await tor.ready(30_000);
    return tor;
  };
  const published = (): CycleResult | undefined => results.findLast(({ outcome }) => outcome === 'published');

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'chimera-distinct-'));
    network = await startPrivateNetwork(runtime, { authorities: 3, relays: 17 });
    const names = Array.from({ length: heads }, (_none, index) => `head-${index + 1}`);
    const tors = await Promise.all(names.map((name) => network.addTor({ name })));
    const watching = await Promise.all(
      Array.from({ length: visitors }, (_none, index) => network.addTor({ name: `visitor-${index + 1}`, socks: true })),
    );
    await network.ready();
    const key = masterKeyFromSeed(runtime.random.bytes(32));
    address = addressOfKey(key.publicKey);
    await writeFile(join(directory, 'key'), encodeSecretKeyFile(key), { mode: 0o600 });
    site = await openSite(runtime.net, 'site');
    for (const tor of tors) {
      const client = await clientOf(tor);
      client.onEvent('CIRC', ({ words, fields }) => {
        const purpose = fields.PURPOSE ?? '';
        if (words[1] === 'LAUNCHED' && purpose === 'HS_SERVICE_REND')
          served.set(tor.name, (served.get(tor.name) ?? 0) + 1);
      });
    }
    const controls = tors.map(({ control }) => formatEndpoint(control));
    const value = {
      node: { id: 'node', state_directory: join(directory, 'state') },
      master: { identity_key_path: join(directory, 'key') },
      tor: { control: controls[0] },
      heads: { controls, target: formatEndpoint(site.endpoint), num_introduction_points: pointsPerHead },
      exposure: { heads, points_per_head: pointsPerHead, accept_exposure: true },
    };
    const loaded = { file: undefined, directory, value };
    const resolved = await resolveConfig(loaded, { presets, plugins }, 'distinct');
    engine = createNode(resolved, runtime);
    engine.onResult((result) => results.push(result));
    await engine.start();
    for (const tor of watching) {
      const client = await clientOf(tor);
      const socks = tor.socks as NonNullable<TorInstance['socks']>;
      const options = { net: runtime.net, clock: runtime.clock, tor: client, socks, address, port: 80 };
      visiting.push({ tor: client, visitor: createVisitor(options) });
    }
    for (let waitedMs = 0; waitedMs < 60_000 && (published()?.introPoints ?? 0) < 40; waitedMs += 250) {
      await runtime.clock.sleep(250);
    }
  }, 240_000);
  afterAll(async () => {
    await engine?.stop();
    await Promise.all(clients.map((client) => client.close()));
    await network?.stop();
    await site?.close();
    await rm(directory, { recursive: true, force: true });
  }, 60_000);

  test('40 introduction points and more are in use, each of the six HSDirs that clients ask has its own set', () => {
    const result = published();
    expect(result?.introPoints).toBeGreaterThanOrEqual(40);
    const sealed = result?.sealed;
    const descriptor = sealed?.descriptors.find(({ slot }) => slot === sealed.slots.clientUses);
    if (sealed === undefined || descriptor === undefined) throw new Error('nothing is sealed');
    const asked = descriptor.targets.filter(({ fetched }) => fetched);
    expect(new Set(asked.map(({ text }) => text)).size).toBe(6);
    expect(result?.confirmations).toHaveLength(asked.length);
    const now = Math.floor(runtime.clock.now() / 1000);
    const sets = descriptor.texts.map((text) =>
      openDescriptor(text, { address, periods: [descriptor.period], now }).introPoints.map(introPointId),
    );
    expect(new Set(sets.flat()).size).toBe(result?.introPoints);
    expect(new Set(sets.map((set) => set.length)).size).toBe(1);
  });

  test(`${visits} fresh clients reach all heads alike`, { timeout: 60_000 + visits * 5_000 }, async () => {
    served.clear();
    const failed: string[] = [];
    let left = visits;
    await Promise.all(
      visiting.map(async ({ tor, visitor }) => {
        while (left-- > 0) {
          await tor.signal('NEWNYM');
          const { head, reason } = await visitor.visit(visitLimitMs);
          if (head === undefined) failed.push(reason ?? 'no reason');
        }
      }),
    );
    const counts = [...served.values()];
    const total = counts.reduce((sum, count) => sum + count, 0);
    const expected = total / heads;
    const chiSquare = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
    process.stderr.write(
      `introductions by head: ${counts.join(', ')}; chi-square ${chiSquare.toFixed(2)} with ${heads - 1} degrees; ${failed.length} of ${visits} failed\n`,
    );
    expect(failed.length).toBeLessThanOrEqual(Math.ceil(visits / 36));
    expect(counts).toHaveLength(heads);
    // 99.9 % of fair draws are below.
    expect(chiSquare).toBeLessThan(16.27);
  });

  test(`nobody is stuck through ${republications} republications`, { timeout: 300_000 }, async () => {
    const counters: bigint[] = [];
    const failed: string[] = [];
    for (let number = 0; number < republications; number++) {
      const result = await engine.requestCycle(`operator: republication ${number}`);
      expect(result.outcome).toMatch(/^published$|^unconfirmed$/);
      counters.push(
        ...(result.sealed?.descriptors ?? []).filter(({ slot }) => slot === 'second').map(({ revision }) => revision),
      );
      await Promise.all(
        visiting.map(async ({ tor, visitor }, index) => {
          // One keeps what it fetched; the others come anew and meet another HSDir.
          if (index > 0) await tor.signal('NEWNYM');
          const { head, reason } = await visitor.visit(visitLimitMs);
          if (head === undefined) failed.push(`${number}/${index}: ${reason}`);
        }),
      );
    }
    expect(new Set(counters).size).toBe(counters.length);
    expect(failed).toEqual([]);
  });
});
