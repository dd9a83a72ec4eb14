/** The plugin around the rule: memory, ability, the hooks. The rule's laws are in test/property/plugins/election.test.ts. */
import * as v from 'valibot';
import { describe, expect, test } from 'vitest';
import {
  createEngine,
  definePlugin,
  electionContract,
  signerContract,
  torContract,
  type Engine,
  type Tor,
} from '../../../core/engine/index.ts';
import { ChimeraError } from '../../../core/errors.ts';
import { masterKeyFromSeed } from '../../../core/onion/index.ts';
import type { CycleResult } from '../../../core/pipeline/index.ts';
import { silentLog } from '../../../core/runtime/index.ts';
import electionPriority from '../../../plugins/election/priority/index.ts';
import { createMemoryStore, type MemoryStore } from '../../kit/sim/memory-store.ts';
import { createSeededRandom } from '../../kit/sim/seeded-random.ts';
import { createVirtualClock } from '../../kit/sim/virtual-clock.ts';

const path = '/state/election.json';
const text = async (store: MemoryStore): Promise<unknown> =>
  JSON.parse(new TextDecoder().decode(await store.read(path))) as unknown;

function makeAlone(store: MemoryStore = createMemoryStore()) {
  const clock = createVirtualClock();
  const tor = {
    primary: { state: 'ready', onState: () => () => undefined, consensus: () => Promise.reject(new Error('none')) },
  } as unknown as Tor;
  const stub = definePlugin({
    name: 'stub',
    summary: 'A tor without a consensus, and a key.',
    gives: [torContract, signerContract],
    apply(host) {
      host.give(torContract, tor);
      host.give(signerContract, {
        publicKey: masterKeyFromSeed(new Uint8Array(32)).publicKey,
        sign: async () => new Uint8Array(64),
        revisionKey: async () => new Uint8Array(32),
      });
    },
  });
  const engine = createEngine({
    runtime: {
      clock,
      random: createSeededRandom(1),
      store,
      log: silentLog,
      net: undefined as never,
      processes: undefined as never,
    },
    node: 'a',
    plugins: [stub, electionPriority],
    options: new Map([['election/priority', v.parse(electionPriority.options as never, {})]]),
    stateDirectory: '/state',
  });
  return { clock, engine, store, election: engine.service(electionContract) };
}

async function keptTerm(content: string): Promise<MemoryStore> {
  const store = createMemoryStore();
  await store.makeDirectory('/state');
  await store.write(path, content);
  return store;
}

/** Tells the plugin of a cycle's result, as the engine would. */
function settle(engine: Engine, result: Partial<CycleResult>): Promise<unknown> {
  const none = { outcome: 'failed', uploads: [], confirmations: [], faults: [], reasons: [], heads: [] };
  return engine.hooks.settled.promise({ ...none, ...result } as unknown as CycleResult);
}

describe('alone', () => {
  test('is elected before the first cycle, in epoch 0, and keeps it', async () => {
    const { clock, engine, store, election } = makeAlone();
    await clock.runFor(engine.start(), 100);
    expect([election.elected, election.publisher, election.epoch]).toEqual([true, 'a', 0]);
    expect(await text(store)).toEqual({ highestEpoch: 0, claimedBy: 'a' });
    expect((await clock.runFor(engine.requestCycle('test'), 100)).outcome).toBe('failed');
    await clock.advance(60_000);
    expect([election.elected, election.epoch]).toEqual([true, 0]);
  });

  test.each([
    ['its own last term again', '{"highestEpoch":3,"claimedBy":"a"}', 3],
    ['the one after another’s', '{"highestEpoch":3,"claimedBy":null}', 4],
    ['the one after that of an earlier name', '{"highestEpoch":3,"claimedBy":"b"}', 4],
  ])('after a restart takes %s', async (_what, content, epoch) => {
    const { clock, engine, store, election } = makeAlone(await keptTerm(content));
    await clock.runFor(engine.start(), 100);
    expect([election.elected, election.epoch]).toEqual([true, epoch]);
    expect(await text(store)).toEqual({ highestEpoch: epoch, claimedBy: 'a' });
  });

  test.each([
    '',
    '{',
    '[]',
    '{"highestEpoch":-1,"claimedBy":null}',
    '{"highestEpoch":1}',
    `{"highestEpoch":${2 ** 30},"claimedBy":null}`,
  ])('does not start on a damaged file: %s', async (content) => {
    const { clock, engine } = makeAlone(await keptTerm(content));
    await expect(clock.runFor(engine.start(), 5_000)).rejects.toThrow(/election\.json/);
  });

  test('does not publish while the epoch cannot be kept, and does once it can', async () => {
    const { clock, engine, store, election } = makeAlone();
    await store.makeDirectory('/state');
    store.full = true;
    await clock.runFor(engine.start(), 100);
    const result = await clock.runFor(engine.requestCycle('test'), 100);
    expect([election.elected, result.outcome]).toEqual([false, 'standby']);
    store.full = false;
    await clock.advance(4_000);
    expect([election.elected, election.epoch]).toEqual([true, 0]);
  });

  test('claims the epoch after one that the HSDirs hold, whichever way it learns of it', async () => {
    const { clock, engine, store, election } = makeAlone();
    await clock.runFor(engine.start(), 100);
    const error = new ChimeraError('ONION_REVISION', 'later', { details: { seenEpoch: 6 } });
    await settle(engine, { error });
    await clock.advance(10);
    expect([election.elected, election.epoch]).toEqual([true, 7]);
    expect(await text(store)).toEqual({ highestEpoch: 7, claimedBy: 'a' });
    const revision = 9n * 2n ** 34n + 5n;
    await settle(engine, { confirmations: [{ fingerprint: 'F', confirmed: false, revision }] });
    await clock.advance(10);
    expect(election.elected).toBe(false);
    await clock.advance(2_000);
    expect([election.elected, election.epoch]).toEqual([true, 10]);
    await settle(engine, { confirmations: [{ fingerprint: 'F', confirmed: true, revision: 10n * 2n ** 34n }] });
    await clock.advance(10);
    expect([election.elected, election.epoch]).toEqual([true, 10]);
  });

  test('a term that ended during a cycle seals nothing', async () => {
    const { clock, engine } = makeAlone();
    await clock.runFor(engine.start(), 100);
    const review = (epoch: number) => engine.hooks.review.promise({ epoch } as never);
    expect(await review(0)).toBeUndefined();
    await settle(engine, { error: new ChimeraError('ONION_REVISION', 'later', { details: { seenEpoch: 6 } }) });
    await clock.advance(10);
    expect(await review(0)).toMatchObject({
      outcome: 'standby',
      why: expect.stringMatching(/epoch 0 ended/) as string,
    });
  });
});
