/** `chimera debug hsdirs`: which relays hold the two descriptors of an address, and which of them clients ask now. */
import {
  blindedPublicKey,
  buildRing,
  descriptorSlots,
  parseOnionAddress,
  publicKeyOf,
  responsibleHsdirsByReplica,
  type DescriptorSlot,
  type OnionAddress,
  type SlotName,
} from '../../../onion/index.ts';
import type { Consensus } from '../../../pipeline/index.ts';
import { formatTime } from '../../../runtime/index.ts';
import type { CommandContext, RegisterCommand } from '../../context.ts';
import { addExample, jsonOption } from '../../options.ts';
import { addControlOptions, withTor, type ControlOptions } from './control.ts';
import { hex } from './descriptor-view.ts';

export interface ResponsibleHsdir {
  readonly fingerprint: string;
  /** True when clients ask this one for the descriptor now. */
  readonly asked: boolean;
}

export interface DescriptorPlace {
  readonly slot: SlotName;
  readonly period: number;
  readonly periodLengthMinutes: number;
  readonly blindedKey: string;
  /** Hexadecimal. */
  readonly sharedRandom: string;
  /** True when the consensus has no value and the one of the specification stands in. */
  readonly disaster: boolean;
  readonly usedByClients: boolean;
  readonly replicas: readonly (readonly ResponsibleHsdir[])[];
}

/** Where the two descriptors of an address belong by a consensus. */
export function placesOf(address: OnionAddress, consensus: Consensus): DescriptorPlace[] {
  const { times, rules, ringRules, sharedRandom, hsdirs } = consensus;
  const slots = descriptorSlots(times, rules, sharedRandom);
  const placeOf = (slot: DescriptorSlot): DescriptorPlace => {
    const blinded = blindedPublicKey(publicKeyOf(address), slot.period);
    const ring = buildRing(hsdirs, slot.srv, slot.period);
    const usedByClients = slots.clientUses === slot.name;
    const fetched = new Set(
      responsibleHsdirsByReplica(ring, blinded, slot.period, ringRules, 'fetch')
        .flat()
        .map(({ fingerprint }) => fingerprint),
    );
    return {
      slot: slot.name,
      period: slot.period.number,
      periodLengthMinutes: slot.period.lengthMinutes,
      blindedKey: hex(blinded),
      sharedRandom: hex(slot.srv),
      disaster: (slot.name === 'first' ? sharedRandom.previous : sharedRandom.current) === undefined,
      usedByClients,
      replicas: responsibleHsdirsByReplica(ring, blinded, slot.period, ringRules, 'store').map((relays) =>
        relays.map(({ fingerprint }) => ({ fingerprint, asked: usedByClients && fetched.has(fingerprint) })),
      ),
    };
  };
  return [placeOf(slots.first), placeOf(slots.second)];
}

function print({ output }: CommandContext, consensus: Consensus, places: readonly DescriptorPlace[]): void {
  output.fields([
    ['consensus', `valid after ${formatTime(consensus.times.validAfter)}`],
    ['HSDirs in the ring', String(consensus.hsdirs.length)],
  ]);
  for (const place of places) {
    output.line();
    output.heading(`${place.slot}${place.usedByClients ? ' (the one that clients fetch now)' : ''}`);
    output.fields(
      [
        ['time period', `${place.period} of ${place.periodLengthMinutes} min`],
        ['blinded key', place.blindedKey],
        ['shared random', `${place.sharedRandom}${place.disaster ? ' (stands in: the consensus has none)' : ''}`],
      ],
      2,
    );
    place.replicas.forEach((relays, index) => {
      output.line(`  replica ${index + 1}`);
      for (const { fingerprint, asked } of relays) {
        output.line(`    ${fingerprint}${asked ? output.good('  clients ask it now') : ''}`);
      }
    });
  }
}

export const registerHsdirs: RegisterCommand = (group, context) => {
  const command = group
    .command('hsdirs')
    .description('list the HSDirs that hold the two descriptors of an address, by the consensus of a tor')
    .requiredOption('--address <address>', 'the .onion address', parseOnionAddress)
    .addOption(jsonOption());
  addControlOptions(command, 10);
  command.action(async (options: ControlOptions & { readonly address: OnionAddress; readonly json?: true }) => {
    const { address, json } = options;
    const consensus = await withTor(context, options, (tor) => tor.consensus());
    const places = placesOf(address, consensus);
    if (!json) {
      print(context, consensus, places);
      return;
    }
    context.output.json({
      address: `${address}.onion`,
      validAfter: consensus.times.validAfter,
      hsdirs: consensus.hsdirs.length,
      descriptors: places,
    });
  });
  addExample(command, 'chimera debug hsdirs --address duckduckgogg42xjoc72x3sjasowoarfbgcmvfimaftt6twagswzczad.onion');
};
