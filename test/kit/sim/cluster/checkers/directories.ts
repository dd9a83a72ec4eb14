/**
 * I3: no older descriptor replaces a newer one, and who stood still publishes nothing when it goes on after another has.
 * I4: no descriptor has no introduction point, or one that does not open; nobody drops what is well on suspicion alone.
 */
import type { SeenUpload } from '../directories.ts';
import type { Daemon } from '../node.ts';
import type { SimulatedNode } from '../world.ts';
import type { MakeChecker } from './checker.ts';

/** The introduction points of a node that is not heard are held at least so long: mesh.suspicion_ms and hold_ms. */
const holdMs = 8_000;
/** A head that was well for so long has been published. */
const settledMs = 90_000;
/** Where who has been replaced may not hear of it. */
const deafening: ReadonlySet<string> = new Set(['partition', 'oneWay', 'staleQueue', 'outage', 'clone']);
/** A tor keeps what it is given meanwhile. */
const holding: ReadonlySet<string> = new Set(['torOffline', 'torHang']);
const soonMs = 30_000;
/** A tor sends on what it was given before. */
const inTorMs = 2_000;
/** The longest that an upload is on its way: the embedded network's directoryMs, and the control port before it. */
const onItsWayMs = 150;

export const checkDirectories: MakeChecker = ({ world, storm, broken }) => {
  const newest = new Map<string, SeenUpload>();
  const highest: { atMs: number; epoch: number }[] = [];
  /** When each did not believe itself publisher, last. */
  const lost = new WeakMap<Daemon, number>();
  /** Since when each has known of which epoch. */
  const known = new WeakMap<Daemon, { atMs: number; epoch: number | undefined }[]>();
  const owner = (point: string): string | undefined => world.observations.owners.get(point);

  const isWell = (node: SimulatedNode): boolean =>
    node.daemon?.running === true &&
    world.nowMs - node.changedAtMs > settledMs &&
    !storm.disturbed(settledMs) &&
    node.daemon.mesh
      .records('heads')
      .some((record) => record.node === node.id && (record.value as unknown[]).length > 0);

  /** What was well all the time belongs into the descriptor. */
  const nobodyDropped = (upload: SeenUpload, points: readonly string[]): void => {
    const there = new Set(points.map(owner));
    const publisher = upload.sealed?.node;
    for (const node of world.nodes) {
      if (there.has(node.id) || !isWell(node)) continue;
      broken(
        'I4',
        `${node.name} is well, and ${world.node(publisher ?? '')?.name} publishes without its introduction points`,
      );
    }
  };

  /** How long a node has not heard another: where the last words of that one were lost, for longer than it says nothing. */
  const unheardMs = ({ daemon, parts }: SimulatedNode, other: SimulatedNode): number => {
    const heardAtMs = daemon?.mesh.members().find(({ node }) => node === other.id)?.heardAtMs;
    return heardAtMs === undefined ? 0 : world.nowMs + parts.machine.monotonicOffsetMs - heardAtMs;
  };

  /** Of a node that has just fallen silent the introduction points stay. */
  const held = (upload: SeenUpload, before: SeenUpload | undefined, points: readonly string[]): void => {
    if (before?.introPoints === undefined || before.sealed?.node !== upload.sealed?.node) return;
    const there = new Set(points.map(owner));
    const publisher = world.node(upload.sealed?.node ?? '');
    for (const node of world.nodes) {
      const { tor } = node.parts;
      if (there.has(node.id) || !before.introPoints.some((point) => owner(point) === node.id)) continue;
      const silent = node.daemon === undefined || node.daemon.life.state === 'paused';
      if (!silent || !tor.running || world.nowMs - node.changedAtMs > holdMs) continue;
      if (publisher !== undefined && unheardMs(publisher, node) > holdMs) continue;
      if (
        storm.disturbances.some(
          ({ kind, nodes, untilMs }) =>
            nodes.includes(node.name) && kind !== 'crash' && kind !== 'pause' && untilMs >= world.nowMs - 2 * settledMs,
        )
      )
        continue;
      broken(
        'I4',
        `${node.name} is silent for ${Math.round(world.nowMs - node.changedAtMs)} ms, its tor is well, and its introduction points are gone`,
      );
    }
  };

  /** A tor without a network keeps what it is given, and sends it when it has one; one that hangs reads it when it goes on. */
  const wasHeld = ({ sealed, atMs }: SeenUpload): boolean => {
    const name = world.node(sealed?.node ?? '')?.name ?? '';
    return storm.disturbances.some(
      ({ kind, nodes, untilMs }) =>
        holding.has(kind) && nodes.includes(name) && untilMs <= atMs && atMs < untilMs + inTorMs,
    );
  };

  /** Who stood still and was replaced meanwhile sends nothing of its old term when it goes on. */
  const stale = (upload: SeenUpload): void => {
    const { sealed } = upload;
    const { name, daemon } = world.node(sealed?.node ?? '') ?? {};
    const still = daemon?.life.stoodStill;
    if (sealed === undefined || daemon === undefined || still === undefined) return;
    const replaced = highest.find(({ epoch }) => epoch > (sealed.claimed ?? upload.epoch));
    if (
      replaced === undefined ||
      replaced.atMs > still.toMs ||
      upload.atMs < Math.max(still.toMs, still.fromMs + inTorMs)
    )
      return;
    if (sealed.sealedAtMs < still.fromMs && wasHeld(upload)) return;
    // What it seals, or goes on with, when it was elected again it may send in good faith while it cannot hear who replaced it, or nobody is there who could tell.
    const isKnown = world
      .awake()
      .some(({ id, daemon: other }) => id !== sealed.node && (other?.election.epoch ?? 0) >= replaced.epoch);
    const deaf =
      !isKnown || storm.disturbances.some(({ kind, untilMs }) => deafening.has(kind) && untilMs > still.toMs - inTorMs);
    const isAnew = sealed.sealedAtMs > still.fromMs || (lost.get(daemon) ?? -Infinity) > still.toMs;
    if (isAnew && (deaf || upload.atMs > still.toMs + soonMs)) return;
    const when = sealed.sealedAtMs > still.fromMs ? 'seals' : 'sends';
    broken(
      'I3',
      `${name} stood still, was replaced in epoch ${replaced.epoch}, and ${when} a descriptor of epoch ${sealed.claimed}`,
    );
  };

  /** The epoch that a node knew of when what arrives now from it was on its way at the latest. */
  const epochThen = (daemon: Daemon | undefined): number | undefined => {
    const then = daemon && known.get(daemon)?.findLast(({ atMs }) => atMs <= world.nowMs - onItsWayMs);
    return then === undefined ? daemon?.election.epoch : then.epoch;
  };

  /**
   * The publisher knew of no term as late as that of `before`: it has just joined or has lost its memory, and hears nobody; or
   * another came to its own epoch on the other side of a cut.
   */
  const ignorant = ({ sealed }: SeenUpload, before: SeenUpload | undefined): boolean => {
    const epoch = epochThen(world.node(sealed?.node ?? '')?.daemon);
    if (before === undefined || epoch === undefined || epoch > before.epoch) return false;
    return epoch < before.epoch || before.sealed?.node !== sealed?.node;
  };

  return {
    sample: () => {
      for (const { daemon } of world.awake()) {
        if (daemon === undefined) continue;
        const { elected, epoch } = daemon.election;
        if (!elected) lost.set(daemon, world.nowMs);
        const terms = known.get(daemon) ?? [];
        if (terms.length === 0 || terms.at(-1)?.epoch !== epoch) terms.push({ atMs: world.nowMs, epoch });
        known.set(daemon, terms);
      }
    },
    upload: (upload) => {
      const place = `${upload.hsdir} ${upload.blindedKey}`;
      const before = newest.get(place);
      if (upload.accepted) {
        // What an HSDir has forgotten it may be sent again; and by who has heard of nothing later, or by its tor, which was given it long ago, anything.
        const again =
          upload.alone && (upload.revision === before?.revision || ignorant(upload, before) || wasHeld(upload));
        if (before !== undefined && !again) {
          if (upload.revision <= before.revision || upload.epoch < before.epoch) {
            broken(
              'I3',
              `revision ${upload.revision} (epoch ${upload.epoch}) replaces ${before.revision} (epoch ${before.epoch})`,
            );
          }
          const claimed = upload.sealed?.claimed;
          const other = before.sealed?.claimed;
          if (claimed !== undefined && other !== undefined && claimed < other) {
            broken(
              'I3',
              `a descriptor of a node that claims epoch ${claimed} replaces one of a node that claims ${other}`,
            );
          }
        }
        newest.set(place, upload);
        const last = highest.at(-1);
        if (last === undefined || upload.epoch > last.epoch) highest.push({ atMs: upload.atMs, epoch: upload.epoch });
        const { introPoints } = upload;
        if (introPoints === undefined) broken('I4', 'a descriptor that does not open is published');
        else if (introPoints.length === 0) broken('I4', 'a descriptor without introduction points is published');
        else {
          nobodyDropped(upload, introPoints);
          held(upload, before, introPoints);
        }
      }
      stale(upload);
    },
  };
};
