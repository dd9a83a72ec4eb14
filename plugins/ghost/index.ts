/**
 * ghost: what becomes of a head that left the descriptor. It serves through a grace, then gives up its introduction points
 * and closes what is still joined anew; what was joined before lives on. A head under more than may be replaced sheds.
 *
 *   roles.ts what the publisher tells · rule.ts when a head drains and refuses, pure · head.ts one head ·
 *   retire.ts how its introduction points are given up · circuit-watch.ts client circuits that abuse a head
 */
import * as v from 'valibot';
import { integer } from '../../core/config/schema.ts';
import {
  adminContract,
  definePlugin,
  drainContract,
  electionContract,
  headControlContract,
  meshContract,
  proxyContract,
  shedContract,
  type OwnHead,
  type TorClient,
} from '../../core/engine/index.ts';
import { watchRendezvous } from '../siege/index.ts';
import { CircuitWatch } from './circuit-watch.ts';
import { GhostHead } from './head.ts';
import { retirePoints } from './retire.ts';
import { encodeLiveHeads, liveKind, readLiveHeads, type LiveHeads } from './roles.ts';

export { suspects, step, type GhostState, type GhostSettings } from './rule.ts';

const options = v.pipe(
  v.strictObject({
    /** From leaving the descriptor to refusing. */
    grace_secs: v.optional(integer(30, 86_400), 900),
    /** The same for a head that left it under siege, or comes under siege after. */
    siege_grace_secs: v.optional(integer(5, 86_400), 180),
    /** Graces below three minutes. */
    allow_short_grace: v.optional(v.boolean('must be true or false'), false),
    /** New rendezvous per second that a head keeps while it sheds. */
    shed_per_second: v.optional(integer(1, 10_000), 25),
    /** Streams open at once over one client circuit, where the proxy counts them; a circuit with more is closed. */
    max_streams_per_circuit: v.optional(integer(8, 65_536), 512),
    /** Streams opened per second over one client circuit, a mean of ten seconds; a circuit with more is closed. */
    max_circuit_streams_per_second: v.optional(integer(1, 10_000), 50),
  }),
  v.check(
    ({ grace_secs, siege_grace_secs, allow_short_grace }) =>
      allow_short_grace || Math.min(grace_secs, siege_grace_secs) >= 180,
    'grace_secs and siege_grace_secs below 180 cost clients that have just fetched the descriptor a failure; allow_short_grace = true insists',
  ),
);
export type GhostOptions = v.InferOutput<typeof options>;

const name = 'ghost';
const lookMs = 500;

