import * as v from 'valibot';
import { afterEach, expect, test } from 'vitest';
import { torContract, type Tor } from '../../../core/engine/contracts/tor.ts';
import type { Host } from '../../../core/engine/plugin.ts';
import { createHooks } from '../../../core/pipeline/index.ts';
import { systemRuntime } from '../../../core/runtime/index.ts';
import { torOptions, torPlugin } from '../../../plugins/tor/index.ts';
import { parts, startControlPort, type ControlPort } from './control-port.ts';

const releases: (() => unknown)[] = [];
afterEach(async () => {
  for (const release of releases.splice(0).reverse()) await release();
});

/** The plugin against bare hooks. */
async function apply(options: Record<string, unknown>): Promise<{ port: ControlPort; host: Host; tor: Tor }> {
  const port = await startControlPort();
  releases.push(() => port.close());
  const given = new Map<string, unknown>();
  const host = {
    runtime: systemRuntime(),
    log: parts().log,
    node: 'one',
    stateDirectory: undefined,
    hooks: createHooks(),
    give: ({ name }: { name: string }, service: unknown) => given.set(name, service),
    defer: (release: () => unknown) => releases.push(release),
  } as unknown as Host;
  const endpoint = port.endpoint as { host: string; port: number };
  torPlugin.apply(host, v.parse(torOptions, { control: `${endpoint.host}:${endpoint.port}`, ...options }));
  return { port, host, tor: given.get(torContract.name) as Tor };
}

test('opens nothing before the start, and is ready after it', async () => {
  const { port, host, tor } = await apply({});
  const second = await startControlPort();
  releases.push(() => second.close());
  const other = tor.connect({ control: second.endpoint });
  expect(tor.primary.state).toBe('connecting');
  expect(port.sessions).toHaveLength(0);
  await host.hooks.start.promise();
  expect(tor.primary.state).toBe('ready');
  await other.ready(5000);
  expect(port.sessions).toHaveLength(1);
});

test('the same endpoint gives the same client, until that is closed', async () => {
  const { host, tor, port } = await apply({});
  await host.hooks.start.promise();
  expect(tor.connect({ control: port.endpoint })).toBe(tor.primary);
  const second = await startControlPort();
  releases.push(() => second.close());
  const other = tor.connect({ control: second.endpoint });
  await other.ready(5000);
  await other.close();
  const again = tor.connect({ control: second.endpoint });
  expect(again).not.toBe(other);
  await again.ready(5000);
});

test('the start fails with what is wrong when tor does not come', async () => {
  const { host, port } = await apply({ startTimeoutMs: 300 });
  await port.close();
  await expect(host.hooks.start.promise()).rejects.toMatchObject({ code: 'TOR_CONNECT' });
});

test('options have defaults, take every form of an address, and refuse the rest', () => {
  expect(v.parse(torOptions, {})).toEqual({
    control: { host: '127.0.0.1', port: 9051 },
    commandTimeoutMs: 10_000,
    startTimeoutMs: 10_000,
  });
  expect(v.parse(torOptions, { control: 'unix:/run/tor/control' }).control).toEqual({ path: '/run/tor/control' });
  expect(v.safeParse(torOptions, { control: 'nine' }).issues?.[0]?.message).toContain('must be host:port');
  expect(v.safeParse(torOptions, { contrl: '127.0.0.1:9051' }).success).toBe(false);
});
