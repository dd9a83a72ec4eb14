/**
 * docs/guides/cluster.md on real tor, each machine of it a network namespace: three nodes come together over the master
 * address, through tor's SOCKS port, and share a master key that nobody copies.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { startPrivateNetwork, type Machine, type PrivateNetwork } from '../kit/network/private/index.ts';
import { describeGuide } from '../scenarios/guide.ts';
import { buildCommand } from '../scenarios/newcomer/command.ts';
import { runtime, type Workplace } from '../scenarios/newcomer/world.ts';
import { createNamespaces, type Namespaces } from './netns/namespaces.ts';
import { describeReal } from './require.ts';

const names = ['one', 'two', 'three', 'visitor'];

describeReal('the guide to a cluster, on real tor', ['tor', 'iproute2', 'nftables'], () => {
  const world = {} as { -readonly [Part in keyof Workplace]: Workplace[Part] };
  let machines: Namespaces;
  let network: PrivateNetwork;
  const left = [...names];
  const machineOf = (name: string): Machine => ({ address: machines.addressOf(name), enter: machines.enter(name) });
  beforeAll(async () => {
    machines = createNamespaces(['tor', ...names]);
    world.directory = mkdtempSync(join(tmpdir(), 'chimera-join-'));
    world.command = buildCommand();
    network = await startPrivateNetwork(runtime, { machine: machineOf('tor') });
    await network.ready();
  });
  afterAll(async () => {
    await world.command?.remove();
    await network?.stop();
    machines?.remove();
    rmSync(world.directory, { recursive: true });
  });
  describeGuide(world, async () => {
    const name = left.shift() as string;
    const machine = machineOf(name);
    const tor = await network.addTor({ name, socks: true, machine });
    await tor.bootstrapped();
    return { tor, ...machine };
  });
});
