/** The attackers that ship, by name. */
import type { AttackerDefinition } from '../attacker.ts';
import { insider, vanillaBots } from './bots.ts';
import { hybridCpu, poller, pulse, rendezvous, slowDrip, staticList } from './poller.ts';
import { harvester, hsdirPoll, observer, partition, steer } from './spies.ts';

const all = [
  staticList,
  poller,
  vanillaBots,
  harvester,
  insider,
  hsdirPoll,
  hybridCpu,
  slowDrip,
  pulse,
  steer,
  rendezvous,
  partition,
  observer,
] as unknown as readonly AttackerDefinition<object>[];

export const attackers: ReadonlyMap<string, AttackerDefinition<object>> = new Map(all.map((one) => [one.name, one]));
