import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemRuntime } from '../../../core/runtime/index.ts';
import { createTorClientSite, torClientChecks, type TorClientSite } from '../../kit/conformance/tor-client.ts';
import { checkMetricsPort } from '../../kit/conformance/metrics-port.ts';
import { startEmbeddedNetwork, type EmbeddedNetwork } from '../../kit/network/embedded/index.ts';

// Over real sockets; the network's day is shorter than a private network's, so that a consensus is worth waiting for.
describe('the tor client on the embedded network', () => {
  let network: EmbeddedNetwork;
  let site: TorClientSite;

  beforeAll(async () => {
    network = await startEmbeddedNetwork(systemRuntime(), { votingSeconds: 5, sharedRandom: 'both' });
    site = await createTorClientSite(systemRuntime(), network);
  }, 60_000);
  afterAll(async () => {
    await site?.close();
    await network?.stop();
  });

  test.each(torClientChecks.map(({ name, run }) => [name, run] as const))(
    '%s',
    { timeout: 60_000 },
    async (_name, run) => {
      await expect(run(site)).resolves.toBeUndefined();
    },
  );

  test('a MetricsPort is found, opened where there is none, read, and taken back', { timeout: 60_000 }, async () => {
    await expect(checkMetricsPort(systemRuntime(), site.head, site.service)).resolves.toBeUndefined();
  });
});
