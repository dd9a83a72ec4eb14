/** A node of nothing but stand-ins, complete enough for cycles that publish. */
import {
  createEngine,
  definePlugin,
  signerContract,
  torContract,
  type AnyPlugin,
  type Engine,
  type EngineOptions,
  type Host,
} from '../../../core/engine/index.ts';
import { masterKeyFromSeed } from '../../../core/onion/index.ts';
import type { CycleResult, HeadReport } from '../../../core/pipeline/index.ts';
import { systemNet, systemProcesses, type Runtime } from '../../../core/runtime/index.ts';
import { createMemoryStore, type MemoryStore } from '../../kit/sim/memory-store.ts';
import { createSeededRandom } from '../../kit/sim/seeded-random.ts';
import { createVirtualClock, type VirtualClock } from '../../kit/sim/virtual-clock.ts';
import { acceptAll, confirmAll, evening, makeBackend, makeConsensus, signerOf } from '../pipeline/support.ts';
import { createScriptedTor, recordingLog, torOf, type LogLine } from '../plugins/support.ts';

const consensus = makeConsensus();
const backend = await makeBackend('one/1', consensus);

/** A plugin with a name and an apply; the rest as needed. */
export function plugin(
  name: string,
  apply: (host: Host) => void = () => undefined,
  more: Partial<Omit<AnyPlugin, 'name' | 'apply'>> = {},
): AnyPlugin {
  return definePlugin({ summary: name, ...more, name, apply } as AnyPlugin as never) as AnyPlugin;
}

/** The least that a node needs: a tor, a signer, and an answer to each hook that wants one. */
export function essentials(reports: readonly HeadReport[] = [backend.report]): AnyPlugin[] {
  return [
    plugin('tor', (host) => host.give(torContract, torOf(createScriptedTor(consensus))), { gives: [torContract] }),
    plugin('signer', (host) => host.give(signerContract, signerOf(masterKeyFromSeed(new Uint8Array(32)))), {
      gives: [signerContract],
    }),
    plugin('behaviour', ({ hooks }) => {
      hooks.gather.tap('behaviour', ({ add }) => {
        for (const report of reports) add(report);
      });
      hooks.rotate.tap('behaviour', (view) => ({
        live: view.heads.flatMap(({ candidates }) => candidates.map(({ id }) => id)),
        why: 'all',
      }));
      hooks.merge.tap('behaviour', ({ candidates }) => ({ sets: [candidates] }));
      hooks.upload.tap('behaviour', ({ sealed }) => acceptAll(sealed));
      hooks.confirm.tap('behaviour', ({ sealed }) => confirmAll(sealed));
    }),
  ];
}

export interface Node {
  readonly engine: Engine;
  readonly clock: VirtualClock;
  readonly store: MemoryStore;
  readonly lines: LogLine[];
  readonly results: CycleResult[];
  /** Starts, and lets time run until the first cycle has ended. */
  run(): Promise<CycleResult>;
}

export function node(plugins: readonly AnyPlugin[], options: Partial<EngineOptions> = {}): Node {
  const clock = createVirtualClock(evening * 1000);
  const store = createMemoryStore();
  const lines: LogLine[] = [];
  const runtime: Runtime = {
    clock,
    store,
    random: createSeededRandom('engine'),
    net: systemNet,
    processes: systemProcesses,
    log: recordingLog(lines),
  };
  const engine = createEngine({ runtime, node: 'one', plugins, options: new Map(), ...options });
  const results: CycleResult[] = [];
  engine.onResult((result) => void results.push(result));
  return {
    engine,
    clock,
    store,
    lines,
    results,
    run: async () => {
      await clock.runFor(engine.start(), 60_000);
      return clock.runFor(engine.requestCycle('test'), 600_000);
    },
  };
}
