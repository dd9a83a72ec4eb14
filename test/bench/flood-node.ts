/**
 * One node of the flood benchmark, as a child process: a mesh over real UDP. `flood-node NAME PERSECOND PEERSOCKETS [PORT]`: publishes a
 * record so often, and joins the other at that port. Answers each message of its parent with what it has seen so far.
 */
import { silentLog, systemClock, systemNet, systemRandom } from '../../core/runtime/index.ts';
import { createMeshNode } from '../../plugins/mesh/node.ts';
import { rosterOf } from '../../plugins/mesh/roster.ts';
import { createUdpTransport } from '../../plugins/transport/udp/index.ts';
import { heldBytes } from '../kit/held-memory.ts';
import { testMembers } from '../kit/sim/members.ts';
import { createSeededRandom } from '../kit/sim/seeded-random.ts';

/** What a node has seen; `state` is all that it holds, but for the record that changes all the time. */
export interface FloodReport {
  readonly port: number;
  readonly atMs: number;
  readonly published: number;
  readonly heard: number;
  readonly dropped: number;
  readonly heldBytes: number;
  readonly residentBytes: number;
  readonly cpuMs: number;
  readonly state: string;
  readonly sessions: number;
  /** Datagrams that it sent, in base64. */
  readonly sent: readonly string[];
}

const names = ['honest', 'victim'] as const;
const mostRecorded = 400;
const [, , name = 'victim', perSecond = '0', peerSockets = '0', port] = process.argv;
const members = testMembers(names, createSeededRandom('flood'), () => `udp:127.0.0.1:${port ?? 9}`);
const { transport, open } = createUdpTransport(
  { net: systemNet, log: silentLog },
  { bind: [{ host: '127.0.0.1', port: 0 }], peerSockets: Number(peerSockets) },
);
await open();
const sent: string[] = [];
const roster = rosterOf(members.entries, 'test');
const mesh = createMeshNode({
  transport: {
    get endpoint() {
      return transport.endpoint;
    },
    maximumBytes: transport.maximumBytes,
    send: (to, bytes) => {
      if (sent.length < mostRecorded) sent.push(Buffer.from(bytes).toString('base64'));
      transport.send(to, bytes);
    },
    onMessage: (hear) => transport.onMessage(hear),
    expect: (endpoint) => transport.expect?.(endpoint),
  },
  identity: members.identity(name),
  secrets: members.secrets(),
  roster,
  clock: systemClock,
  random: systemRandom,
  log: silentLog,
  settings: { beaconIntervalMs: 500, probeIntervalMs: 1_300, probeTimeoutMs: 1_000, suspicionMs: 2_000 },
  onRoster: () => undefined,
});
let published = 0;
let heard = 0;
const kind = 'count';
mesh.onChange((change) => {
  if (change.what === 'record' && change.kind === kind && change.node !== members.identity(name).node) heard++;
});
mesh.publish('load', name);
mesh.start();
mesh.lead(name === 'victim');
if (Number(perSecond) > 0) setInterval(() => mesh.publish(kind, ++published), 1_000 / Number(perSecond));

process.on('message', () => {
  const held = heldBytes();
  const { user, system } = process.cpuUsage();
  const states = mesh.members().map(({ node, state }) => [members.nameOf(node), state]);
  const report: FloodReport = {
    port: Number(transport.endpoint.split(':').at(-1)),
    atMs: performance.now(),
    published,
    heard,
    dropped: mesh.dropped,
    heldBytes: held,
    residentBytes: process.memoryUsage().rss,
    cpuMs: (user + system) / 1_000,
    state: JSON.stringify([states, mesh.records('load'), Buffer.from(roster.encode()).toString('hex')]),
    sessions: mesh.figures.sessions,
    sent,
  };
  process.send?.(report);
});
process.on('disconnect', () => process.exit());
