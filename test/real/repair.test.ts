/** What the repair of heads reads from a real tor: its introduction circuits while it has a network, and when it has none. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemRuntime } from '../../core/runtime/index.ts';
import { reachableServices } from '../../plugins/repair/heads.ts';
import { createTorClient } from '../../plugins/tor/index.ts';
import { startPrivateNetwork, type PrivateNetwork, type PrivateTor } from '../kit/network/private/index.ts';
import { describeReal } from './require.ts';

const runtime = systemRuntime();

describeReal('the introduction circuits of a real tor', ['tor'], () => {
  let network: PrivateNetwork;
  let tor: PrivateTor;

  beforeAll(async () => {
    network = await startPrivateNetwork(runtime);
    const config = { HiddenServiceDir: `${network.directory}/service`, HiddenServicePort: '80 127.0.0.1:1' };
    tor = await network.addTor({ name: 'head', config });
    await network.ready();
    await tor.bootstrapped();
  }, 180_000);
  afterAll(() => network?.stop());

  test('are seen, are gone without a network, and are seen again', { timeout: 180_000 }, async () => {
    const client = createTorClient(runtime, { control: tor.control });
    try {
      await client.ready(10_000);
      const address = readFileSync(`${network.directory}/service/hostname`, 'utf8').slice(0, 56);
      const seen = async (): Promise<string[]> => [...reachableServices(await client.getInfo('circuit-status'))];
      const becomes = async (wanted: readonly string[]): Promise<void> => {
        for (let found = await seen(); found.join() !== wanted.join(); found = await seen())
          await runtime.clock.sleep(500);
      };
      await becomes([address]);
      await client.setConf([['DisableNetwork', '1']]);
      await becomes([]);
      await client.setConf([['DisableNetwork', '0']]);
      await becomes([address]);
      expect(await seen()).toEqual([address]);
    } finally {
      await client.close();
    }
  });
});
