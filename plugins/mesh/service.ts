/**
 * The contracts `mesh`, `roster` and `peer-channel` before and after the start: what others ask for while the node is put together waits until
 * it knows its cluster.
 */
import type {
  AdmittedNode,
  Json,
  Mesh,
  MeshChange,
  NodeIdentity,
  PeerChannel,
  Roster,
} from '../../core/engine/index.ts';
import { nodeIdOf } from '../../core/engine/index.ts';
import { ChimeraError } from '../../core/errors.ts';
import type { Transports } from '../transport/several.ts';
import type { MeshNode } from './model.ts';
import { admitInto, decodeRoster, foundRoster, removeFrom, rosterOf, type MemberRoster } from './roster.ts';

export interface MeshService {
  readonly mesh: Mesh;
  readonly roster: Roster;
  readonly channel: PeerChannel;
  /** The roster that was learned before the start, another that was kept, both, or a new cluster of this node alone. */
  settle(kept: MemberRoster | undefined): MemberRoster;
  /** The member that has removed this node from the cluster. */
  removedBy(): string | undefined;
  /** From now on the node answers. */
  run(node: MeshNode): void;
  /** Tells that the roster, or where a member is, has changed. */
  rosterChanged(): void;
}

export function createMeshService(options: {
  readonly identity: NodeIdentity;
  readonly transport: Transports;
}): MeshService {
  const { identity, transport } = options;
  const listeners = new Set<(change: MeshChange) => void>();
  const rosterListeners = new Set<() => void>();
  const published = new Map<string, Json>();
  const answers: Parameters<PeerChannel['answer']>[] = [];
  let leading = false;
  let node: MeshNode | undefined;
  let members: MemberRoster | undefined;

  const need = (): MemberRoster => {
    if (members !== undefined) return members;
    throw new ChimeraError('MESH_ROSTER', 'the node has not started, and knows no cluster yet');
  };
  const rosterChanged = (): void => {
    for (const listener of rosterListeners) listener();
  };
  /** With the endpoints that the node itself tells, where it has. */
  const found = (known: AdmittedNode): AdmittedNode => {
    const endpoints = node?.endpointsOf(known.node) ?? [];
    return endpoints.length === 0 ? known : { ...known, endpoints };
  };

  return {
    mesh: {
      members: () => node?.members() ?? [],
      publish: (kind, value) => {
        if (node === undefined) published.set(kind, value);
        else node.publish(kind, value);
      },
      records: (kind) => node?.records(kind) ?? [],
      record: (kind, member) => node?.record(kind, member),
      onChange: (listener) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
      get dropped() {
        return node?.dropped ?? 0;
      },
      lead: (now) => {
        leading = now;
        node?.lead(now);
      },
    },
    roster: {
      get founder() {
        return members?.cluster;
      },
      admitted: () =>
        (members?.nodes() ?? [])
          .sort()
          .flatMap((name) => members?.get(name) ?? [])
          .map(found),
      removed: () => (members?.removals() ?? []).map(({ node: name }) => name).sort(),
      admit: (keys, endpoints) => {
        const roster = need();
        const admitted = admitInto(roster, identity, keys, endpoints);
        const admission = roster.admission(admitted.node);
        if (admission !== undefined) node?.rosterChanged([{ type: 'admission', admission }]);
        return admitted;
      },
      remove: (name) => {
        const roster = need();
        if (roster.isRemoved(name)) return;
        const removal = removeFrom(roster, identity, name);
        node?.rosterChanged([{ type: 'removal', removal }]);
      },
      entries: () => members?.encode() ?? new Uint8Array(),
      learn: (bytes) => {
        if (members === undefined) {
          members = rosterOf(bytes, 'what was learned');
          return;
        }
        const entries = decodeRoster(bytes);
        if (entries?.cluster !== members.cluster) {
          throw new ChimeraError('MESH_ROSTER', 'these are no entries of the roster of this node’s cluster', {
            remedy: 'take the state directory of a node to another cluster never; join with fresh keys',
          });
        }
        if (members.merge(entries.admissions, entries.removals)) {
          const removals = entries.removals.map((removal) => ({ type: 'removal' as const, removal }));
          node?.rosterChanged(removals);
        }
      },
      onChange: (listener) => {
        rosterListeners.add(listener);
        return () => rosterListeners.delete(listener);
      },
    },
    channel: {
      ask: (to, topic, question, timeoutMs) => {
        if (node !== undefined) return node.channel.ask(to, topic, question, timeoutMs);
        return Promise.reject(new ChimeraError('MESH_NO_ANSWER', 'the node has not started'));
      },
      answer: (topic, handler) => {
        if (node === undefined) answers.push([topic, handler]);
        else node.channel.answer(topic, handler);
      },
    },
    removedBy: () => {
      const removal = members?.removal(identity.node);
      return removal && nodeIdOf(removal.signer);
    },
    settle: (kept) => {
      if (members === undefined) members = kept ?? foundRoster(identity, transport.endpoints);
      else if (kept?.cluster === members.cluster) members.merge(kept.admissions(), kept.removals());
      return members;
    },
    run: (started) => {
      node = started;
      for (const [topic, handler] of answers) started.channel.answer(topic, handler);
      started.onChange((change) => {
        for (const listener of listeners) listener(change);
      });
      for (const [kind, value] of published) started.publish(kind, value);
      if (leading) started.lead(true);
    },
    rosterChanged,
  };
}
