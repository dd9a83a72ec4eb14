/**
 * revocation: what a removed node knew of the cluster's secret is worth nothing soon after. Whoever removes it makes the next
 * generation and gives it, sealed, to everybody who stays; who was away asks for it with the one before. If the remover dies
 * in between, another member does it.
 *
 *   roster: a removal ─► rotate() by the remover, else after a wait by rank ─► compare() with all ─► the older one is dropped
 */
import * as v from 'valibot';
import { integer } from '../../core/config/schema.ts';
import {
  adminContract,
  clusterSecretsContract,
  definePlugin,
  nodeIdentityContract,
  peerChannelContract,
  rosterContract,
  secretRotationContract,
  type AdmittedNode,
  type SecretChange,
} from '../../core/engine/index.ts';
import { ChimeraError } from '../../core/errors.ts';
import { jittered, shuffled, type Timer } from '../../core/runtime/index.ts';
import { createClusterSecret, secretName } from '../identity/index.ts';
import { createKeeper, type Keeper } from './keeper.ts';
import { readKept, writeKept } from './memory.ts';

const options = v.strictObject({
  /** How long the others wait for the remover to make the next generation; each later rank waits once more. */
  takeover_ms: v.optional(integer(500, 600_000), 5_000),
  /** How often members compare while not all are known to have the newest secret … */
  change_interval_ms: v.optional(integer(500, 600_000), 5_000),
  /** … and otherwise. */
  compare_interval_ms: v.optional(integer(1_000, 3_600_000), 60_000),
  /** How long the older generation is kept once all have the newer. */
  retire_after_ms: v.optional(integer(0, 3_600_000), 30_000),
  /** The longest time that it is kept for members that are away. */
  retire_at_most_secs: v.optional(integer(60, 31_536_000), 604_800),
  ask_timeout_ms: v.optional(integer(100, 60_000), 3_000),
});

const name = 'revocation';
const atOnce = 3;
const pushedAtOnce = 8;

