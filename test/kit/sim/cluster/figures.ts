/** What is measured in a run beside what is judged: takeovers, false ones, a dead head's time in the descriptor, traffic. */
import type { SeenUpload } from './directories.ts';
import type { Disturbance, Storm } from './storm.ts';
import type { SimulatedNode, World } from './world.ts';

export interface Figures {
  /** From a publisher's death to another's election, and to its first descriptor at an HSDir, milliseconds. Only where nothing else was wrong. */
  readonly takeoversMs: readonly number[];
  readonly publishedMs: readonly number[];
  /** Another node was elected though the publisher was well and heard by all. */
  readonly falseTakeovers: number;
  /** How long nothing was wrong, so that a false takeover would have been counted. */
  readonly quietHours: number;
  /** From a head's death to a descriptor without it, milliseconds. */
  readonly deadHeadsMs: readonly number[];
  /** Of the mesh, by each node each second. */
  readonly messagesPerSecond: number;
  readonly bytesPerSecond: number;
  readonly publications: number;
}

/** Everything must have been well for so long. */
const quietMs = 30_000;
/** Who was named the next publisher begins by then. */
const handOverMs = 15_000;

interface Death {
  readonly node: SimulatedNode;
  readonly atMs: number;
  readonly epoch: number | undefined;
  readonly power: boolean;
  disturbance: Disturbance | undefined;
  elected: boolean;
  published: boolean;
  gone: boolean;
}

export function measure(world: World, storm: Storm) {
  const takeoversMs: number[] = [];
  const publishedMs: number[] = [];
  const deadHeadsMs: number[] = [];
  const startedWith = { ...world.bus.sent };
  let falseTakeovers = 0;
  let quietForMs = 0;
  let sampledAtMs = world.nowMs;
  let publications = 0;
  let death: Death | undefined;
  let last: { readonly id: string; readonly epoch: number } | undefined;

  const publisher = (): SimulatedNode | undefined => world.awake().find(({ daemon }) => daemon?.election.elected);
  storm.onKill = (node, kind) => {
    death = undefined;
    if (storm.disturbed(quietMs) || storm.calmSinceMs !== undefined) return;
    const { daemon } = node;
    const epoch = daemon?.election.elected ? daemon.election.epoch : undefined;
    const power = kind === 'power';
    death = {
      node,
      atMs: world.nowMs,
      epoch,
      power,
      disturbance: undefined,
      elected: epoch === undefined,
      published: epoch === undefined,
      gone: !power,
    };
  };
  /** Forgets the death once something else is wrong, too. */
  const alone = (): Death | undefined => {
    if (death === undefined) return undefined;
    death.disturbance ??= storm.disturbances.at(-1);
    if (storm.disturbed(quietMs, death.disturbance) || death.disturbance?.untilMs !== Infinity) death = undefined;
    return death;
  };

  return {
    sample: (): void => {
      const known = alone();
      if (known !== undefined && !known.elected) {
        const next = publisher();
        if (next !== undefined && (next.daemon?.election.epoch ?? 0) > (known.epoch ?? 0)) {
          known.elected = true;
          takeoversMs.push(world.nowMs - known.atMs);
        }
      }
      const calmLongEnough = storm.calmSinceMs === undefined || world.nowMs - storm.calmSinceMs > quietMs;
      const quiet = calmLongEnough && !storm.disturbed(quietMs);
      if (quiet) quietForMs += world.nowMs - sampledAtMs;
      sampledAtMs = world.nowMs;
      const now = publisher();
      const epoch = now?.daemon?.election.epoch ?? 0;
      if (now === undefined) return;
      const namedAtMs = world.node(last?.id ?? '')?.named.get(now.id) ?? -Infinity;
      const handed = world.nowMs - namedAtMs < handOverMs;
      if (quiet && last !== undefined && now.id !== last.id && epoch > last.epoch && !handed) {
        falseTakeovers++;
        world.trace.line(`FALSE TAKEOVER: ${now.name} in epoch ${epoch}`);
      }
      last = { id: now.id, epoch };
    },
    upload: (upload: SeenUpload): void => {
      if (!upload.accepted) return;
      publications++;
      const known = alone();
      if (known === undefined) return;
      if (!known.published && upload.epoch > (known.epoch ?? 0)) {
        known.published = true;
        if (!known.elected) takeoversMs.push(world.nowMs - known.atMs);
        known.elected = true;
        publishedMs.push(world.nowMs - known.atMs);
      }
      if (!known.gone && upload.introPoints !== undefined) {
        const there = upload.introPoints.some((point) => world.observations.owners.get(point) === known.node.id);
        if (!there) {
          known.gone = true;
          deadHeadsMs.push(world.nowMs - known.atMs);
        }
      }
    },
    report: (durationMs: number): Figures => {
      const nodeSeconds = (durationMs / 1_000) * world.nodes.length;
      return {
        takeoversMs,
        publishedMs,
        falseTakeovers,
        quietHours: quietForMs / 3_600_000,
        deadHeadsMs,
        messagesPerSecond: (world.bus.sent.datagrams - startedWith.datagrams) / nodeSeconds,
        bytesPerSecond: (world.bus.sent.bytes - startedWith.bytes) / nodeSeconds,
        publications,
      };
    },
  };
}
