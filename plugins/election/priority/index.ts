/**
 * election/priority: the node with the lowest priority number publishes, and stays publisher until it cannot. Without a
 * mesh the node is alone and publishes. Its claim is a record in the mesh; the rule itself is in rule.ts.
 */
import * as v from 'valibot';
import { integer } from '../../../core/config/schema.ts';
import { definePlugin, electionContract, meshContract, torContract } from '../../../core/engine/index.ts';
import { isChimeraError } from '../../../core/errors.ts';
import { decide, winningClaim, type Claim } from './rule.ts';

const options = v.strictObject({
  /** Lower comes first. */
  priority: v.optional(integer(0, 1_000_000), 100),
  /** How long there must be no publisher before the first in order takes over. */
  lease_ms: v.optional(integer(100, 600_000), 2_000),
  /** How much longer each next one in order waits. */
  stagger_ms: v.optional(integer(0, 60_000), 400),
});

const claimKind = 'election';
const checkMs = 100;
/** Failing to publish for this many cycles in a row makes a node unable. */
const failuresUntilUnable = 3;
/** How long it stays so, when its tor seems well: then another may have failed too, and somebody must try. */
const unableMs = 30_000;

const claimRecord = v.strictObject({
  epoch: v.nullable(integer(0, 2 ** 30 - 1)),
  priority: integer(0, 1_000_000),
  able: v.boolean(),
});

export const electionPriority = definePlugin<v.InferOutput<typeof options>>({
  name: 'election/priority',
  summary: 'The lowest priority number publishes, and stays until it cannot.',
  needs: [torContract],
  wants: [meshContract],
  gives: [electionContract],
  section: 'election',
  options,
  apply(host, { priority, lease_ms, stagger_ms }) {
    const { clock, store } = host.runtime;
    const mesh = host.want(meshContract);
    const statePath = host.stateDirectory === undefined ? undefined : `${host.stateDirectory}/election.json`;
    let epoch: number | undefined = mesh === undefined ? 0 : undefined;
    let highestEpoch = epoch ?? -1;
    let publisher: string | undefined = mesh === undefined ? host.node : undefined;
    let vacantSinceMs = clock.monotonic();
    let failures = 0;
    let unableUntilMs = 0;

    const self = (): Claim => ({
      node: host.node,
      epoch,
      priority,
      able: host.need(torContract).primary.state === 'ready' && clock.monotonic() >= unableUntilMs,
    });
    const others = (): Claim[] =>
      (mesh?.records(claimKind) ?? []).flatMap(({ node, value }) => {
        const result = v.safeParse(claimRecord, value);
        if (node === host.node || !result.success) return [];
        return [{ node, ...result.output, epoch: result.output.epoch ?? undefined }];
      });

    const remember = (): void => {
      if (statePath === undefined) return;
      store.write(statePath, `${JSON.stringify({ highestEpoch })}\n`).catch((error: unknown) => {
        host.log.warn('the epoch cannot be kept', { path: statePath, error: error as Error });
      });
    };
    const sawEpoch = (seen: number): void => {
      if (seen <= highestEpoch) return;
      highestEpoch = seen;
      remember();
    };
    let told = '';
    const tell = (): void => {
      const claim = self();
      const value = { epoch: claim.epoch ?? null, priority, able: claim.able };
      const text = JSON.stringify(value);
      if (text === told) return;
      told = text;
      mesh?.publish(claimKind, value);
    };

    const look = (): void => {
      const now = clock.monotonic();
      const seen = others();
      for (const other of seen) if (other.epoch !== undefined) sawEpoch(other.epoch);
      const winner = winningClaim([self(), ...seen]);
      if (winner !== undefined) vacantSinceMs = now;
      const decision = decide({
        self: self(),
        others: seen,
        highestEpoch,
        vacantMs: now - vacantSinceMs,
        leaseMs: mesh === undefined ? 0 : lease_ms,
        staggerMs: stagger_ms,
      });
      if (decision.act === 'claim') {
        epoch = decision.epoch;
        sawEpoch(epoch);
        host.log.info('this node publishes', { epoch });
      } else if (decision.act === 'step-down' && mesh !== undefined) {
        epoch = undefined;
        host.log.info('this node stands by', { why: decision.why });
      }
      tell();
      const next = winningClaim([self(), ...seen])?.node;
      if (next !== publisher || decision.act === 'claim') {
        publisher = next;
        host.signal('leaderChanged', { node: publisher, epoch: highestEpoch });
      }
    };

    host.give(electionContract, {
      get publisher() {
        return publisher;
      },
      get epoch() {
        return epoch ?? Math.max(0, highestEpoch);
      },
      get elected() {
        return epoch !== undefined && publisher === host.node;
      },
    });

    host.hooks.admit.tap('election/priority', () => {
      if (epoch !== undefined && publisher === host.node) return undefined;
      return { outcome: 'standby', why: publisher === undefined ? 'nobody is elected yet' : `${publisher} publishes` };
    });
    host.hooks.settled.tap('election/priority', ({ outcome, error, step }) => {
      // The HSDirs hold a descriptor of a later epoch: whoever made it is gone, or will say so.
      const later = /epoch (\d+)/.exec(isChimeraError(error, 'ONION_REVISION') ? error.message : '')?.[1];
      if (later !== undefined) {
        sawEpoch(Number(later));
        look();
        return;
      }
      failures = outcome === 'failed' && (step === 'upload' || step === 'confirm') ? failures + 1 : 0;
      if (failures < failuresUntilUnable) return;
      failures = 0;
      unableUntilMs = clock.monotonic() + unableMs;
      look();
    });

    host.hooks.start.tapPromise('election/priority', async () => {
      const kept = statePath === undefined ? undefined : await store.read(statePath);
      if (kept !== undefined) {
        try {
          const { highestEpoch: seen } = JSON.parse(new TextDecoder().decode(kept)) as { highestEpoch?: unknown };
          if (Number.isInteger(seen)) highestEpoch = Math.max(highestEpoch, seen as number);
        } catch {
          host.log.warn('the kept epoch cannot be read; it is learned again from the peers and HSDirs', {
            path: statePath,
          });
        }
        if (mesh === undefined) epoch = Math.max(0, highestEpoch);
      }
      vacantSinceMs = clock.monotonic();
      if (mesh !== undefined) host.defer(mesh.onChange(() => look()));
      host.background(async (signal) => {
        while (!signal.aborted) {
          look();
          await clock.sleep(checkMs, signal).catch(() => undefined);
        }
      });
    });
  },
});
export default electionPriority;
