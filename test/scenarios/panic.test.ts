/** Panic mode on a whole service, in virtual time on the embedded network. */
import { afterEach, expect, test } from 'vitest';
import { adminContract, definePlugin, type AdminCommand, type Json } from '../../core/engine/index.ts';
import type { Visit, Visitor } from '../kit/lab/visitor.ts';
import { startServiceCluster, type ServiceCluster } from './service-cluster.ts';

let cluster: ServiceCluster | undefined;
afterEach(async () => {
  await cluster?.end();
  cluster = undefined;
});

const client = (name: string): Promise<Visitor> => (cluster as ServiceCluster).client(name);
const site = (name: string): Promise<string> => (cluster as ServiceCluster).site(name);

/** What people do from time to time: a visit by a client that knows nothing, and one by a client that has been here before. */
async function keepVisiting(known: readonly Visitor[], fresh: readonly string[], everyMs: number): Promise<Visit[]> {
  const { clock } = cluster as ServiceCluster;
  const visits: Visit[] = [];
  for (const [index, name] of fresh.entries()) {
    const visitor = await client(name);
    visits.push(await clock.runFor(visitor.visit(15_000), 20_000));
    visits.push(await clock.runFor((known[index % known.length] as Visitor).visit(15_000), 20_000));
    await clock.advance(everyMs);
  }
  return visits;
}

const reason = (): string => (cluster as ServiceCluster).newest()?.why ?? '';

test(
  'chimera panic on: three rotations, nobody fails for long, and off leaves a stable descriptor',
  { timeout: 90_000 },
  async () => {
    cluster = await startServiceCluster('panic', { preset: 'roulette' });
    const { clock } = cluster;
    const commands: AdminCommand[] = [];
    const admin = definePlugin({
      name: 'admin',
      summary: 'Commands for the test.',
      gives: [adminContract],
      apply: (host) => host.give(adminContract, { command: (one) => void commands.push(one), status: () => undefined }),
    });
    for (const name of ['a', 'b', 'c', 'd']) {
      await cluster.start(name, {
        tables: {
          heads: { target: await site(name) },
          election: { slot_secs: 180 },
          roulette: { every_secs: 180, jitter_secs: 0 },
        },
        more: name === 'c' ? [admin] : [],
      });
    }
    await cluster.published(60_000);
    await clock.advance(30_000);
    const regular = await client('regular');
    await clock.runFor(regular.visit(15_000), 20_000);

    const publishers = new Set<string>();
    const sets = new Set<string>();
    const panic = (on: boolean): Promise<Json> =>
      (commands.find(({ name }) => name === 'panic') as AdminCommand).run(
        { on },
        () => undefined,
        new AbortController().signal,
      );
    await panic(true);
    const visits: Visit[] = [];
    for (let turn = 0; turn < 4; turn++) {
      visits.push(...(await keepVisiting([regular], [`${turn}`], 170_000)));
      publishers.add(cluster.elected()[0]?.name ?? '');
      sets.add(/panic: ([^:]+):/.exec(reason())?.[1] ?? '');
    }
    expect(sets.size).toBeGreaterThanOrEqual(2);
    expect(publishers.size).toBeGreaterThanOrEqual(2);
    for (const visit of visits) {
      expect(visit.reason).toBeUndefined();
      expect(visit.durationMs).toBeLessThan(10_000);
    }

    await panic(false);
    await clock.advance(60_000);
    const offAt = clock.now();
    const [publisher] = cluster.elected();
    expect(reason()).toContain('3 of 4 heads are live');
    await clock.advance(240_000);
    // A testing network's heads have other introduction points every few minutes; nothing else moves the descriptor.
    const later = cluster.nodes.flatMap(({ results }) =>
      results.filter(({ outcome, startedAt }) => outcome === 'published' && startedAt > offAt),
    );
    for (const { why, reasons: causes } of later) {
      expect(why).toMatch(/3 of 4 heads are live$/);
      expect(causes.join()).not.toMatch(/tick|panic|leaderChanged/);
    }
    expect(cluster.elected()).toEqual([publisher]);
    expect((await clock.runFor(regular.visit(15_000), 20_000)).reason).toBeUndefined();
  },
);
