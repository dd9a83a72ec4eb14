/** What `chimera status` shows of the mesh. */
import type { Json } from '../../core/engine/index.ts';
import type { MeshNode } from './model.ts';
import type { MeshService } from './service.ts';

/** No list in the status is longer. */
const maximumShown = 64;

export function statusOf(service: MeshService, node: MeshNode | undefined): Json {
  const skews = node?.skews() ?? new Map<string, number>();
  const admitted = service.roster.admitted();
  return {
    cluster: service.roster.founder ?? null,
    admitted: admitted.length,
    /** Who removed this node from the cluster. */
    removedBy: service.removedBy() ?? null,
    dropped: service.mesh.dropped,
    ...node?.figures,
    largestSkewMs: Math.max(0, ...[...skews.values()].map(Math.abs)),
    members: admitted.slice(0, maximumShown).map(({ node: name, endpoints }) => ({
      node: name,
      life: node?.lifeOf(name) ?? 'joining',
      endpoint: endpoints[0] ?? null,
      skewMs: skews.get(name) ?? null,
    })),
  };
}