export const revocation = definePlugin<v.InferOutput<typeof options>>({
  name,
  summary: 'Makes a new generation of the cluster’s secret when a node is removed, and brings everybody to it.',
  needs: [nodeIdentityContract, clusterSecretsContract, rosterContract, peerChannelContract],
  wants: [adminContract],
  gives: [secretRotationContract],
  section: name,
  options,
  apply(host, settings) {
    const { clock, random, store } = host.runtime;
    const { log } = host;
    const path = host.stateDirectory === undefined ? undefined : `${host.stateDirectory}/revocation.json`;
    let keeper: Keeper | undefined;
    let takeover: Timer | undefined;
    let writing: Promise<void> = Promise.resolve();
    let written = '';
    let wake: () => void = () => undefined;
    let stopped = false;
    /** Since when all have the newest secret, and since when it is the newest; monotonic. */
    let settledAtMs: number | undefined;
    let newest = { name: '', sinceMs: 0 };
    /** Who has said so once more after the time of those before was over: earlier, a copy of its machine may have said it. */
    const assured = new Set<string>();
    const unsettle = (): void => {
      settledAtMs = undefined;
      assured.clear();
    };

    const started = (): Keeper => {
      if (keeper === undefined)
        throw new ChimeraError('ENGINE_CONTRACT', 'the cluster’s secret is rotated before the start');
      return keeper;
    };
    /** Compares with each; the ids of those that have answered that they have the same. */
    const compared = async (members: readonly AdmittedNode[]): Promise<readonly string[]> => {
      const same = await Promise.all(members.map((member) => started().compare(member)));
      return members.flatMap(({ node }, at) => (same[at] === true ? [node] : []));
    };
    const removals = (): number => host.need(rosterContract).removed().length;
    /** Not on a guess: alone, a newcomer would make a secret that nobody else has. */
    const isDue = (): boolean => started().sure && removals() > started().standing.removals;

    const keep = (): void => {
      if (path === undefined || !started().sure) return;
      const { name: secret, removals: count } = started().standing;
      const text = `${secret} ${count}`;
      if (text === written) return;
      written = text;
      writing = writing
        .then(() => writeKept(store, path, { secret, removals: count }))
        .catch((error: unknown) => {
          written = '';
          log.warn('the state of the revocation cannot be kept', { error });
        });
    };

    const rotate = async (why: string): Promise<SecretChange> => {
      takeover?.cancel();
      takeover = undefined;
      const secrets = host.need(clusterSecretsContract);
      const count = removals();
      const next = createClusterSecret(random, secrets.current()[0]);
      log.warn('a new generation of the cluster’s secret', { generation: next.generation, why, removals: count });
      const kept = secrets.learn(next);
      started().made(count);
      changed();
      await kept.catch((error: unknown) => log.error('the cluster’s secret cannot be kept', { error }));
      // By its own answer; a question that it had asked before, and that came later, says otherwise.
      const answered = new Set<string>();
      let left = shuffled(random, started().waiting());
      while (left.length > 0) {
        if (stopped) break;
        const asked = left.slice(0, pushedAtOnce);
        left = left.slice(pushedAtOnce);
        for (const node of await compared(asked)) answered.add(node);
      }
      const waiting = new Set(
        started()
          .waiting()
          .map(({ node }) => node)
          .filter((node) => !answered.has(node)),
      );
      return {
        generation: started().standing.generation,
        confirmed: started()
          .others()
          .flatMap(({ node }) => (waiting.has(node) ? [] : [node])),
        waiting: [...waiting],
      };
    };

    /** Somebody was removed and nobody has made a new secret yet: the remover is about to, or this node will. */
    const plan = (): void => {
      if (stopped || takeover !== undefined || !isDue()) return;
      const rank = host
        .need(rosterContract)
        .admitted()
        .findIndex(({ node }) => node === host.node);
      // Who is not admitted makes no secret for those who are.
      if (rank < 0) return;
      takeover = clock.after(settings.takeover_ms * (rank + 1), () => {
        takeover = undefined;
        if (stopped || !isDue()) return;
        rotate('a node was removed, and nobody else did').catch((error: unknown) =>
          log.error('no new secret', { error }),
        );
      });
    };

    const changed = (): void => {
      if (keeper === undefined || stopped) return;
      keep();
      if (!isDue()) {
        takeover?.cancel();
        takeover = undefined;
      }
      plan();
      wake();
    };

    /** Whether all have had the newest secret for so long that those before may go. */
    const isOver = (): boolean =>
      settledAtMs !== undefined && clock.monotonic() - settledAtMs >= settings.retire_after_ms;
    /** Those to ask whether they have the newest secret. */
    const doubted = (): readonly AdmittedNode[] => {
      const waiting = started().waiting();
      return waiting.length > 0 || !isOver()
        ? waiting
        : started()
            .others()
            .filter(({ node }) => !assured.has(node));
    };

    /** Drops what is older than the newest generation when its time is over. */
    const retire = async (): Promise<void> => {
      const secrets = host.need(clusterSecretsContract);
      const [first, ...older] = secrets.current();
      const now = clock.monotonic();
      if (first === undefined) return;
      if (newest.name !== secretName(first)) {
        newest = { name: secretName(first), sinceMs: now };
        unsettle();
      }
      // What a restart would bring back is needed then.
      if (older.length === 0 || !secrets.kept) return;
      if (started().waiting().length > 0) unsettle();
      else settledAtMs ??= now;
      const isSettled = isOver() && doubted().length === 0;
      if (!isSettled && now - newest.sinceMs < settings.retire_at_most_secs * 1_000) return;
      unsettle();
      log.info('what is older than the newest generation of the cluster’s secret is dropped', {
        generations: older.map(({ generation }) => generation),
        left: started()
          .waiting()
          .map(({ node }) => node),
      });
      await secrets.retire().catch((error: unknown) => log.error('it cannot be kept', { error }));
    };

    /** Compares with some members now and then, with those in doubt more often, until the stop. */
    const work = async (signal: AbortSignal): Promise<void> => {
      while (!signal.aborted) {
        await retire();
        const isChanging = host.need(clusterSecretsContract).current().length > 1;
        const inDoubt = doubted();
        const isLast = isOver();
        const asked =
          inDoubt.length > 0
            ? shuffled(random, inDoubt).slice(0, atOnce)
            : shuffled(random, started().others()).slice(0, 1);
        const same = await compared(asked);
        if (isLast) for (const node of same) assured.add(node);
        const pauseMs = isChanging || inDoubt.length > 0 ? settings.change_interval_ms : settings.compare_interval_ms;
        const pause = new AbortController();
        const stop = (): void => pause.abort();
        wake = stop;
        signal.addEventListener('abort', stop, { once: true });
        if (!signal.aborted) await clock.sleep(jittered(random, pauseMs, 0.25), pause.signal).catch(() => undefined);
        signal.removeEventListener('abort', stop);
      }
    };

    host.give(secretRotationContract, { rotate });
    host.hooks.start.tapPromise(name, async () => {
      const secrets = host.need(clusterSecretsContract);
      const roster = host.need(rosterContract);
      const [first] = secrets.current();
      const kept = path === undefined ? undefined : await readKept(store, path, log);
      const known = kept !== undefined && first !== undefined && kept.secret === secretName(first);
      keeper = createKeeper({
        identity: host.need(nodeIdentityContract),
        secrets,
        roster,
        channel: host.need(peerChannelContract),
        clock,
        random,
        log,
        askTimeoutMs: settings.ask_timeout_ms,
        removals: known ? kept.removals : undefined,
        changed,
      });
      host.want(adminContract)?.status('cluster-secret', () => ({
        generations: secrets.current().map(({ generation }) => generation),
        waiting: started()
          .waiting()
          .map(({ node }) => node),
      }));
      const unsubscribe = roster.onChange(changed);
      host.defer(async () => {
        stopped = true;
        takeover?.cancel();
        unsubscribe();
        await writing;
      });
      host.background(work);
      plan();
    });
  },
});
export default revocation;
