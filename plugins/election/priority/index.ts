/**
 * election/priority: one node publishes, and stays publisher until it cannot. The rule is in rule.ts, pure; this plugin shows
 * it the mesh, keeps its memory, and does what it decides. Without a mesh the node is alone and publishes.
 *
 *   mesh, tor, results of cycles, time ─► look() ─► decide() ─► own record · election.json · leaderChanged · admit
 */
import * as v from 'valibot';
import { integer } from '../../../core/config/schema.ts';
import { definePlugin, electionContract, meshContract, torContract } from '../../../core/engine/index.ts';
import { isChimeraError } from '../../../core/errors.ts';
import { epochOfRevision } from '../../../core/onion/index.ts';
import type { CycleResult } from '../../../core/pipeline/index.ts';
import type { Timer } from '../../../core/runtime/index.ts';
import { watchAbility, type Ability } from './ability.ts';
import { readTerm, writeTerm, type Term } from './memory.ts';
import { decide, initialState, largestEpoch, overtakenBy, type Contender, type ElectionDecision } from './rule.ts';

const options = v.strictObject({
  /** Lower comes first. */
  priority: v.optional(integer(0, 1_000_000), 100),
  /** How long a publisher may be silent, and how long a node listens before it claims. */
  lease_ms: v.optional(integer(200, 600_000), 2_000),
  /** How much longer it may be silent before another takes over. */
  confirm_ms: v.optional(integer(0, 600_000), 800),
  /** How much longer each next one in order waits. */
  stagger_ms: v.optional(integer(0, 60_000), 500),
});

const name = 'election/priority';
const recordKind = 'election';
const epoch = v.nullable(integer(0, largestEpoch));
const contenderRecord = v.strictObject({
  priority: integer(0, 1_000_000),
  ready: v.boolean(),
  highest: epoch,
  claim: epoch,
});

/** The latest epoch of which a cycle met a descriptor. */
function seenEpoch({ error, confirmations }: CycleResult): number | undefined {
  const refused = isChimeraError(error, 'ONION_REVISION') ? error.details['seenEpoch'] : undefined;
  const found = confirmations.flatMap(({ revision }) => (revision === undefined ? [] : [epochOfRevision(revision)]));
  const all = refused === undefined ? found : [...found, refused];
  return all.length === 0 ? undefined : Math.min(largestEpoch, Math.max(...all));
}

