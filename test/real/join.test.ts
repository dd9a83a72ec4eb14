/** docs/guides/cluster.md on real tor: three nodes come together over the master address, through tor's SOCKS port. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { startPrivateNetwork, type PrivateNetwork } from '../kit/network/private/index.ts';
import { describeGuide } from '../scenarios/guide.ts';
import { buildCommand } from '../scenarios/newcomer/command.ts';
import { runtime, type Workplace } from '../scenarios/newcomer/world.ts';
import { describeReal } from './require.ts';

describeReal('the guide to a cluster, on real tor', ['tor'], () => {
  const world = {} as { -readonly [Part in keyof Workplace]: Workplace[Part] };
  let network: PrivateNetwork;
  let added = 0;
  beforeAll(async () => {
    world.directory = mkdtempSync(join(tmpdir(), 'chimera-join-'));
    world.command = buildCommand();
    network = await startPrivateNetwork(runtime);
    await network.ready();
  });
  afterAll(async () => {
    await world.command.remove();
    await network?.stop();
    rmSync(world.directory, { recursive: true });
  });
  describeGuide(world, async () => {
    const tor = await network.addTor({ name: `tor-${++added}`, socks: true });
    await tor.bootstrapped();
    return tor;
  });
});
