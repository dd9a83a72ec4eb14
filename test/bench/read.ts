/** Reading a backend's descriptor: parsed, verified and decrypted by us; parsed and decrypted by OnionBalance. */
import { openDescriptor, type IntroPoint } from '../../core/onion/index.ts';
import { usablePeriods } from '../../core/pipeline/verify.ts';
import { consensusOf, createBackend, makeIntroPoints, type Backend, type Inputs } from './fixture.ts';
import type { Peer } from './peer.ts';
import { measure, medianOf, type Sample } from './sample.ts';
import { readVerifications, verifyBare } from './signatures.ts';
import type { Row } from './table.ts';

const introPointCount = 3;
const warmUps = 100;
const readsPerRound = 10;

export async function benchRead(options: {
  readonly inputs: Inputs;
  readonly peer: Peer;
  readonly rounds: number;
}): Promise<Row[]> {
  const { inputs, peer, rounds } = options;
  const { fixture, reader, random } = inputs;
  const consensus = consensusOf(fixture);
  const periods = usablePeriods(consensus);
  const open = async (backend: Backend, text: string): Promise<Sample> =>
    (await measure(() => openDescriptor(text, { address: backend.address, periods, now: fixture.now }))).sample;
  const newPoints = (): IntroPoint[] => makeIntroPoints(introPointCount, random);

  const samples = {
    update: [] as Sample[],
    rekeyed: [] as Sample[],
    first: [] as Sample[],
    peer: [] as Sample[],
    bare: [] as Sample[],
  };
  for (let count = 0; count < warmUps + rounds * readsPerRound; count++) {
    const [before, after] = await reader.twoDescriptors(newPoints());
    samples.rekeyed.push(await open(reader, before));
    samples.update.push(await open(reader, after));
    samples.peer.push(await peer.read(before));
    samples.bare.push((await measure(verifyBare)).sample);
    if (count % readsPerRound !== 0) continue;
    const stranger = createBackend(random, consensus);
    samples.first.push(await open(stranger, await stranger.descriptor(newPoints())));
  }
  const warmed = (of: readonly Sample[]): Sample => medianOf(of.slice(warmUps));
  const theirs = warmed(samples.peer);
  return [
    { what: 'read, all keys new', ours: warmed(samples.rekeyed), peer: theirs, as: 'cost', goal: 1 },
    { what: 'read, an update', ours: warmed(samples.update), peer: theirs, as: 'cost', goal: 1 },
    {
      what: `read, all keys new, against its ${readVerifications} bare verifications`,
      ours: warmed(samples.rekeyed),
      peer: warmed(samples.bare),
      as: 'cost',
    },
    {
      what: 'read, first of a service in a time period',
      ours: medianOf(samples.first.slice(warmUps / readsPerRound)),
      peer: theirs,
      as: 'cost',
    },
  ];
}
