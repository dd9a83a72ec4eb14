/** Our side of the benchmark: `createSealer`, as the cycle calls it, with a signer that holds a key file as `signer/file` does. */
import {
  blindedKey,
  parseOnionAddress,
  parseSecretKeyFile,
  revisionKey,
  signBlinded,
  type BlindedKey,
  type TimePeriod,
} from '../../core/onion/index.ts';
import {
  createSealer,
  createVerifier,
  volatileRevisions,
  type Candidate,
  type Consensus,
  type Sealed,
  type Signer,
} from '../../core/pipeline/index.ts';
import { systemRandom } from '../../core/runtime/index.ts';
import { fromBase64, type Fixture } from './fixture.ts';

function keyFileSigner(secretKeyFile: Uint8Array): Signer {
  const master = parseSecretKeyFile(secretKeyFile);
  const blinded = new Map<string, BlindedKey>();
  const blindedFor = (period: TimePeriod): BlindedKey => {
    const name = `${period.number}/${period.lengthMinutes}`;
    const key = blinded.get(name) ?? blindedKey(master, period);
    blinded.set(name, key);
    return key;
  };
  return {
    publicKey: master.publicKey,
    sign: async (period, message) => signBlinded(blindedFor(period), message),
    revisionKey: async (period) => revisionKey(blindedFor(period)),
  };
}

/** The candidates in backends' descriptors, read and verified as the pipeline does. */
export function verifiedCandidates(backends: Fixture['backends'], consensus: Consensus, now: number): Candidate[] {
  const reports = backends.map(({ address, descriptor }, index) => ({
    head: `node/${index}`,
    node: 'node',
    address: parseOnionAddress(address),
    descriptor,
    provenance: 'service' as const,
    observedAt: now * 1000,
  }));
  const { heads, rejected } = createVerifier()(reports, consensus, now);
  for (const { error } of rejected) throw error;
  return heads.flatMap(({ candidates }) => candidates);
}

export interface Publisher {
  /** One publish: both descriptors, signed, and the HSDirs that they go to. `now` in Unix seconds. */
  publish(candidates: readonly Candidate[], now: number): Promise<Sealed>;
}

/** Loads the key; nothing else is derived yet. */
export function createPublisher(fixture: Fixture, consensus: Consensus): Publisher {
  const sealer = createSealer({
    signer: keyFileSigner(fromBase64(fixture.secretKeyFile)),
    revisions: volatileRevisions(),
    random: systemRandom,
  });
  return {
    publish: async (candidates, now) => {
      const placement = sealer.place(consensus, 1);
      const merged = { sets: [candidates] };
      return (await sealer.seal({ merged, placement, consensus, epoch: 0, now, clients: [] })).sealed;
    },
  };
}
