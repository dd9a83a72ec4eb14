/**
 * The faults that a simulated cluster meets, as one object: shares are probabilities of a datagram (0 to 1), `…EverySecs` mean
 * times between two faults of a kind in the whole cluster (0: never), `…Secs` mean durations. `drawFaults` makes a swarm: each
 * class is on or off by the seed, so that some runs have one class alone, and others nearly all together.
 */
import type { Random } from '../../../../core/runtime/random.ts';

export interface FaultOptions {
  /** Datagrams that are lost, arrive twice, or are held back for up to `reorderMs`. */
  readonly lossShare: number;
  readonly duplicateShare: number;
  readonly reorderShare: number;
  readonly reorderMs: number;
  /** From sending to arrival, at most. */
  readonly delayMs: number;
  /** The daemon dies; its tor goes on, and its heads with it. */
  readonly crashEverySecs: number;
  readonly crashSecs: number;
  /** The machine loses power: daemon and tor. */
  readonly powerEverySecs: number;
  readonly powerSecs: number;
  /** The daemon stands still, as by SIGSTOP. */
  readonly pauseEverySecs: number;
  readonly pauseSecs: number;
  /** The cluster falls into two that do not hear each other. */
  readonly partitionEverySecs: number;
  readonly partitionSecs: number;
  /** One node is not heard by some others, and hears them. */
  readonly oneWayEverySecs: number;
  readonly oneWaySecs: number;
  /** What one node sends is held back, and then arrives at once, in order, authentic and old. */
  readonly staleQueueEverySecs: number;
  readonly staleQueueSecs: number;
  /** The transport is gone for all (the Redis that carried everything). */
  readonly outageEverySecs: number;
  readonly outageSecs: number;
  /** A daemon's wall clock is set forward or back, by at most so much. */
  readonly clockJumpEverySecs: number;
  readonly clockJumpMaximumSecs: number;
  /** A burst of datagrams that nobody of the cluster has sent: noise, changed copies, replays. */
  readonly forgeryEverySecs: number;
  readonly forgeryBurst: number;
  /** A member says what it may not: records of another form, heads that are not its own, descriptors that are none. */
  readonly hostileMemberEverySecs: number;
  readonly hostileMemberSecs: number;
  /** How often a daemon that died finds one of its files cut or with a bit changed. */
  readonly damagedStateShare: number;
  readonly fullDiskEverySecs: number;
  readonly fullDiskSecs: number;
  readonly torRestartEverySecs: number;
  /** A tor that stands still: its control port takes commands and answers none. */
  readonly torHangEverySecs: number;
  readonly torHangSecs: number;
  /** HSDirs that reject, lose what they have, or are silent. */
  readonly hsdirEverySecs: number;
  readonly hsdirSecs: number;
  /** A second machine with the same keys and files. */
  readonly cloneEverySecs: number;
  readonly cloneSecs: number;
  /** The operator tells the publisher to step down, or stops and starts a daemon in order. */
  readonly operatorEverySecs: number;
  /** All machines lose power at once: nobody is left who has the master key in its memory. */
  readonly blackoutEverySecs: number;
  readonly blackoutSecs: number;
  /** A member is removed for good; another joins. */
  readonly membershipEverySecs: number;
  /** From the removal until the other one knocks. */
  readonly membershipSecs: number;
  /** A tor answers its controller, and has no network. */
  readonly torOfflineEverySecs: number;
  readonly torOfflineSecs: number;
}

export const noFaults: FaultOptions = {
  lossShare: 0,
  duplicateShare: 0,
  reorderShare: 0,
  reorderMs: 200,
  delayMs: 30,
  crashEverySecs: 0,
  crashSecs: 20,
  powerEverySecs: 0,
  powerSecs: 40,
  pauseEverySecs: 0,
  pauseSecs: 10,
  partitionEverySecs: 0,
  partitionSecs: 30,
  oneWayEverySecs: 0,
  oneWaySecs: 15,
  staleQueueEverySecs: 0,
  staleQueueSecs: 40,
  outageEverySecs: 0,
  outageSecs: 20,
  clockJumpEverySecs: 0,
  clockJumpMaximumSecs: 3_600,
  forgeryEverySecs: 0,
  forgeryBurst: 20,
  hostileMemberEverySecs: 0,
  hostileMemberSecs: 60,
  damagedStateShare: 0,
  fullDiskEverySecs: 0,
  fullDiskSecs: 20,
  torRestartEverySecs: 0,
  torHangEverySecs: 0,
  torHangSecs: 30,
  hsdirEverySecs: 0,
  hsdirSecs: 60,
  cloneEverySecs: 0,
  cloneSecs: 30,
  operatorEverySecs: 0,
  blackoutEverySecs: 0,
  blackoutSecs: 40,
  membershipEverySecs: 0,
  membershipSecs: 50,
  torOfflineEverySecs: 0,
  torOfflineSecs: 60,
};

