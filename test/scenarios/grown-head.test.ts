/**
 * A flood against a service that has no spare: three nodes with a head each, in virtual time on the embedded network. Another head
 * grows in a tor beside the one that it has, takes the place of the flooded one, and is given up when the siege is over.
 */
import { afterEach, expect, test } from 'vitest';
import { headControlContract, type HeadControl, type TorClient } from '../../core/engine/index.ts';
import { introPointId, openDescriptor, type OnionAddress } from '../../core/onion/index.ts';
import { usablePeriods } from '../../core/pipeline/index.ts';
import type { Visit } from '../kit/lab/visitor.ts';
import { startServiceCluster, type ServiceCluster, type ServiceNode } from './service-cluster.ts';

let cluster: ServiceCluster | undefined;
afterEach(async () => {
  await cluster?.end();
  cluster = undefined;
});

const controlOf = (node: ServiceNode): HeadControl => node.engine.service(headControlContract);
const isGrown = (head: string): boolean => !head.endsWith('/1');

test(
  'a flood, and no spare: the head is cut, a grown one is in the descriptor, and goes when the siege is over',
  { timeout: 90_000 },
  async () => {
    const service = await startServiceCluster('grown', { preset: 'hydra' });
    cluster = service;
    const { clock } = service;
    const { store } = service.runtime;
    const start = async (name: string): Promise<ServiceNode> =>
      service.start(name, {
        tables: {
          heads: { target: await service.site(name), grow: 1 },
          siege: { calm_secs: 10 },
          hydra: { return_secs: 60, shrink_secs: 60 },
        },
      });
    const first = await start('a');
    await service.published(60_000, { heads: 1 });
    const flooder = await service.client('flooder');
    expect((await clock.runFor(flooder.visit(15_000), 20_000)).head).toBe('a');
    for (const name of ['b', 'c']) await start(name);
    await service.published(60_000, { heads: 3 });
    await clock.advance(30_000);
    const flooded = `${first.engine.node}/1`;
    const live = (): readonly string[] => service.newest()?.live ?? [];
    const ownHeads = (): string[] =>
      service.nodes.flatMap((node) =>
        controlOf(node)
          .heads()
          .map(({ head }) => head),
      );
    expect([...live()].sort()).toEqual(ownHeads().sort());

    const began = clock.monotonic();
    let on = true;
    const flood = (): void => {
      if (!on) return;
      void flooder.visit(10_000);
      clock.after(100, flood);
    };
    flood();
    await clock.runUntil(() => live().length > 0 && !live().includes(flooded), 20_000);
    const visits: Visit[] = [];
    const visit = async (name: string): Promise<void> => {
      const honest = await service.client(name);
      visits.push(await clock.runFor(honest.visit(15_000), 20_000));
    };
    await visit('cut');
    await clock.runUntil(() => live().some(isGrown), 60_000);
    expect(clock.monotonic() - began).toBeLessThan(60_000);
    expect(live()).toHaveLength(3);
    expect(live()).not.toContain(flooded);
    expect(ownHeads().filter(isGrown)).toHaveLength(1);

    // It is in what a client fetches. Of two points on one relay the descriptor takes one, and the network is small.
    const [grower] = service.nodes.filter((node) => controlOf(node).heads().length > 1);
    const grown = controlOf(grower as ServiceNode)
      .heads()
      .find(({ head }) => isGrown(head));
    const { tor, address, head: grownHead } = grown as { tor: TorClient; address: OnionAddress; head: string };
    const pointsOf = async (text: string): Promise<string[]> => {
      const periods = usablePeriods(await clock.runFor(tor.consensus(), 5_000));
      const now = Math.floor(clock.now() / 1_000);
      return openDescriptor(text, { address, periods, now }).introPoints.map(introPointId);
    };
    const own = await pointsOf((await clock.runFor(tor.serviceDescriptor(address), 5_000)) as string);
    const reader = await service.client('reader');
    const fetched = (await clock.runFor(reader.descriptor(), 15_000)).introPoints.map(introPointId);
    expect(own).toHaveLength(3);
    expect(fetched).toHaveLength(service.newest()?.introPoints ?? 0);
    expect(own.filter((point) => fetched.includes(point))).not.toEqual([]);
    for (let turn = 0; turn < 6; turn++) await visit(`grown-${turn}`);

    // It stays for as long as the siege does, which is longer than it would stay without one. (Three minutes after it was cut the
    // flooded head refuses, and the flood goes to where the new descriptor leads.)
    await clock.advance(70_000);
    expect(live()).toContain(grownHead);
    expect(ownHeads().filter(isGrown)).toEqual([grownHead]);
    const services = (): Promise<readonly string[]> => clock.runFor(tor.command('GETCONF HiddenServiceOptions'), 5_000);
    const directories = async (): Promise<string[]> =>
      (await services()).filter((line) => line.startsWith('HiddenServiceDir='));
    expect(await directories()).toHaveLength(2);

    // While the siege lasts nobody comes to the flooded head; afterwards it is one of three again.
    const besieged = [...visits];
    on = false;
    await clock.runUntil(() => live().length > 0 && !live().some(isGrown) && live().includes(flooded), 600_000);
    expect([...live()].sort()).toEqual(
      ownHeads()
        .filter((head) => !isGrown(head))
        .sort(),
    );
    await visit('after');
    await clock.runUntil(() => ownHeads().every((head) => !isGrown(head)), 300_000);
    await clock.advance(5_000);
    expect(await directories()).toHaveLength(1);
    const [left] = (await directories()).map((line) => line.replace(/^HiddenServiceDir="?([^"]*)"?$/, '$1'));
    expect(await store.list((left as string).replace(/\/[^/]*$/, ''))).toHaveLength(1);
    await visit('gone');
    expect(visits.filter(({ head }) => head === undefined).map(({ reason }) => reason)).toEqual([]);
    expect(besieged.filter(({ head }) => head === 'a')).toEqual([]);
  },
);
