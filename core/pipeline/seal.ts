/**
 * The seal step: from merged introduction points to the two signed descriptors, with the HSDirs that each goes to.
 * Part of the safety kernel, no plugin can go around it; the signer alone is a plugin's.
 */
import {
  addressOfKey,
  blindedPublicKey,
  certificateExpiry,
  createMaterial,
  createRingCache,
  descriptorSlots,
  encodeDescriptor,
  renewMaterial,
  responsibleHsdirs,
  revisionCounter,
  subcredential,
  type DescriptorMaterial,
  type DescriptorSlot,
  type DescriptorSlots,
  type Relay,
  type ServiceFeatures,
} from '../onion/index.ts';
import type { Random } from '../runtime/index.ts';
import type { Candidate, Consensus, Merged, Sealed, SealedDescriptor } from './model.ts';
import type { RevisionMemory } from './revisions.ts';
import type { Signer } from './signer.ts';

export interface Placement {
  readonly slots: DescriptorSlots;
  readonly targets: Readonly<Record<'first' | 'second', SealedDescriptor['targets']>>;
  readonly blindedKeys: Readonly<Record<'first' | 'second', Uint8Array>>;
  /** Equal while the same HSDirs hold the same blinded keys. */
  readonly text: string;
}

export interface Sealer {
  /** Where the two descriptors belong, by this consensus; `sets` is the number of merged sets. */
  place(consensus: Consensus, sets: number): Placement;
  /** Signs and encrypts both descriptors. `now` in Unix seconds. */
  seal(options: {
    readonly merged: Merged;
    readonly placement: Placement;
    readonly consensus: Consensus;
    readonly epoch: number;
    readonly now: number;
    readonly clients: readonly Uint8Array[];
  }): Promise<{ readonly sealed: Sealed; readonly certificatesExpireAt: number }>;
  /** Takes note of a counter found at an HSDir for a blinded key, so that the next one is above it. */
  sawRevision(blindedKey: Uint8Array, revision: bigint): Promise<void>;
  /** Whether no counters above these have been used or seen since. */
  isLatest(sealed: Sealed): boolean;
}

/**
 * What all heads have in common: a feature is promised to clients only if every head keeps it. A flow-control increment
 * that the consensus has left would make clients refuse the whole descriptor.
 */
export function commonFeatures(candidates: readonly Candidate[], consensus: Consensus): ServiceFeatures {
  const features = candidates.map((candidate) => candidate.features);
  const first = features[0]?.flowControl;
  const flowControl =
    first !== undefined &&
    features.every(
      ({ flowControl }) =>
        flowControl?.versions === first.versions &&
        Math.abs(flowControl.sendmeIncrement - consensus.sendmeIncrement) <= 1,
    )
      ? { versions: first.versions, sendmeIncrement: consensus.sendmeIncrement }
      : undefined;
  return {
    ...(flowControl === undefined ? {} : { flowControl }),
    singleOnionService: features.length > 0 && features.every(({ singleOnionService }) => singleOnionService),
  };
}

