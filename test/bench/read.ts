/** Reading a backend's descriptor: parsed, verified and decrypted by us; parsed and decrypted by OnionBalance. */
import { openDescriptor } from '../../core/onion/index.ts';
import { usablePeriods } from '../../core/pipeline/verify.ts';
import type { SeededRandom } from '../kit/sim/seeded-random.ts';
import { consensusOf, createBackend, makeIntroPoints, type Backend, type Fixture } from './fixture.ts';
import type { Peer } from './peer.ts';
import { measure, medianOf, type Sample } from './sample.ts';
import { readVerifications, verifyBare } from './signatures.ts';
import type { Row } from './table.ts';

const introPointCount = 3;
const warmUps = 100;
const readsPerRound = 10;

export async function benchRead(options: {
  readonly fixture: Fixture;
  readonly reader: Backend;
  readonly random: SeededRandom;
  readonly peer: Peer;
  readonly rounds: number;
}): Promise<Row[]> {
  const { fixture, reader, random, peer, rounds } = options;
  const consensus = consensusOf(fixture);
  const periods = usablePeriods(consensus);
  const open = (backend: Backend, text: string): Promise<{ sample: Sample }> =>
    measure(() => openDescriptor(text, { address: backend.address, periods, now: fixture.now }));

  const known: Sample[] = [];
  const unknown: Sample[] = [];
  const peers: Sample[] = [];
  const bare: Sample[] = [];
  for (let count = 0; count < warmUps + rounds * readsPerRound; count++) {
    const text = await reader.descriptor(makeIntroPoints(introPointCount, random));
    known.push((await open(reader, text)).sample);
    peers.push(await peer.read(text));
    bare.push((await measure(verifyBare)).sample);
    if (count % readsPerRound !== 0) continue;
    const stranger = createBackend(random, consensus);
    unknown.push((await open(stranger, await stranger.descriptor(makeIntroPoints(introPointCount, random)))).sample);
  }
  const theirs = medianOf(peers.slice(warmUps));
  const ours = medianOf(known.slice(warmUps));
  return [
    { what: 'read, all of it new', ours, peer: theirs, goal: { timesTheCost: 1 } },
    {
      what: `read, against its ${readVerifications} bare verifications`,
      ours,
      peer: medianOf(bare.slice(warmUps)),
    },
    {
      what: 'read, first of an address in a time period',
      ours: medianOf(unknown.slice(warmUps / readsPerRound)),
      peer: theirs,
    },
  ];
}
