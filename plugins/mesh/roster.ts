/**
 * Who belongs to the cluster: signed admissions, which form a tree that grows from the founder, and signed removals, which win over
 * everything. Both only accumulate, so that nodes that have seen the same entries agree, in whatever order they came.
 *
 * A member's admissions outlive it: who was let in by one that is removed later stays, until it is removed too.
 */
import type { AdmittedNode, NodeIdentity } from '../../core/engine/index.ts';
import { nodeIdOf } from '../../core/engine/index.ts';
import { ChimeraError } from '../../core/errors.ts';
import type { Log } from '../../core/runtime/index.ts';
import {
  admittedNode,
  encodeAdmission,
  encodeRemoval,
  isEndpoint,
  maximumEndpoints,
  readAdmission,
  readNode,
  readRemoval,
  signAdmission,
  signRemoval,
  verifyAdmission,
  verifyRemoval,
  type Admission,
  type Removal,
} from './record.ts';
import { decoded, Writer } from './wire.ts';

export const maximumMembers = 2_048;
export const maximumRemovals = 4_096;
export const rosterVersion = 1;
/** No file of a full roster is larger. */
export const maximumRosterBytes = 4_194_304;

/** `new` when it changed something, `known` when not, `refused` when it is not genuine, of no member, or there is no room. */
export type Taken = 'new' | 'known' | 'refused';

interface Entry {
  readonly admission: Admission;
  readonly admittedBy: string;
}

export class MemberRoster {
  readonly cluster: string;
  readonly #entries = new Map<string, Entry>();
  readonly #removals = new Map<string, Removal>();
  readonly #byAgreement = new Map<string, string>();

  /** `cluster`: the founder's id. */
  constructor(cluster: string) {
    this.cluster = cluster;
  }

  isMember(node: string): boolean {
    return this.#entries.has(node) && !this.#removals.has(node);
  }

  isRemoved(node: string): boolean {
    return this.#removals.has(node);
  }

  /** Grows with each entry that is new. */
  get changes(): number {
    return this.#entries.size + this.#removals.size;
  }