export const electionPriority = definePlugin<v.InferOutput<typeof options>>({
  name,
  summary: 'The lowest priority number publishes, and stays until it cannot.',
  needs: [torContract],
  wants: [meshContract],
  gives: [electionContract],
  section: 'election',
  options,
  apply(host, { priority, lease_ms, confirm_ms, stagger_ms }) {
    const { clock, store } = host.runtime;
    const { node, log } = host;
    const mesh = host.want(meshContract);
    const alone = mesh === undefined;
    const settings = { leaseMs: lease_ms, confirmMs: confirm_ms, staggerMs: stagger_ms };
    const path = host.stateDirectory === undefined ? undefined : `${host.stateDirectory}/election.json`;
    let state = initialState({ nowMs: clock.monotonic(), settings });
    let decision: ElectionDecision | undefined;
    let ability: Ability | undefined;
    let timer: Timer | undefined;
    let stopped = false;
    /** What election.json holds, and the write that is under way. */
    let kept: Term | undefined;
    let writing: Promise<void> | undefined;
    let writeFailedAtMs: number | undefined;

    const contenders = (): Contender[] => {
      const heard = new Map(mesh?.members().map((member) => [member.node, member.heardAtMs]));
      return (mesh?.records(recordKind) ?? []).flatMap((record) => {
        const result = v.safeParse(contenderRecord, record.value);
        if (record.node === node || !result.success) return [];
        const { highest, claim, ...rest } = result.output;
        const heardAtMs = heard.get(record.node) ?? -Infinity;
        return [{ ...rest, node: record.node, highest: highest ?? undefined, claim: claim ?? undefined, heardAtMs }];
      });
    };

    /** A claim is made known, and used, only once it is on the disk: no restart may forget it. */
    const isKept = (): boolean =>
      path === undefined || (kept !== undefined && state.claim !== undefined && kept.highest >= state.claim);
    const elected = (): boolean => decision?.elected === true && isKept();
    const publisher = (): string | undefined =>
      decision?.publisher === node && !isKept() ? undefined : decision?.publisher;

    const keep = (): void => {
      const { highest } = state;
      if (path === undefined || highest === undefined || writing !== undefined) return;
      const term = { highest, own: state.claim === highest || state.resumable };
      if (kept?.highest === term.highest && kept.own === term.own) return;
      if (writeFailedAtMs !== undefined && clock.monotonic() - writeFailedAtMs < lease_ms) return;
      const write = async (): Promise<void> => {
        try {
          await writeTerm(store, path, node, term);
          kept = term;
          writeFailedAtMs = undefined;
        } catch (error) {
          writeFailedAtMs = clock.monotonic();
          log.error('the epoch cannot be kept, and this node does not publish', { error });
        }
        writing = undefined;
        look();
      };
      writing = write();
    };

    let told: readonly unknown[] = [];
    const tell = (): void => {
      const now = [publisher(), decision?.epoch, elected()];
      if (now.every((value, index) => value === told[index])) return;
      told = now;
      const { epoch: term = 0, why } = decision ?? {};
      log.info('the publisher changed', { publisher: publisher(), epoch: term, elected: elected(), why });
      mesh?.lead(elected());
      host.signal('leaderChanged', { node: publisher(), epoch: term });
    };

    const look = (): void => {
      if (stopped || ability === undefined) return;
      timer?.cancel();
      const able = ability.able && writeFailedAtMs === undefined;
      const self = { node, priority, able };
      decision = decide(state, { nowMs: clock.monotonic(), self, others: contenders(), alone }, settings);
      state = decision.state;
      timer = clock.after(decision.nextMs, look);
      keep();
      if (state.claim === undefined || isKept()) {
        const { highest = null, claim = null, readySinceMs } = state;
        mesh?.publish(recordKind, { priority, ready: readySinceMs !== undefined, highest, claim });
      }
      tell();
    };

    host.give(electionContract, {
      get publisher() {
        return publisher();
      },
      get epoch() {
        return decision?.epoch ?? 0;
      },
      get elected() {
        // Not after this node stood still: it looks first, and finds out.
        return elected() && (alone || clock.monotonic() - state.lookedAtMs <= lease_ms);
      },
    });

    const standby = (): string => {
      const who = publisher();
      return who === undefined || who === node ? (decision?.why ?? 'nobody is elected yet') : `${who} publishes`;
    };
    host.hooks.admit.tap(name, () => {
      look();
      return elected() ? undefined : { outcome: 'standby', why: standby() };
    });
    host.hooks.review.tap({ name, stage: -100 }, (context) => {
      look();
      if (elected() && decision?.epoch === context.epoch) return undefined;
      return { outcome: 'standby', why: `the term of epoch ${context.epoch} ended meanwhile: ${standby()}` };
    });
    host.hooks.settled.tap(name, (result) => {
      const seen = seenEpoch(result);
      if (seen !== undefined) {
        const missing = mesh?.members().some((member) => member.state !== 'alive') ?? false;
        const next = overtakenBy(state, seen, { nowMs: clock.monotonic(), missing, settings });
        if (next !== state) log.warn('a descriptor of a later epoch is out there', { epoch: seen });
        state = next;
      }
      ability?.settled(result);
    });

    host.hooks.start.tapPromise(name, async () => {
      if (path !== undefined) kept = await readTerm(store, path, node);
      const memory = kept === undefined ? {} : { highest: kept.highest, ownTerm: kept.own };
      state = initialState({ nowMs: clock.monotonic(), settings, ...memory });
      const tor = host.need(torContract).primary;
      ability = watchAbility({ tor, clock, leaseMs: lease_ms, changed: look });
      const unsubscribe = mesh?.onChange((change) => {
        const concerns = change.what === 'state' || change.kind === recordKind;
        if (change.node !== node && concerns) look();
      });
      host.defer(async () => {
        stopped = true;
        timer?.cancel();
        unsubscribe?.();
        ability?.close();
        await writing;
      });
      look();
      // Alone it is elected before the first cycle.
      await writing;
    });
  },
});
export default electionPriority;
