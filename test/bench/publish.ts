/** One publish against OnionBalance: warm, cold, and what lies between. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Candidate, Sealed } from '../../core/pipeline/index.ts';
import { consensusOf, newDescriptors, type Inputs } from './fixture.ts';
import { startPeer, type Peer, type PeerPublish } from './peer.ts';
import { createPublisher, verifiedCandidates } from './publisher.ts';
import { measure, medianOf, type Sample } from './sample.ts';
import { publishSignatures, signBare } from './signatures.ts';
import type { Row } from './table.ts';

const run = promisify(execFile);
// As `npm run bench` compiles it: a loader of TypeScript would work beside the measurement.
const coldProgram = 'dist/bench/test/bench/cold.js';
const warmUps = 40;
const oursPerRound = 4;
/** Between two publishes; all of a round fit into half an hour. */
const secondsBetween = 60;
const hourSeconds = 3_600;

/** Both sides must have done the same work: the same keys, and the same HSDirs in the same order. */
function checkSame(sealed: Sealed, peer: PeerPublish): void {
  const keys = sealed.descriptors.map(({ blindedKey }) => Buffer.from(blindedKey).toString('hex'));
  const hsdirs = sealed.descriptors.map(({ targets }) => targets.map(({ relay }) => relay.fingerprint));
  if (JSON.stringify([keys, hsdirs]) !== JSON.stringify([peer.blindedKeys, peer.hsdirs])) {
    throw new Error('Chimera and OnionBalance chose different blinded keys or HSDirs: nothing can be compared');
  }
}

export interface Options {
  readonly inputs: Inputs;
  /** The inputs' fixture as a file. */
  readonly fixturePath: string;
  readonly peer: Peer;
  readonly rounds: number;
}

interface Warm {
  readonly changed: Sample;
  readonly unchanged: Sample;
  readonly newHour: Sample;
  readonly bare: Sample;
  readonly peer: Sample;
  /** The peer without its revision counters. */
  readonly peerRest: Sample;
}

async function measureWarm({ inputs, peer, rounds }: Options): Promise<Warm> {
  const { fixture } = inputs;
  const consensus = consensusOf(fixture);
  const publisher = createPublisher(fixture, consensus);
  let { now } = fixture;
  const newCandidates = async (): Promise<Candidate[]> =>
    verifiedCandidates(await newDescriptors(inputs), consensus, fixture.now);
  let last = await publisher.publish(await newCandidates(), now);
  checkSame(last, await peer.publish());
  for (let count = 0; count < warmUps; count++) last = await publisher.publish(await newCandidates(), now);
  const descriptorBytes = last.descriptors[0]?.texts[0]?.length ?? 0;

  const samples = { changed: [] as Sample[], unchanged: [] as Sample[], newHour: [] as Sample[], bare: [] as Sample[] };
  const peerSamples: PeerPublish[] = [];
  for (let round = 0; round < rounds; round++) {
    for (let count = 0; count < oursPerRound; count++) {
      const candidates = await newCandidates();
      now += secondsBetween;
      samples.changed.push((await measure(() => publisher.publish(candidates, now))).sample);
      now += secondsBetween;
      samples.unchanged.push((await measure(() => publisher.publish(candidates, now))).sample);
      samples.bare.push((await measure(() => signBare(descriptorBytes))).sample);
    }
    peerSamples.push(await peer.publish());
    const candidates = await newCandidates();
    now = (Math.floor(now / hourSeconds) + 1) * hourSeconds;
    samples.newHour.push((await measure(() => publisher.publish(candidates, now))).sample);
  }
  return {
    changed: medianOf(samples.changed),
    unchanged: medianOf(samples.unchanged),
    newHour: medianOf(samples.newHour),
    bare: medianOf(samples.bare),
    peer: medianOf(peerSamples),
    peerRest: medianOf(
      peerSamples.map(({ cpuMs, wallMs, counters }) => ({
        cpuMs: cpuMs - counters.cpuMs,
        wallMs: wallMs - counters.wallMs,
      })),
    ),
  };
}

/** First publishes, each of a process of its own, ours and OnionBalance's in turn. */
async function measureCold(fixturePath: string, rounds: number): Promise<{ ours: Sample; peer: Sample }> {
  const ours: Sample[] = [];
  const peers: Sample[] = [];
  for (let round = 0; round < rounds; round++) {
    const { stdout } = await run(process.execPath, [coldProgram, fixturePath]);
    ours.push(JSON.parse(stdout) as Sample);
    const peer = await startPeer(fixturePath);
    peers.push(await peer.publish());
    peer.stop();
  }
  return { ours: medianOf(ours), peer: medianOf(peers) };
}

export async function benchPublish(options: Options): Promise<Row[]> {
  const warm = await measureWarm(options);
  const cold = await measureCold(options.fixturePath, options.rounds);
  return [
    { what: 'publish, warm', ours: warm.changed, peer: warm.peer, as: 'faster', goal: 20 },
    { what: 'publish, cold', ours: cold.ours, peer: cold.peer, as: 'faster', goal: 8 },
    {
      what: `publish, warm, against its ${publishSignatures} bare signatures`,
      ours: warm.changed,
      peer: warm.bare,
      as: 'cost',
      goal: 2.5,
    },
    {
      what: 'publish, warm, OnionBalance without its revision counters',
      ours: warm.changed,
      peer: warm.peerRest,
      as: 'faster',
    },
    { what: 'publish, warm, unchanged introduction points', ours: warm.unchanged, peer: warm.peer, as: 'faster' },
    { what: 'publish, warm, first of an hour', ours: warm.newHour, peer: warm.peer, as: 'faster' },
  ];
}
