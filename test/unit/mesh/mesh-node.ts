/** Nodes of the mesh without an engine, on a memory bus and a virtual clock. */
import type { ClusterSecrets, Json, Mesh, MeshChange, NodeIdentity } from '../../../core/engine/index.ts';
import { silentLog, type Log } from '../../../core/runtime/index.ts';
import type { MeshNode } from '../../../plugins/mesh/model.ts';
import { createMeshNode } from '../../../plugins/mesh/node.ts';
import { rosterOf, type MemberRoster } from '../../../plugins/mesh/roster.ts';
import {
  createMemoryBus,
  joinMemoryBus,
  type MemoryBus,
  type MemoryBusOptions,
} from '../../../plugins/transport/memory/index.ts';
import { testMembers, type TestMembers } from '../../kit/sim/members.ts';
import { createSeededRandom } from '../../kit/sim/seeded-random.ts';
import { createVirtualClock, type VirtualClock } from '../../kit/sim/virtual-clock.ts';

const settings = { beaconIntervalMs: 500, probeIntervalMs: 1_300, probeTimeoutMs: 1_000, suspicionMs: 2_000 };

export interface TestMeshNode {
  readonly name: string;
  readonly node: string;
  readonly identity: NodeIdentity;
  readonly mesh: MeshNode;
  readonly roster: MemberRoster;
  readonly secrets: ClusterSecrets;
  /** What changed since the last call, as `name state` or `name kind`. */
  changes(): string[];
  /** `name state` of everybody. */
  states(): string[];
  /** `[name, value]` of a kind. */
  values(kind: string): [string, Json][];
  /** Silence at once, as when the process is killed. */
  kill(): void;
  leave(): void;
}

export interface TestMesh {
  readonly clock: VirtualClock;
  readonly bus: MemoryBus;
  readonly members: TestMembers;
  /** `place`: its name on the bus, when a copy of it is there already. `aheadMs`: how far its wall clock is ahead. */
  readonly join: (name: string, roster?: Uint8Array, place?: string, log?: Log, aheadMs?: number) => TestMeshNode;
}

export function testMesh(names: readonly string[], network: Partial<MemoryBusOptions> = {}, seed = 'mesh'): TestMesh {
  const clock = createVirtualClock();
  const random = createSeededRandom(seed);
  const bus = createMemoryBus({ clock, random: random.fork('bus'), ...network });
  const members = testMembers(names, random);
  let lives = 0;
  return {
    clock,
    bus,
    members,
    join: (name, entries = members.entries, place = name, log = silentLog, aheadMs = 0) => {
      const identity = members.identity(name);
      const { transport, join } = joinMemoryBus(bus, place);
      const secrets = members.secrets();
      const roster = rosterOf(entries, 'test');
      const mesh = createMeshNode({
        transport,
        identity,
        secrets,
        roster,
        clock: { ...clock, now: () => clock.now() + aheadMs },
        random: random.fork(`life ${name} ${lives++}`),
        log,
        settings,
        onRoster: () => undefined,
      });
      const seen: MeshChange[] = [];
      mesh.onChange((change) => void seen.push(change));
      const leaveBus = join();
      mesh.start();
      const kill = (): void => {
        leaveBus();
        mesh.leave();
      };
      return {
        name,
        node: identity.node,
        identity,
        mesh,
        roster,
        secrets,
        changes: () =>
          seen
            .splice(0)
            .map((change) => `${members.nameOf(change.node)} ${change.what === 'state' ? change.state : change.kind}`),
        states: () => statesOf(mesh, members),
        values: (kind) =>
          mesh
            .records(kind)
            .map(({ node, value }): [string, Json] => [members.nameOf(node) as string, value])
            .sort(([a], [b]) => (a < b ? -1 : 1)),
        kill,
        leave: () => {
          mesh.leave();
          leaveBus();
        },
      };
    },
  };
}

const statesOf = (mesh: Mesh, members: TestMembers): string[] =>
  mesh
    .members()
    .map(({ node, state }) => `${members.nameOf(node)} ${state}`)
    .sort();
