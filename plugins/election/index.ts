/**
 * election: what all elections have in common. One node publishes, and stays publisher until it cannot. `electionPlugin` makes
 * a plugin of an order; see priority/, uptime/, highest-id/ and time-hash/. The rule is in rule.ts, pure; this plugin shows it
 * the mesh, keeps its memory, and does what it decides. Without a mesh the node is alone and publishes.
 *
 *   mesh, tor, results of cycles, time ─► look() ─► decide() ─► own record · election.json · leaderChanged · admit
 */
import * as v from 'valibot';
import { integer } from '../../core/config/schema.ts';
import {
  adminContract,
  definePlugin,
  electionContract,
  meshContract,
  signerContract,
  torContract,
  type Host,
  type Plugin,
} from '../../core/engine/index.ts';
import { ChimeraError, isChimeraError } from '../../core/errors.ts';
import { epochOfRevision } from '../../core/onion/index.ts';
import type { CycleResult } from '../../core/pipeline/index.ts';
import type { Timer } from '../../core/runtime/index.ts';
import { watchAbility, type Ability } from './ability.ts';
import { createTermMemory, termPath } from './memory.ts';
import { offerToOperator } from './operator.ts';
import type { ElectionOrder } from './order.ts';
import { contendersOf, recordKind, recordOf } from './record.ts';
import { decide, type ElectionDecision } from './rule.ts';
import { initialState, largestEpoch, overtakenBy, type ElectionSettings } from './state.ts';

export type { ElectionOrder, Ranked } from './order.ts';
export { keepEpoch, termPath } from './memory.ts';
export { decide } from './rule.ts';
export type { ElectionDecision, ElectionInput } from './rule.ts';
export { initialState, largestEpoch, overtakenBy } from './state.ts';
export type { Contender, ElectionSettings, ElectionState } from './state.ts';

const familyOptions = {
  /** How long a publisher may be silent, and how long a node listens before it claims. */
  lease_ms: v.optional(integer(200, 600_000), 2_000),
  /** How much longer it may be silent before another takes over. */
  confirm_ms: v.optional(integer(0, 600_000), 800),
  /** How much longer each next one in order waits. */
  stagger_ms: v.optional(integer(0, 60_000), 500),
  /** How long a publisher may be heard without a cycle that succeeds. */
  publish_lease_ms: v.optional(integer(3_000, 3_600_000), 180_000),
};
export type FamilyOptions = v.InferOutput<v.StrictObjectSchema<typeof familyOptions, undefined>>;

/** With more nodes than this changes may wait for each other for so long. */
const many = 32;
const manyMs = 200;
/** How long a node that is asked to step down looks for a successor. */
const stepDownMs = 15_000;

/** The latest epoch of which a cycle met a descriptor. */
function seenEpoch({ error, confirmations }: CycleResult): number | undefined {
  const refused = isChimeraError(error, 'ONION_REVISION') ? error.details['seenEpoch'] : undefined;
  const found = confirmations.flatMap(({ revision }) => (revision === undefined ? [] : [epochOfRevision(revision)]));
  const all = refused === undefined ? found : [...found, refused];
  return all.length === 0 ? undefined : Math.min(largestEpoch, Math.max(...all));
}

/**
 * Makes an election plugin. `entries` are valibot schemas of options beside the family's, all in the table `[election]`.
 * `term` answers how long a term lasts now, milliseconds; without it one lasts until its publisher cannot go on.
 */
export function electionPlugin<const Entries extends v.ObjectEntries>(definition: {
  readonly name: string;
  readonly summary: string;
  readonly entries: Entries;
  order(options: v.InferOutput<v.StrictObjectSchema<Entries, undefined>>, host: Host): ElectionOrder;
  term?(options: v.InferOutput<v.StrictObjectSchema<Entries, undefined>>, host: Host): () => number | undefined;
}): Plugin<FamilyOptions> {
  const { name, summary, entries } = definition;
  return definePlugin<FamilyOptions>({
    name,
    summary,
    needs: [torContract],
    wants: [meshContract, adminContract, signerContract],
    gives: [electionContract],
    section: 'election',
    options: v.strictObject({ ...entries, ...familyOptions }) as unknown as v.GenericSchema<unknown, FamilyOptions>,
    apply(host, options) {
      const own = options as unknown as v.InferOutput<v.StrictObjectSchema<Entries, undefined>>;
      runElection(host, { name, options, order: definition.order(own, host), term: definition.term?.(own, host) });
    },
  });
}