/** What each class sets when it is on. `x` is a number from 0 to 1 that says how hard. A new one comes last: the others are drawn as before. */
const classes = {
  loss: (x: number) => ({ lossShare: 0.2 * x }),
  duplicate: (x: number) => ({ duplicateShare: 0.2 * x }),
  reorder: (x: number) => ({ reorderShare: 0.3 * x }),
  delay: (x: number) => ({ delayMs: 30 + 120 * x }),
  crash: (x: number) => ({ crashEverySecs: 600 - 400 * x }),
  power: (x: number) => ({ powerEverySecs: 700 - 400 * x }),
  pause: (x: number) => ({ pauseEverySecs: 500 - 300 * x, pauseSecs: 3 + 20 * x }),
  partition: (x: number) => ({ partitionEverySecs: 600 - 300 * x, partitionSecs: 10 + 50 * x }),
  oneWay: (x: number) => ({ oneWayEverySecs: 600 - 300 * x }),
  staleQueue: (x: number) => ({ staleQueueEverySecs: 600 - 300 * x, staleQueueSecs: 18 + 46 * x }),
  outage: (x: number) => ({ outageEverySecs: 1_200 - 600 * x }),
  clockJump: (x: number) => ({ clockJumpEverySecs: 500 - 300 * x }),
  forgery: (x: number) => ({ forgeryEverySecs: 60 - 40 * x }),
  hostileMember: (x: number) => ({ hostileMemberEverySecs: 600 - 300 * x }),
  damagedState: (x: number) => ({ damagedStateShare: 0.5 * x, crashEverySecs: 500 }),
  fullDisk: (x: number) => ({ fullDiskEverySecs: 600 - 300 * x }),
  torRestart: (x: number) => ({ torRestartEverySecs: 600 - 300 * x }),
  torHang: (x: number) => ({ torHangEverySecs: 800 - 400 * x }),
  hsdir: (x: number) => ({ hsdirEverySecs: 600 - 300 * x }),
  clone: (x: number) => ({ cloneEverySecs: 1_200 - 400 * x }),
  operator: (x: number) => ({ operatorEverySecs: 500 - 200 * x }),
  blackout: (x: number) => ({ blackoutEverySecs: 900 - 500 * x }),
  membership: (x: number) => ({ membershipEverySecs: 500 - 250 * x }),
  torOffline: (x: number) => ({ torOfflineEverySecs: 700 - 400 * x }),
} as const satisfies Record<string, (x: number) => Partial<FaultOptions>>;

export type FaultClass = keyof typeof classes;
export const faultClasses = Object.keys(classes) as readonly FaultClass[];

/** Switches each class of `among` on with probability one half, how hard by chance. */
export function drawFaults(
  random: Random,
  among: readonly FaultClass[] = faultClasses,
): { readonly on: readonly FaultClass[]; readonly faults: FaultOptions } {
  const drawn = among.map((name) => ({ name, on: random.float() < 0.5, hard: random.float() }));
  const on = drawn.filter((entry) => entry.on);
  const used = on.length > 0 ? on : drawn.slice(0, 1);
  let faults = noFaults;
  for (const { name, hard } of used) faults = { ...faults, ...classes[name](hard) };
  return { on: used.map(({ name }) => name), faults };
}

/**
 * The same faults, `times` as often. Removals of members do not come more often: who misses two of them has to join anew, as a
 * node that is cut off from a cluster where that happens would.
 */
export function denser(faults: FaultOptions, times: number): FaultOptions {
  const entries = Object.entries(faults).map(([name, value]: [string, number]) => {
    const isRate = name.endsWith('EverySecs') && name !== 'membershipEverySecs';
    return [name, isRate ? value / times : value];
  });
  return Object.fromEntries(entries) as FaultOptions;
}
