/**
 * Of a member that was removed. I6: who knows of it believes nothing of it any more, and publishes none of its introduction points.
 * I3: once told, it publishes nothing. I7: it gets neither a secret that was made since, nor, when it starts again, the master key.
 * I10: after the calm all know the same members, have the same secret, and the HSDirs have none of its introduction points.
 */
import { nodeIdOf } from '../../../../../core/engine/index.ts';
import { secretName } from '../../../../../plugins/identity/index.ts';
import type { SeenUpload } from '../directories.ts';
import type { Daemon } from '../node.ts';
import type { SimulatedNode } from '../world.ts';
import { reportOnce, type MakeChecker } from './checker.ts';

const everySamples = 4;
const kinds = ['election', 'heads', 'live'] as const;
/** A dead node's heads are held as long (mesh.hold_ms); until then a removed one's may be, too, and a cycle takes its time. */
const shedMs = 10_000;
/** What a tor was given before, and what was on its way. */
const underwayMs = 3_000;

export const checkMembership: MakeChecker = ({ world, storm, broken }) => {
  const once = reportOnce(broken);
  /** Since when a node, in one life, knows that another was removed. */
  const known = new Map<string, number>();
  /** Of each secret of the cluster, who was known to be removed when it was first seen: it was made without them. */
  const madeWithout = new Map<string, ReadonlySet<string>>();
  /** Since when all that are alive have a secret that was made without the removed one. */
  const closedMs = new Map<SimulatedNode, number>();
  /** When a removed node's daemon was first seen with the master key. */
  const openedMs = new Map<Daemon, number>();
  const keyOf = (reader: SimulatedNode, removed: string): string => `${reader.name}/${reader.lives} ${removed}`;
  const knows = ({ daemon }: SimulatedNode, { id }: SimulatedNode): boolean =>
    daemon?.roster?.removed().includes(id) === true;
  let turn = 0;

  const believes = (reader: SimulatedNode, gone: SimulatedNode): void => {
    const mesh = reader.daemon?.mesh;
    if (mesh === undefined) return;
    if (mesh.members().some(({ node }) => node === gone.id))
      once('I6', `${reader.name} knows that ${gone.name} was removed, and takes it for a member`);
    for (const kind of kinds) {
      if (mesh.record(kind, gone.id) !== undefined)
        once('I6', `${reader.name} knows that ${gone.name} was removed, and believes its record ${kind}`);
    }
  };

  const isWithout = (daemon: Daemon, gone: SimulatedNode): boolean => {
    const newest = daemon.secrets?.current()[0];
    return newest !== undefined && madeWithout.get(secretName(newest))?.has(gone.id) === true;
  };

  const learns = (gone: SimulatedNode, daemon: Daemon): void => {
    if (daemon.secrets?.current().some((secret) => madeWithout.get(secretName(secret))?.has(gone.id)))
      once('I7', `${gone.name} was removed, and has a secret of the cluster that was made since`);
    const alive = world.nodes.flatMap((node) => node.daemon ?? []);
    if (alive.length === 0 || !alive.every((one) => one.running && isWithout(one, gone))) closedMs.delete(gone);
    else if (!closedMs.has(gone)) closedMs.set(gone, world.nowMs);
    if (!daemon.signer.ready || openedMs.has(daemon)) return;
    openedMs.set(daemon, world.nowMs);
    if (world.nowMs - (closedMs.get(gone) ?? Infinity) > underwayMs)
      once('I7', `${gone.name} was removed, and was given the master key`);
  };

  const look = (gone: SimulatedNode): void => {
    for (const reader of [...world.nodes, gone]) {
      if (reader.daemon?.running !== true || !knows(reader, gone)) continue;
      const key = keyOf(reader, gone.id);
      if (!known.has(key)) known.set(key, world.nowMs);
      if (reader !== gone) believes(reader, gone);
    }
    if (gone.daemon?.running === true) learns(gone, gone.daemon);
  };

  const published = ({ sealed, introPoints = [] }: SeenUpload): void => {
    const publisher = sealed && world.node(sealed.node);
    if (sealed === undefined || publisher === undefined) return;
    for (const gone of world.former) {
      const sinceMs = known.get(keyOf(publisher, gone.id));
      if (sinceMs === undefined) continue;
      if (publisher === gone) {
        // A copy of its machine has the same name, and may not have been told.
        const copied = storm.disturbances.some(({ kind, nodes }) => kind === 'clone' && nodes.includes(gone.name));
        if (sealed.sealedAtMs > sinceMs + underwayMs && !copied)
          once('I3', `${gone.name} knows that it was removed, and publishes`);
      } else if (
        sealed.sealedAtMs > sinceMs + shedMs &&
        introPoints.some((point) => world.observations.owners.get(point) === gone.id)
      )
        once('I6', `${publisher.name} knows that ${gone.name} was removed, and publishes its introduction points`);
    }
  };

  return {
    daemon: (_node, { secrets, roster }) => {
      secrets?.onChange(() => {
        // The one before it was there when somebody was removed.
        const [newest] = secrets.current();
        const name = newest && secretName(newest);
        if (name !== undefined && !madeWithout.has(name)) madeWithout.set(name, new Set(roster?.removed()));
      });
    },
    upload: (upload) => {
      if (upload.accepted && world.former.length > 0) published(upload);
    },
    sample: () => {
      if (turn++ % everySamples !== 0) return;
      for (const gone of world.former) look(gone);
    },
    calm: () => {
      const members = world.nodes.map(({ id }) => id).sort();
      const secrets = new Set<string>();
      for (const { name, daemon } of world.nodes) {
        const admitted = daemon?.roster?.admitted().map(({ keys }) => nodeIdOf(keys.signing)) ?? [];
        if (admitted.sort().join() !== members.join())
          broken('I10', `${name} knows ${admitted.length} members after the calm, and there are ${members.length}`);
        const newest = daemon?.secrets?.current()[0];
        if (newest === undefined) continue;
        secrets.add(secretName(newest));
        for (const gone of world.former) {
          if (madeWithout.get(secretName(newest))?.has(gone.id) !== true)
            once('I7', `${gone.name} was removed, and knows the secret that ${name} uses after the calm`);
        }
      }
      if (secrets.size > 1) broken('I10', `${secrets.size} secrets of the cluster are in use after the calm`);
    },
  };
};