function runElection(
  host: Host,
  parts: {
    readonly name: string;
    readonly options: FamilyOptions;
    readonly order: ElectionOrder;
    readonly term: (() => number | undefined) | undefined;
  },
): void {
  const { name, order, term } = parts;
  const { lease_ms, confirm_ms, stagger_ms, publish_lease_ms } = parts.options;
  const { clock, store } = host.runtime;
  const { node, log } = host;
  const mesh = host.want(meshContract);
  const alone = mesh === undefined;
  const settings = (): ElectionSettings => ({
    leaseMs: lease_ms,
    confirmMs: confirm_ms,
    staggerMs: stagger_ms,
    publishMs: publish_lease_ms,
    termMs: term?.(),
  });
  const path = host.stateDirectory === undefined ? undefined : termPath(host.stateDirectory);
  let state = initialState({ nowMs: clock.monotonic(), settings: settings() });
  let decision: ElectionDecision | undefined;
  let ability: Ability | undefined;
  let timer: Timer | undefined;
  let soon: Timer | undefined;
  let stopped = false;
  let stepDown = false;
  let wish: Timer | undefined;
  const watchers = new Set<() => void>();
  const memory = createTermMemory({ store, clock, path, node, log, retryMs: lease_ms, changed: () => look() });

  /** A claim is made known, and used, only once it is on the disk: no restart may forget it. */
  const isKept = (): boolean => memory.keeps(state.claim);
  const elected = (): boolean => decision?.elected === true && isKept();
  const publisher = (): string | undefined =>
    decision?.publisher === node && !isKept() ? undefined : decision?.publisher;

  let doubted: readonly string[] = [];
  const warn = (now: readonly string[]): void => {
    const [unbelieved] = now.filter((member) => !doubted.includes(member));
    doubted = now;
    if (unbelieved === undefined) return;
    const error = new ChimeraError(
      'ELECTION_EPOCH',
      `the member ${unbelieved} names an epoch that no cluster can have reached`,
      { remedy: 'it is not believed; find out who runs it, and remove it by "chimera peer remove"' },
    );
    log.error('a member lies about epochs', { member: unbelieved, error });
  };

  let told: readonly unknown[] = [];
  const tell = (): void => {
    const now = [publisher(), decision?.epoch, elected()];
    if (now.every((value, index) => value === told[index])) return;
    told = now;
    const { epoch = 0, why } = decision ?? {};
    log.info('the publisher changed', { publisher: publisher(), epoch, elected: elected(), why });
    host.signal('leaderChanged', { node: publisher(), epoch });
  };

  const look = (): void => {
    if (stopped || ability === undefined) return;
    for (const waiting of [timer, soon]) waiting?.cancel();
    soon = undefined;
    const able = ability.able && memory.writable && host.want(signerContract)?.ready !== false;
    const self = { node, able, stepDown };
    const input = { nowMs: clock.monotonic(), self, others: contendersOf(mesh, node, order), alone };
    decision = decide(state, input, { order, settings: settings() });
    state = decision.state;
    // Done. Were it to last, two that were asked one after the other would give the role to each other without end.
    if (state.claim === undefined) stepDown = false;
    warn(decision.doubted);
    // What could not be kept is tried again after a lease.
    timer = clock.after(memory.writable ? decision.nextMs : Math.min(decision.nextMs, lease_ms), look);
    ability.elected(state.claim !== undefined);
    memory.keep({ highest: state.highest, own: state.claim === state.highest || state.resumable });
    if (state.claim === undefined || isKept()) mesh?.publish(recordKind, recordOf(state, ability.published));
    // The first beat carries the claim.
    mesh?.lead(state.claim !== undefined && isKept());
    tell();
    for (const watcher of watchers) watcher();
  };

  /** At once; in a large cluster, of which hundreds may say something at a time, one look for all that comes within a moment. */
  const lookSoon = (): void => {
    const latest = manyMs - (clock.monotonic() - state.lookedAtMs);
    if (latest <= 0 || (mesh?.records(recordKind).length ?? 0) <= many) look();
    else soon ??= clock.after(latest, look);
  };

  const view = {
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
    stepDown: (why: string) => {
      if (!elected() || stepDown) return;
      log.warn('this node lets another one publish, if one can', { why });
      stepDown = true;
      wish?.cancel();
      wish = clock.after(stepDownMs, () => {
        stepDown = false;
        look();
      });
      look();
    },
  };
  host.give(electionContract, view);

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
  host.hooks.uploaded.tap(name, (_sealed, uploads) => {
    if (uploads.some(({ accepted }) => accepted)) ability?.uploaded();
  });
  host.hooks.settled.tap(name, (result) => {
    const seen = seenEpoch(result);
    if (seen !== undefined) {
      const missing = mesh?.members().some((member) => member.state !== 'alive') ?? false;
      const next = overtakenBy(state, seen, { nowMs: clock.monotonic(), missing, settings: settings() });
      if (next !== state) log.warn('a descriptor of a later epoch is out there', { epoch: seen });
      state = next;
    }
    ability?.settled(result);
  });

  const admin = host.want(adminContract);
  if (admin !== undefined) {
    offerToOperator(admin, {
      clock,
      view,
      status: () => ({ state, why: decision?.why, able: ability?.able ?? false, published: ability?.published ?? 0 }),
      contenders: () => contendersOf(mesh, node, order),
      ask: (wanted) => {
        stepDown = wanted;
        look();
      },
      onLook: (watcher) => {
        watchers.add(watcher);
        return () => watchers.delete(watcher);
      },
    });
  }

  host.hooks.start.tapPromise(name, async () => {
    const kept = await memory.read();
    const remembered = kept === undefined ? {} : { highest: kept.highest, ownTerm: kept.own };
    state = initialState({ nowMs: clock.monotonic(), settings: settings(), ...remembered });
    ability = watchAbility({
      tor: host.need(torContract).primary,
      clock,
      leaseMs: lease_ms,
      publishMs: publish_lease_ms,
      changed: lookSoon,
      renew: () => void host.requestCycle('lease').catch(() => undefined),
    });
    const unsubscribe = mesh?.onChange((change) => {
      const concerns = change.what === 'state' || change.kind === recordKind;
      if (change.node !== node && concerns) lookSoon();
    });
    host.defer(async () => {
      stopped = true;
      timer?.cancel();
      soon?.cancel();
      wish?.cancel();
      unsubscribe?.();
      ability?.close();
      await memory.settled();
    });
    look();
    // Alone it is elected before the first cycle.
    await memory.settled();
  });
}
