/** What the plugin says at its start where no proxy stands before the target. */
import { afterEach, expect, test } from 'vitest';
import {
  clusterSecretsContract,
  nodeIdentityContract,
  proxyContract,
  rosterContract,
  type Proxy,
  type Roster,
} from '../../../core/engine/index.ts';
import { createClusterSecrets } from '../../../plugins/identity/index.ts';
import join from '../../../plugins/join/index.ts';
import { createBareHost } from '../plugins/support.ts';
import { newIdentity } from './support.ts';

const stopping: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const stop of stopping.splice(0)) await stop();
});

async function warningsAt(options: object, proxy?: Proxy): Promise<string[]> {
  const bare = createBareHost({ stateDirectory: '/state' });
  stopping.push(() => bare.stop());
  bare.provide(nodeIdentityContract, newIdentity());
  bare.provide(
    clusterSecretsContract,
    createClusterSecrets(
      () => [],
      async () => undefined,
    ),
  );
  bare.provide(rosterContract, {} as Roster);
  if (proxy !== undefined) bare.provide(proxyContract, proxy);
  bare.apply(join, options);
  await bare.start();
  return bare.lines.filter(({ level }) => level === 'warn').map(({ message }) => message);
}

test('without the proxy /.rb goes to the target, which is told, with a door of its own or without', async () => {
  const toTarget = 'requests for /.rb at the heads of this node go to the target';
  expect(await warningsAt({})).toEqual([expect.stringContaining('nobody can join'), toTarget]);
  expect(await warningsAt({ listen: '127.0.0.1:0' })).toEqual([toTarget]);
  const proxy = { door: () => undefined } as Partial<Proxy> as Proxy;
  expect(await warningsAt({}, proxy)).toEqual([]);
});