  /** The members' ids, in no order. */
  nodes(): string[] {
    return [...this.#entries.keys()].filter((node) => !this.#removals.has(node));
  }

  get(node: string): AdmittedNode | undefined {
    const entry = this.#removals.has(node) ? undefined : this.#entries.get(node);
    if (entry === undefined) return undefined;
    const { keys, endpoints } = entry.admission;
    return { node, keys, endpoints, admittedBy: entry.admittedBy };
  }

  nodeOf(agreementKey: Uint8Array): string | undefined {
    return this.#byAgreement.get(Buffer.from(agreementKey).toString('latin1'));
  }

  admission(node: string): Admission | undefined {
    return this.#entries.get(node)?.admission;
  }

  removal(node: string): Removal | undefined {
    return this.#removals.get(node);
  }

  admissions(): Admission[] {
    return [...this.#entries.values()].map(({ admission }) => admission);
  }

  removals(): Removal[] {
    return [...this.#removals.values()];
  }

  /**
   * The signer must be the founder itself, or admitted before: the first admission of a node stays. That of a removed node is kept too:
   * it does not let the node in, but whoever it had admitted has a signer, in whatever order the two are heard of.
   */
  admit(admission: Admission): Taken {
    const node = admittedNode(admission);
    const known = this.#entries.get(node);
    if (known !== undefined) return 'known';
    const admittedBy = nodeIdOf(admission.signer);
    const founding = node === this.cluster && admittedBy === node;
    if (!founding && !this.#entries.has(admittedBy)) return 'refused';
    const agreement = Buffer.from(admission.keys.agreement).toString('latin1');
    const full = this.#entries.size >= maximumMembers + this.#removals.size;
    if (full || this.#byAgreement.has(agreement) || !verifyAdmission(this.cluster, admission)) return 'refused';
    this.#entries.set(node, { admission, admittedBy });
    this.#byAgreement.set(agreement, node);
    return 'new';
  }

  /** The signer must have been admitted once. The node need not be known: it is kept out for good. */
  remove(removal: Removal): Taken {
    if (this.#removals.has(removal.node)) return 'known';
    if (!this.#entries.has(nodeIdOf(removal.signer)) || this.#removals.size >= maximumRemovals) return 'refused';
    if (!verifyRemoval(this.cluster, removal)) return 'refused';
    this.#removals.set(removal.node, removal);
    return 'new';
  }

  /** Takes entries in whatever order. True when anything changed. */
  merge(admissions: readonly Admission[], removals: readonly Removal[]): boolean {
    let changed = false;
    // Admissions first: a removed node may have admitted others. Each round takes those whose signers are known by then.
    let left = [...admissions];
    for (let before = left.length + 1; left.length < before;) {
      before = left.length;
      left = left.filter((admission) => {
        const taken = this.admit(admission);
        changed ||= taken === 'new';
        return taken === 'refused';
      });
    }
    for (const removal of removals) if (this.remove(removal) === 'new') changed = true;
    return changed;
  }

  encode(): Buffer {
    const writer = new Writer().u8(rosterVersion).fixed(this.cluster);
    const parts = [
      [...this.#entries.values()].map(({ admission }) => encodeAdmission(admission)),
      this.removals().map(encodeRemoval),
    ];
    for (const entries of parts) {
      writer.u16(entries.length);
      for (const entry of entries) writer.u16(entry.length).bytes(entry);
    }
    return writer.done();
  }
}

export interface RosterEntries {
  readonly cluster: string;
  readonly admissions: readonly Admission[];
  readonly removals: readonly Removal[];
}

/** Reads what encode() wrote; undefined when it is something else. Nothing is verified yet. */
export function decodeRoster(bytes: Uint8Array): RosterEntries | undefined {
  if (bytes.length > maximumRosterBytes) return undefined;
  return decoded(bytes, (reader) => {
    reader.require(reader.u8() === rosterVersion, undefined);
    const cluster = readNode(reader);
    const list = <T>(read: (entry: typeof reader) => T): T[] =>
      Array.from({ length: reader.u16() }, () => {
        const value = decoded(reader.bytes(reader.u16()), read);
        return reader.require(value !== undefined, value as T);
      });
    return { cluster, admissions: list(readAdmission), removals: list(readRemoval) };
  });
}

/** A roster of the entries, every one verified. Throws MESH_ROSTER. */
export function rosterOf(bytes: Uint8Array, where: string): MemberRoster {
  const entries = decodeRoster(bytes);
  const roster = new MemberRoster(entries?.cluster ?? '');
  if (entries !== undefined) roster.merge(entries.admissions, entries.removals);
  const whole = entries?.admissions.every((entry) => roster.admission(admittedNode(entry)) !== undefined) ?? false;
  if (entries !== undefined && entries.admissions.length > 0 && whole) return roster;
  throw new ChimeraError('MESH_ROSTER', `${where} is no roster, or not all of it is signed by members`, {
    remedy: 'join the cluster again with a fresh invitation',
  });
}

/** A founder's roster: itself. */
export function foundRoster(identity: NodeIdentity, endpoints: readonly string[]): MemberRoster {
  const roster = new MemberRoster(identity.node);
  roster.admit(signAdmission(identity, identity.node, { keys: identity.keys, endpoints: usable(endpoints) }));
  return roster;
}

/** Signs an admission and takes it. Throws MESH_REMOVED, or MESH_ROSTER when there is no room. */
export function admitInto(
  roster: MemberRoster,
  identity: NodeIdentity,
  keys: Admission['keys'],
  endpoints: readonly string[],
): AdmittedNode {
  const node = nodeIdOf(keys.signing);
  if (roster.isRemoved(node)) {
    throw new ChimeraError('MESH_REMOVED', `${node} was removed from the cluster`, {
      remedy: 'make new keys for it (delete its identity file), and let it join as another node',
    });
  }
  const admission = signAdmission(identity, roster.cluster, { keys, endpoints: usable(endpoints) });
  if (roster.admit(admission) === 'refused') {
    throw new ChimeraError('MESH_ROSTER', `${node} cannot be admitted: the roster is full, or its keys are another’s`, {
      remedy: `a cluster has at most ${maximumMembers} members, each with keys of its own`,
    });
  }
  return roster.get(node) as AdmittedNode;
}

export function removeFrom(roster: MemberRoster, identity: NodeIdentity, node: string): Removal {
  const removal = signRemoval(identity, roster.cluster, node);
  roster.remove(removal);
  return removal;
}

const usable = (endpoints: readonly string[]): string[] => endpoints.filter(isEndpoint).slice(0, maximumEndpoints);

/** For the node that was removed itself: when it hears of it, and at each start from then on. */
export function warnOfRemoval(log: Log, removal: Removal): void {
  const by = nodeIdOf(removal.signer);
  const error = new ChimeraError('MESH_REMOVED', `this node, ${removal.node}, was removed from the cluster by ${by}`, {
    remedy:
      'stop it; to have it back, make new keys for it (delete its state directory), and let it join as another node',
  });
  log.error('this node was removed from the cluster, and publishes nothing', { by, error });
}