export const ghost = definePlugin<GhostOptions>({
  name,
  summary: 'Drains heads that left the descriptor, then refuses what is new at them.',
  needs: [electionContract],
  wants: [headControlContract, meshContract, proxyContract, shedContract, adminContract],
  gives: [drainContract],
  section: name,
  options,
  apply(host, settings) {
    const { clock } = host.runtime;
    const mesh = host.want(meshContract);
    const election = host.need(electionContract);
    const ghosts = new Map<string, GhostHead>();
    const watched = new Map<TorClient, () => void>();
    const besieged = new Set<string>();
    const abuse = new CircuitWatch({
      maximumOpen: settings.max_streams_per_circuit,
      maximumPerSecond: settings.max_circuit_streams_per_second,
    });
    let heads: readonly OwnHead[] = [];
    /** What this node itself published last. */
    let own: LiveHeads | undefined;
    /** Of the merge that is under way. */
    let merged: readonly string[] = [];
    const rule = {
      graceMs: settings.grace_secs * 1_000,
      siegeGraceMs: settings.siege_grace_secs * 1_000,
      perSecond: settings.shed_per_second,
    };
    host.give(drainContract, { graceMs: rule.graceMs });

    const close = (tor: TorClient, circuit: string): void => {
      // It may have ended by itself.
      tor
        .closeCircuit(circuit)
        .catch((error: unknown) => host.log.debug('a circuit is gone already', { circuit, error }));
    };

    const headsIn = (tor: TorClient): readonly OwnHead[] => heads.filter((head) => head.tor === tor);
    const watch = (tor: TorClient): void => {
      if (watched.has(tor)) return;
      const release = watchRendezvous(
        tor,
        {
          headOf: (address) => headsIn(tor).find((one) => one.address === address)?.head,
          only: () => (headsIn(tor).length === 1 ? headsIn(tor)[0]?.head : undefined),
        },
        {
          seen: (head, circuit) => ghosts.get(head)?.seen(circuit),
          joined: (head, circuit) => {
            if (ghosts.get(head)?.joined(circuit, clock.monotonic()) === true) close(tor, circuit);
          },
          closed: (head, circuit) => ghosts.get(head)?.ended(circuit),
        },
      );
      const unsubscribe = tor.onState((state) => {
        if (state !== 'ready') for (const { head } of headsIn(tor)) ghosts.get(head)?.lost();
      });
      watched.set(tor, () => {
        release();
        unsubscribe();
      });
    };

    /** What the elected publisher says is in the descriptor; undefined while it says nothing. */
    const published = (): LiveHeads | undefined => {
      const { publisher, epoch } = election;
      const record = publisher === undefined ? undefined : mesh?.record(liveKind, publisher);
      const said = publisher === host.node ? own : record === undefined ? undefined : readLiveHeads(record.value);
      // What was published in an earlier term may have been replaced since by somebody else.
      return said?.epoch === epoch ? said : undefined;
    };

    const retire = (head: OwnHead): void => {
      const { address, tor } = head;
      if (address === undefined || tor.state !== 'ready') return;
      host.background(async (signal) => {
        const points = await retirePoints(tor, address, clock, signal).catch((error: unknown) => {
          host.log.warn('a ghost’s introduction points may still be there', { head: head.head, error });
          return undefined;
        });
        if (points !== undefined)
          host.log.info('a ghost has given up its introduction points', { head: head.head, points });
      });
    };

    const look = (): void => {
      heads = host.want(headControlContract)?.heads() ?? [];
      const live = published();
      const nowMs = clock.monotonic();
      for (const head of heads) {
        watch(head.tor);
        let one = ghosts.get(head.head);
        if (one === undefined) {
          one = new GhostHead(rule, nowMs);
          ghosts.set(head.head, one);
        }
        const shedding = live?.shed.includes(head.head) ?? false;
        if (shedding !== one.shedding) {
          one.shedding = shedding;
          host.log[shedding ? 'warn' : 'info'](shedding ? 'the head sheds' : 'the head sheds no more', {
            head: head.head,
            keepsPerSecond: settings.shed_per_second,
          });
        }
        const listed = live?.heads.includes(head.head);
        if (!one.look({ nowMs, listed, besieged: besieged.has(head.head) })) continue;
        const { role } = one.state;
        host.log.info(`the head is ${role}`, { head: head.head, rendezvous: one.rendezvous });
        if (role === 'refusing') retire(head);
      }
      for (const head of ghosts.keys()) if (!heads.some((known) => known.head === head)) ghosts.delete(head);
      for (const { traffic, why } of abuse.look(host.want(proxyContract)?.circuits() ?? [], nowMs)) {
        const [, id] = traffic.circuit.split('#');
        const tor = heads.find(({ head }) => head === traffic.head)?.tor;
        if (tor === undefined || id === undefined) continue;
        host.log.warn('a client circuit is closed', { head: traffic.head, why });
        close(tor, id);
      }
    };

    host.hooks.signals.for('siege').tap(name, (payload) => {
      const { head, level } = payload as { readonly head: string; readonly level: number };
      if (level > 0) besieged.add(head);
      else besieged.delete(head);
    });

    // Last of all: nobody vetoes after it.
    host.hooks.review.tap({ name, stage: 1_000 }, ({ merged: { sets } }) => {
      merged = [...new Set(sets.flat().map(({ head }) => head))].sort();
      return undefined;
    });
    const announce = (epoch: number): void => {
      const shed = [...(host.want(shedContract)?.heads() ?? [])].sort();
      const next: LiveHeads = { epoch, heads: merged, shed };
      if (JSON.stringify(next) === JSON.stringify(own)) return;
      own = next;
      mesh?.publish(liveKind, encodeLiveHeads(next));
      look();
    };
    host.hooks.settled.tap(name, ({ outcome, epoch }) => {
      // Unconfirmed: some clients may have it.
      if (outcome === 'published' || outcome === 'unconfirmed') announce(epoch);
      else if (outcome === 'unchanged' && own !== undefined) announce(epoch);
    });

    host.want(adminContract)?.status(name, () => {
      const nowMs = clock.monotonic();
      return heads.map(({ head }) => {
        const one = ghosts.get(head);
        return {
          head,
          role: one?.state.role ?? 'idle',
          rendezvous: one?.rendezvous ?? 0,
          introductions: one?.introductions ?? 0,
          suspect: one?.suspects(nowMs) ?? 0,
          closed: one?.closed ?? 0,
          shedding: one?.shedding ?? false,
        };
      });
    });

    host.hooks.start.tap(name, () => {
      host.defer(() => {
        for (const release of watched.values()) release();
      });
      host.background(async (signal) => {
        while (!signal.aborted) {
          look();
          await clock.sleep(lookMs, signal).catch(() => undefined);
        }
      });
    });
  },
});
export default ghost;