export function createSealer(options: {
  readonly signer: Signer;
  readonly revisions: RevisionMemory;
  readonly random: Random;
}): Sealer {
  const { signer, revisions, random } = options;
  const address = addressOfKey(signer.publicKey);
  const ringOf = createRingCache();
  /** Kept for the life of a descriptor, as tor keeps them: signing key, ephemeral key, fake clients, certificates. */
  const materials = new Map<string, DescriptorMaterial>();
  const blinded = new Map<string, { publicKey: Uint8Array; subcredential: Uint8Array }>();
  const periodKey = ({ period }: DescriptorSlot): string => `${period.number}/${period.lengthMinutes}`;

  const keysOf = (slot: DescriptorSlot): { publicKey: Uint8Array; subcredential: Uint8Array } => {
    const key = periodKey(slot);
    let keys = blinded.get(key);
    if (keys === undefined) {
      const publicKey = blindedPublicKey(signer.publicKey, slot.period);
      keys = { publicKey, subcredential: subcredential(signer.publicKey, publicKey) };
      blinded.set(key, keys);
    }
    return keys;
  };

  const materialOf = async (slot: DescriptorSlot, set: number, now: number): Promise<DescriptorMaterial> => {
    const key = `${periodKey(slot)}/${set}`;
    const known = materials.get(key);
    // As fresh as tor's would be, to the hour that a certificate shows; the signer is asked once an hour at most.
    if (known !== undefined && known.expiresAt === certificateExpiry(now)) return known;
    const sign = (body: Uint8Array): Promise<Uint8Array> => signer.sign(slot.period, body);
    const material =
      known === undefined
        ? await createMaterial({ random, blindedPublicKey: keysOf(slot).publicKey, now, sign })
        : await renewMaterial(known, { now, sign });
    materials.set(key, material);
    return material;
  };

  const forget = (slots: DescriptorSlots): void => {
    const used = [periodKey(slots.first), periodKey(slots.second)];
    for (const key of blinded.keys()) if (!used.includes(key)) blinded.delete(key);
    for (const key of materials.keys()) if (!used.some((period) => key.startsWith(`${period}/`))) materials.delete(key);
  };

  return {
    place: (consensus, sets) => {
      const slots = descriptorSlots(consensus.times, consensus.rules, consensus.sharedRandom);
      forget(slots);
      const targetsOf = (slot: DescriptorSlot): SealedDescriptor['targets'] => {
        const ring = ringOf(consensus.hsdirs, slot.srv, slot.period);
        const { publicKey } = keysOf(slot);
        const responsible = (which: 'store' | 'fetch'): Relay[] =>
          responsibleHsdirs(ring, publicKey, slot.period, consensus.ringRules, which);
        // Where replicas share relays, what clients ask is not the beginning of what is stored to.
        const asked = responsible('fetch');
        let unasked = asked.length;
        return responsible('store').map((relay) => {
          const place = asked.indexOf(relay);
          return { relay, text: (place === -1 ? unasked++ : place) % sets, fetched: place !== -1 };
        });
      };
      const targets = { first: targetsOf(slots.first), second: targetsOf(slots.second) };
      const blindedKeys = { first: keysOf(slots.first).publicKey, second: keysOf(slots.second).publicKey };
      const text = [slots.first, slots.second]
        .map((slot) => [periodKey(slot), ...targets[slot.name].map(({ relay }) => relay.fingerprint)].join(' '))
        .join('\n');
      return { slots, targets, blindedKeys, text };
    },

    seal: async ({ merged, placement, consensus, epoch, now, clients }) => {
      let certificatesExpireAt = Infinity;
      const descriptors: SealedDescriptor[] = [];
      const features = commonFeatures(merged.sets.flat(), consensus);
      for (const slot of [placement.slots.first, placement.slots.second]) {
        const keys = keysOf(slot);
        const lastSeen = revisions.lastSeen(keys.publicKey);
        const revision = revisionCounter({
          key: await signer.revisionKey(slot.period),
          epoch,
          revisionStart: slot.revisionStart,
          now,
          ...(lastSeen === undefined ? {} : { lastSeen }),
        });
        const texts: string[] = [];
        for (const [index, set] of merged.sets.entries()) {
          const material = await materialOf(slot, index, now);
          certificatesExpireAt = Math.min(certificatesExpireAt, material.expiresAt);
          texts.push(
            encodeDescriptor(material, {
              subcredential: keys.subcredential,
              revision,
              introPoints: set.map(({ introPoint }) => introPoint),
              features,
              clients,
              now,
              random,
            }),
          );
        }
        descriptors.push({
          slot: slot.name,
          period: slot.period,
          blindedKey: keys.publicKey,
          revision,
          texts,
          targets: placement.targets[slot.name],
        });
      }
      await revisions.record(descriptors);
      return { sealed: { address, slots: placement.slots, descriptors }, certificatesExpireAt };
    },

    sawRevision: (blindedKey, revision) => revisions.record([{ blindedKey, revision }]),

    isLatest: ({ descriptors }) =>
      descriptors.every(({ blindedKey, revision }) => (revisions.lastSeen(blindedKey) ?? 0n) <= revision),
  };
}
