/** A node that has not got the master key yet stands for no election; as soon as it has, it does. */
import * as v from 'valibot';
import { expect, test } from 'vitest';
import {
  createEngine,
  definePlugin,
  electionContract,
  meshContract,
  signerContract,
  torContract,
  type Mesh,
  type Tor,
} from '../../../core/engine/index.ts';
import { masterKeyFromSeed } from '../../../core/onion/index.ts';
import { silentLog } from '../../../core/runtime/index.ts';
import electionPriority from '../../../plugins/election/priority/index.ts';
import { createMemoryStore } from '../../kit/sim/memory-store.ts';
import { createSeededRandom } from '../../kit/sim/seeded-random.ts';
import { createVirtualClock } from '../../kit/sim/virtual-clock.ts';
import { makeConsensus } from '../pipeline/support.ts';

test('it is elected once its signer is ready, and not before', async () => {
  const clock = createVirtualClock();
  const consensus = makeConsensus();
  let ready = false;
  const stub = definePlugin({
    name: 'stub',
    summary: 'A tor that is well, an empty mesh, and a signer that waits for its key.',
    gives: [torContract, meshContract, signerContract],
    apply(host) {
      const primary = { state: 'ready', onState: () => () => undefined, consensus: async () => consensus };
      host.give(torContract, { primary } as unknown as Tor);
      const nothing = (): void => undefined;
      const mesh = { members: () => [], records: () => [], publish: nothing, lead: nothing, onChange: () => nothing };
      host.give(meshContract, mesh as unknown as Mesh);
      host.give(signerContract, {
        publicKey: masterKeyFromSeed(new Uint8Array(32)).publicKey,
        get ready() {
          return ready;
        },
        sign: async () => new Uint8Array(64),
        revisionKey: async () => new Uint8Array(32),
      });
    },
  });
  const engine = createEngine({
    runtime: {
      clock,
      random: createSeededRandom(1),
      store: createMemoryStore(),
      log: silentLog,
      net: undefined as never,
      processes: undefined as never,
    },
    node: 'a',
    plugins: [stub, electionPriority],
    options: new Map([['election/priority', v.parse(electionPriority.options as never, {})]]),
  });
  await clock.runFor(engine.start(), 1_000);
  const election = engine.service(electionContract);
  for (let second = 0; second < 60; second++) {
    await clock.advance(1_000);
    expect(election.elected).toBe(false);
  }
  ready = true;
  await clock.runUntil(() => election.elected, 10_000);
  await clock.runFor(engine.stop(), 5_000);
});
