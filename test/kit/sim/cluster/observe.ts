/** What nodes say when they are observed: which texts each has sealed, and whose the introduction points are. Changes nothing. */
import {
  definePlugin,
  meshContract,
  type AnyPlugin,
  type ClusterRecord,
  type Mesh,
} from '../../../../core/engine/index.ts';

export interface SealedText {
  readonly node: string;
  /** The epoch that the node says itself that it publishes in, in its record. */
  readonly claimed: number | undefined;
  readonly sealedAtMs: number;
}

export interface Observations {
  /** Of each descriptor's text, who sealed it. */
  readonly texts: Map<string, SealedText>;
  /** Of each introduction point (base64url of its auth key), whose head it belongs to. */
  readonly owners: Map<string, string>;
  /** Versions of records that a hostile member has said without its signature. */
  readonly unsigned: Set<string>;
  /** Called when a node begins to send a publication. */
  onSending: (node: string) => void;
}

/** Texts are forgotten beyond so many: they have long been uploaded. */
const mostTexts = 500;

export const versionOf = ({ node, kind, incarnation, version }: ClusterRecord): string =>
  `${node} ${kind} ${incarnation} ${version}`;

type SaidOfElection = { readonly claim?: number; readonly successor?: string } | undefined;

/** What a node says in its own record of the election. */
const saidOfElection = (mesh: Mesh | undefined, node: string): SaidOfElection =>
  mesh?.record('election', node)?.value as SaidOfElection;

/** The epoch that it claims there. */
export const claimOf = (mesh: Mesh | undefined, node: string): number | undefined => saidOfElection(mesh, node)?.claim;

/** Whom it names there as the next publisher; it publishes on until that one has begun. */
export const successorOf = (mesh: Mesh | undefined, node: string): string | undefined =>
  saidOfElection(mesh, node)?.successor;

export function createObserver(observations: Observations, now: () => number, node: string): AnyPlugin {
  const { texts, owners } = observations;
  return definePlugin({
    name: 'observer',
    summary: 'Tells the simulation what its node does.',
    wants: [meshContract],
    apply(host) {
      const mesh = host.want(meshContract);
      host.hooks.review.tap({ name: 'observer', stage: 1_000 }, (context) => {
        for (const candidate of context.merged.sets.flat()) owners.set(candidate.id, candidate.node);
        return undefined;
      });
      host.hooks.upload.tap({ name: 'observer', stage: -1_000 }, ({ sealed }) => {
        for (const descriptor of sealed.descriptors) {
          for (const text of descriptor.texts)
            texts.set(text, { node, claimed: claimOf(mesh, node), sealedAtMs: now() });
        }
        observations.onSending(node);
        while (texts.size > mostTexts) texts.delete(texts.keys().next().value as string);
        return undefined;
      });
    },
  });
}
