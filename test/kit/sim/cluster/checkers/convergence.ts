/**
 * I10: some time after the last fault one node publishes, all know it and have the master key, the highest epoch is everywhere, and the HSDirs that
 * clients ask have a descriptor of that epoch with every node's introduction points. I12: also when the transport was gone for all.
 */
import type { CycleResult } from '../../../../../core/pipeline/index.ts';
import type { Directories } from '../directories.ts';
import type { CheckerContext, Checker } from './checker.ts';

export function checkConvergence({ world, storm, broken }: CheckerContext, { held, forgetful }: Directories): Checker {
  /** Where clients look for the descriptor, by the last publication. */
  let current: { readonly blindedKey: string; readonly asked: readonly string[] } | undefined;
  const note = ({ sealed }: CycleResult): void => {
    if (sealed === undefined) return;
    const descriptor = sealed.descriptors.find(({ slot }) => slot === sealed.slots.clientUses);
    if (descriptor === undefined) return;
    const asked = descriptor.targets.flatMap(({ relay, fetched }) => (fetched ? [relay.fingerprint] : []));
    current = { blindedKey: Buffer.from(descriptor.blindedKey).toString('hex'), asked };
  };
  let outages = 0;
  return {
    result: (_node, result) => note(result),
    calm: () => {
      const after = storm.disturbances.filter(({ kind }) => kind === 'outage').length;
      const invariant = after > outages ? 'I10, I12' : 'I10';
      outages = after;
      const asleep = world.nodes.filter(({ daemon }) => daemon?.running !== true).map(({ name }) => name);
      if (asleep.length > 0) broken(invariant, `${asleep.join(' ')} did not come back`);
      const locked = world.nodes.filter(({ daemon }) => daemon?.signer.ready !== true).map(({ name }) => name);
      if (locked.length > 0) broken(invariant, `${locked.join(' ')} have no master key after the calm`);
      const elected = world.nodes.filter(({ daemon }) => daemon?.election.elected);
      const [one, ...more] = elected;
      if (one === undefined || more.length > 0) {
        broken(invariant, `${elected.map(({ name }) => name).join(' and ') || 'nobody'} publish after the calm`);
        return;
      }
      const epoch = one.daemon?.election.epoch ?? -1;
      for (const { name, daemon } of world.nodes) {
        if (daemon?.election.publisher !== one.id || daemon.election.epoch !== epoch) {
          broken(invariant, `${name} does not know that ${one.name} publishes in epoch ${epoch}`);
        }
      }
      const asked = current?.asked ?? [];
      const remembering = asked.filter((hsdir) => !forgetful.has(hsdir));
      if (current !== undefined && remembering.length === 0) broken(invariant, 'no HSDir has the descriptor');
      for (const hsdir of remembering) {
        const upload = held.get(`${hsdir} ${current?.blindedKey}`);
        if (upload?.epoch !== epoch) {
          broken(
            invariant,
            `HSDir ${hsdir.slice(0, 8)} has epoch ${upload?.epoch}, and ${one.name} publishes in epoch ${epoch}`,
          );
          continue;
        }
        const there = new Set(upload.introPoints?.map((point) => world.observations.owners.get(point)));
        const gone = world.former.filter(({ id }) => there.has(id)).map(({ name }) => name);
        if (gone.length > 0)
          broken(invariant, `the descriptor has ${gone.join(' ')} after the calm, which was removed`);
        const missing = world.nodes.filter(({ id }) => !there.has(id)).map(({ name }) => name);
        if (missing.length > 0) broken(invariant, `the descriptor lacks ${missing.join(' ')} after the calm`);
      }
      if (current === undefined) broken(invariant, 'nothing was published');
    },
  };
}
