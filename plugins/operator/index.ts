/**
 * operator: what `chimera status` shows of the whole node, and the commands on its peers. It changes nothing by itself.
 * Sections of a single plugin's own matter (`election`, `repair`, …) are given by that plugin.
 */
import {
  adminContract,
  definePlugin,
  masterContract,
  meshContract,
  nodeIdentityContract,
  rosterContract,
  secretRotationContract,
  type Host,
  type Json,
} from '../../core/engine/index.ts';
import type { CycleResult, HeadView } from '../../core/pipeline/index.ts';
import { offerPeerCommands } from './peers.ts';

const name = 'operator';
/** After every plugin that takes heads away. */
const afterSifting = 1_000;
const longestList = 1_000;

const seconds = (ms: number): number => Math.round(ms / 1_000);

/** The last cycle, as the status shows it. Times are unix seconds. */
function cycleSection(result: CycleResult | undefined): Json {
  if (result === undefined) return null;
  const { number, outcome, why, reasons, startedAt, durationMs, epoch, sealed } = result;
  const { introPoints, heads, confirmations, error } = result;
  const confirmed = confirmations.filter((one) => one.confirmed).length;
  return {
    number,
    outcome,
    why,
    reasons: reasons.slice(0, 10),
    at: seconds(startedAt),
    durationMs: Math.round(durationMs),
    epoch,
    // A cycle that ends before it seals has none, which is no fault: what is out there is under `published`.
    introPoints: sealed === undefined ? null : introPoints,
    heads: heads.length,
    confirmed: confirmations.length === 0 ? null : `${confirmed} of ${confirmations.length}`,
    error: error === undefined ? null : error.message,
  };
}

/** Unix seconds and the content of the last descriptor that this node has published. */
function publishedSection(result: CycleResult | undefined): Json {
  if (result?.sealed === undefined) return null;
  const { sealed, startedAt, epoch, introPoints, uploads, confirmations } = result;
  const accepted = uploads.filter((one) => one.accepted).length;
  const missing = confirmations.filter((one) => !one.confirmed).slice(0, 20);
  return {
    at: seconds(startedAt),
    epoch,
    introPoints,
    uploads: `${accepted} of ${uploads.length}`,
    confirmed: `${confirmations.length - missing.length} of ${confirmations.length}`,
    descriptors: sealed.descriptors.map(({ slot, period, revision }) => ({
      slot,
      period: period.number,
      revision: revision.toString(),
    })),
    notConfirmed: missing.map(({ fingerprint, reason }) => ({ fingerprint, reason: reason ?? null })),
  };
}

function membersSection(host: Host): Json {
  const mesh = host.want(meshContract);
  const roster = host.want(rosterContract);
  const states = new Map(mesh?.members().map((member) => [member.node, member]));
  const nodes = roster?.admitted().map(({ node }) => node) ?? [...states.keys()];
  return nodes.slice(0, longestList).map((node) => {
    const member = states.get(node);
    const silentMs = member === undefined ? null : Math.round(host.runtime.clock.monotonic() - member.heardAtMs);
    return {
      node,
      state: node === host.node ? 'this node' : (member?.state ?? 'not heard'),
      silentMs: node === host.node ? 0 : silentMs,
    };
  });
}

export const operator = definePlugin({
  name,
  summary: 'Gives the operator the node’s status and the commands on its peers.',
  needs: [adminContract],
  wants: [masterContract, meshContract, nodeIdentityContract, rosterContract, secretRotationContract],
  apply(host) {
    const admin = host.need(adminContract);
    const { clock } = host.runtime;
    const startedAt = clock.now();
    const startedAtMs = clock.monotonic();
    let last: CycleResult | undefined;
    let published: CycleResult | undefined;
    let heads: readonly HeadView[] = [];

    host.hooks.sift.tap({ name, stage: afterSifting }, (views) => {
      heads = views;
      return views;
    });
    host.hooks.settled.tap(name, (result) => {
      last = result;
      if (result.sealed !== undefined && result.uploads.length > 0) published = result;
      // What a publisher knew of heads is out of date once another one publishes.
      if (result.outcome === 'standby') heads = [];
    });

    admin.status('node', () => ({
      node: host.node,
      startedAt: seconds(startedAt),
      upSecs: seconds(clock.monotonic() - startedAtMs),
      address: masterAddress(host),
    }));
    admin.status('cycle', () => cycleSection(last));
    admin.status('published', () => publishedSection(published));
    admin.status('heads', () =>
      heads.slice(0, longestList).map(({ head, candidates, siege }) => ({
        head,
        introPoints: candidates.length,
        siege: Math.round(siege * 100) / 100,
      })),
    );
    if (host.want(meshContract) !== undefined) admin.status('members', () => membersSection(host));

    const roster = host.want(rosterContract);
    if (roster !== undefined) offerPeerCommands(host, admin, roster);
  },
});
export default operator;

/** Null until the master's key is known: a standby may wait for it. */
function masterAddress(host: Host): string | null {
  try {
    const address = host.want(masterContract)?.address;
    return address === undefined ? null : `${address}.onion`;
  } catch {
    return null;
  }
}
