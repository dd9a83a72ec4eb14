/** What a node says of itself in its record `election`: read without trust, written as small as it is, so that it rides on beacons. */
import * as v from 'valibot';
import { integer, nodeId } from '../../core/config/schema.ts';
import type { ClusterRecord, Json, Member, Mesh } from '../../core/engine/index.ts';
import type { ElectionOrder } from './order.ts';
import { largestEpoch, type Contender, type ElectionState } from './state.ts';

export const recordKind = 'election';

const epoch = v.exactOptional(integer(0, largestEpoch));
const record = v.strictObject({
  merit: v.unknown(),
  ready: v.boolean(),
  published: integer(0, Number.MAX_SAFE_INTEGER),
  highest: epoch,
  claim: epoch,
  successor: v.exactOptional(nodeId),
});

/** This node's own record. `published`: how often its publishing has succeeded in this life. */
export function recordOf(state: ElectionState, published: number): Json {
  const { highest, claim, merit = null, readySinceMs, handing } = state;
  return {
    merit,
    ready: readySinceMs !== undefined,
    published,
    ...(highest === undefined ? {} : { highest }),
    ...(claim === undefined ? {} : { claim }),
    ...(handing === undefined ? {} : { successor: handing.to }),
  };
}

type Parsed = v.InferOutput<typeof record>;
/** What was read of a value once: the mesh gives the same object until its owner says something else. */
const parsed = new WeakMap<object, Parsed | false>();

function parse(value: Json): Parsed | false {
  const known = typeof value === 'object' && value !== null ? parsed.get(value) : undefined;
  if (known !== undefined) return known;
  const result = v.safeParse(record, value);
  const read = result.success && result.output;
  if (typeof value === 'object' && value !== null) parsed.set(value, read);
  return read;
}

/** Undefined for a record of another form. */
function readRecord(
  order: ElectionOrder,
  { node, value }: Pick<ClusterRecord, 'node' | 'value'>,
  member: Pick<Member, 'heardAtMs' | 'state'> | undefined,
): Contender | undefined {
  const read = parse(value);
  if (read === false) return undefined;
  const { merit, ready, published, highest, claim, successor } = read;
  const known = order.read(merit as Json);
  return {
    node,
    merit: known,
    ready: ready && known !== undefined,
    published,
    highest,
    claim,
    successor,
    heardAtMs: member?.heardAtMs ?? -Infinity,
    alive: member?.state === 'alive',
  };
}

/** The others, as the mesh knows them. */
export function contendersOf(mesh: Mesh | undefined, self: string, order: ElectionOrder): Contender[] {
  if (mesh === undefined) return [];
  const members = mesh.members();
  const found: Contender[] = [];
  // Both are sorted by node.
  let at = 0;
  for (const known of mesh.records(recordKind)) {
    while ((members[at]?.node ?? known.node) < known.node) at++;
    const member = members[at]?.node === known.node ? members[at] : undefined;
    const contender = known.node === self ? undefined : readRecord(order, known, member);
    if (contender !== undefined) found.push(contender);
  }
  return found;
}
