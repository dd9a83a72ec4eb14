/**
 * I1: the highest epoch wins everywhere in a component, and lower ones step down. I2: a component that has been stable for 5 s
 * has at most one node that believes itself publisher. I10: and after 20 s one, or if there was one since then, after 5 s without
 * it another, if some node could publish, and none waits as it should (waiting.ts); and who hears a member that has the master
 * key has it after a minute.
 */
import { components } from '../components.ts';
import { claimOf } from '../observe.ts';
import { isHanding, type SimulatedNode } from '../world.ts';
import { isTorWell, reportOnce, type MakeChecker } from './checker.ts';
import { watchWaiting } from './waiting.ts';

const stableMs = 5_000;
const vacantMs = 20_000;
/** A publisher whose tor hangs steps down when it notices, long after the change: from then on it is a takeover. */
const takeoverMs = 5_000;
/** A few rounds of asking, of which some are lost. */
const lockedMs = 60_000;

export const checkEpochs: MakeChecker = ({ world, storm, broken }) => {
  const waiting = watchWaiting({ world });
  const once = reportOnce(broken);
  /** When each node was last seen elected. */
  const lastElectedMs = new Map<string, number>();
  /** Of each node, the latest epoch that it knew in this life. */
  const lastEpoch = new Map<string, { readonly life: number; readonly epoch: number }>();
  /** What each node has known over all its lives, and the term that it began last. */
  const known = new Map<
    string,
    { readonly life: number; readonly highest: number; readonly claim: number | undefined }
  >();
  const begun = (name: string, life: number, claim: number | undefined, epoch: number): void => {
    const before = known.get(name);
    const forgotten = (): boolean =>
      storm.disturbances.some(({ kind, nodes }) => kind === 'clone' || (kind === 'damage' && nodes.includes(name)));
    const again = claim !== undefined && before !== undefined && claim !== before.claim && claim < before.highest;
    if (again && !forgotten()) {
      once('I1', `${name} begins epoch ${claim}, and knew of epoch ${before.highest} before`);
    }
    known.set(name, { life, highest: Math.max(epoch, before?.highest ?? -1), claim: claim ?? before?.claim });
  };
  /** Who can hear somebody that has the key has it itself after a while. */
  const locked = (nodes: readonly SimulatedNode[], sinceMs: number): void => {
    if (world.nowMs - sinceMs <= lockedMs || !nodes.some(({ daemon }) => daemon?.signer.ready)) return;
    for (const { name, daemon } of nodes) {
      if (daemon?.signer.ready === false)
        once('I10', `${name} has no master key after ${lockedMs / 1_000} s among members that have it`);
    }
  };
  /** Something is wrong with the node itself, or was just now. */
  const hurt = (name: string): boolean =>
    storm.disturbances.some(({ nodes, untilMs }) => nodes.includes(name) && untilMs > world.nowMs - vacantMs);
  return {
    upload: waiting.upload,
    result: waiting.result,
    sample: () => {
      waiting.sample();
      for (const { name, lives, daemon } of world.awake()) {
        const epoch = daemon?.election.epoch ?? 0;
        const before = lastEpoch.get(name);
        if (before?.life === lives && epoch < before.epoch) {
          once('I1', `${name} goes back from epoch ${before.epoch} to ${epoch}`);
        }
        lastEpoch.set(name, { life: lives, epoch });
        if (daemon?.election.elected === true) lastElectedMs.set(name, world.nowMs);
        begun(name, lives, claimOf(daemon?.mesh, daemon?.engine.node ?? ''), epoch);
      }
      // A copied machine answers to the same name: which of the two is heard is not defined.
      if (storm.disturbances.some(({ kind, untilMs }) => kind === 'clone' && untilMs >= world.nowMs - 2 * stableMs))
        return;
      for (const { nodes, sinceMs } of components(world)) {
        if (world.nowMs - sinceMs < stableMs) continue;
        const elected = nodes.filter(({ daemon }) => daemon?.election.elected);
        const text = (): string =>
          elected.map(({ name, daemon }) => `${name} (epoch ${daemon?.election.epoch})`).join(' and ');
        // Who names another goes on until that one has begun.
        const handing = isHanding(nodes, world.nowMs);
        if (elected.length > 1 && !handing) once('I2', `${text()} believe themselves publisher in one component`);
        const leftMs = Math.max(-Infinity, ...nodes.map(({ name }) => lastElectedMs.get(name) ?? -Infinity));
        const vacant = world.nowMs - sinceMs > vacantMs && world.nowMs - leftMs > takeoverMs;
        if (elected.length === 0 && vacant && !nodes.some(waiting.waits)) {
          const able = nodes.filter(
            (node) =>
              isTorWell(node) && node.daemon?.signer.ready === true && !hurt(node.name) && !waiting.hasFailed(node),
          );
          if (able.length > 0) {
            const names = able.map(({ name }) => name).join(' ');
            once('I10', `nobody publishes, and ${names} could for ${vacantMs / 1_000} s`);
          }
        }
        locked(nodes, sinceMs);
        const highest = Math.max(...nodes.map(({ daemon }) => daemon?.election.epoch ?? 0));
        const lower = elected.filter(({ daemon }) => (daemon?.election.epoch ?? 0) < highest);
        if (lower.length > 0 && !handing)
          once('I1', `${text()} publish, and epoch ${highest} is known in their component`);
      }
    },
  };
};
