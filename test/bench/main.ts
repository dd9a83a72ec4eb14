/**
 * `npm run bench`: what a publish and the reading of a descriptor cost, beside OnionBalance's own functions in the same
 * run. Exits 0 unless it cannot run; docs/benchmarks.md says what is measured.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { benchFlood, floodFigures } from './flood.ts';
import { introPointCount, makeInputs, relayCount } from './fixture.ts';
import { benchIdle } from './idle.ts';
import { startPeer } from './peer.ts';
import { benchPublish } from './publish.ts';
import { benchRead } from './read.ts';
import { formatFigures, formatRows, judge } from './table.ts';

const help = `npm run bench -- [--rounds N] [--idle-seconds N] [--flood N] [--flood-rate N] [--peer-sockets N] [--json]

  --rounds N        rounds of each measurement (default 7)
  --idle-seconds N  how long the idle process is watched (default 60; 0: not at all)
  --flood N         datagrams of the flood that a node of the mesh is under (default 100000; 0: none)
  --flood-rate N    of them a second (default 10000; 0: as fast as one process sends)
  --peer-sockets N  members that have a receive buffer of their own, as the option of transport/udp (default 64; 0: none)
  --json            print the figures as JSON
`;

const explanation = `One publish: 2 descriptors of ${introPointCount} introduction points each, and their HSDirs among ${relayCount} relays.
  warm       a running daemon: same time period, rings and blinded keys known; all ${introPointCount} introduction points
             are new, so that each of their certificates is signed. OnionBalance keeps nothing between publishes.
  cold       the first publish of a fresh process that has read its backends' descriptors, from the bytes of the key
             file on: rings, blinding, signing keys and certificates are all new.
  unchanged  the same introduction points as before; first of an hour: the blinded keys sign as well.
One read: a descriptor of 3 introduction points, parsed, verified and decrypted; OnionBalance verifies nothing.
  all keys new  nothing of it was seen before: 8 signatures are verified.
  an update     what tor uploads next within the hour: other counter, salts and signature, the same certificates.`;

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '7' },
    'idle-seconds': { type: 'string', default: '60' },
    flood: { type: 'string', default: '100000' },
    'flood-rate': { type: 'string', default: '10000' },
    'peer-sockets': { type: 'string', default: '64' },
    json: { type: 'boolean' },
    help: { type: 'boolean' },
  },
});
const rounds = Number(values.rounds);
const idleSeconds = Number(values['idle-seconds']);
const flooded = Number(values.flood);
const perSecond = Number(values['flood-rate']);
const peerSockets = Number(values['peer-sockets']);
const counts = [rounds - 1, idleSeconds, flooded, perSecond, peerSockets];
const usable = counts.every((value) => Number.isInteger(value) && value >= 0);
if (values.help === true || !usable) {
  process.stdout.write(help);
  process.exit(values.help === true ? 0 : 2);
}

const folder = mkdtempSync(join(tmpdir(), 'chimera-bench-'));
try {
  const inputs = await makeInputs(1);
  const fixturePath = join(folder, 'fixture.json');
  writeFileSync(fixturePath, JSON.stringify(inputs.fixture));
  const peer = await startPeer(fixturePath);
  const rows = [
    ...(await benchPublish({ inputs, fixturePath, peer, rounds })),
    ...(await benchRead({ inputs, peer, rounds })),
  ].map(judge);
  peer.stop();
  const idle = idleSeconds === 0 ? [] : await benchIdle({ fixture: inputs.fixture, folder, seconds: idleSeconds });
  const flood = { count: flooded, perSecond, quietSeconds: 10, peerSockets };
  const floods = flooded === 0 ? [] : floodFigures(await benchFlood(flood));
  const machine = {
    processor: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    node: process.versions.node,
    openssl: process.versions.openssl,
    python: peer.python,
  };
  const about = Object.entries(machine)
    .map(([name, value]) => `${name} ${value}`)
    .join(' · ');
  const parts = [
    explanation,
    about,
    formatRows(rows),
    ...(idle.length === 0 ? [] : [formatFigures('chimera run, idle', idle)]),
  ];
  if (floods.length > 0) parts.push(formatFigures('a node of the mesh under a flood', floods));
  process.stdout.write(
    values.json === true
      ? `${JSON.stringify({ machine, rounds, rows, idle, floods }, null, 1)}\n`
      : `${parts.join('\n\n')}\n`,
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
}
