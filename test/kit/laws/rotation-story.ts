/** Arbitrary histories of a cluster as a strategy sees it: heads come, go, change their points, are besieged; time passes. */
import * as fc from 'fast-check';
import { modelView, type HeadView, type View } from '../../../core/pipeline/index.ts';

export interface RotationMoment {
  readonly view: View;
}

type Action =
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'join' | 'leave' | 'renew'; readonly at: number }
  | { readonly kind: 'siege'; readonly at: number; readonly level: number }
  | { readonly kind: 'siege of all'; readonly level: number };

const at = fc.nat(30);
const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 7_200_000 }) }),
  },
  fc.record({ kind: fc.constantFrom('join' as const, 'leave' as const, 'renew' as const), at }),
  fc.record({ kind: fc.constant('siege' as const), at, level: fc.constantFrom(0, 0, 0.5, 1, 4) }),
  fc.record({ kind: fc.constant('siege of all' as const), level: fc.constantFrom(1, 4) }),
);

/** At least one moment; every view has a head, and every head a point. */
export function arbitraryRotationStory(): fc.Arbitrary<RotationMoment[]> {
  return fc
    .record({
      heads: fc.integer({ min: 1, max: 26 }),
      pointsPerHead: fc.integer({ min: 1, max: 5 }),
      maximumIntroPoints: fc.integer({ min: 1, max: 20 }),
      seed: fc.constantFrom('', 'seed', 'another'),
      nowMs: fc.integer({ min: 0, max: 4_000_000_000_000 }),
      actions: fc.array(action, { maxLength: 12 }),
    })
    .map(({ actions, ...cluster }) => {
      let view = modelView(cluster);
      const moments = [{ view }];
      for (const [number, one] of actions.entries()) {
        view = after(view, one, number, cluster.pointsPerHead);
        moments.push({ view });
      }
      return moments;
    });
}

function after(view: View, one: Action, number: number, pointsPerHead: number): View {
  if (one.kind === 'wait') return { ...view, nowMs: view.nowMs + one.ms };
  if (one.kind === 'siege of all') {
    return { ...view, heads: view.heads.map((head) => ({ ...head, siege: one.level })) };
  }
  const index = one.at % view.heads.length;
  const change = (to: (head: HeadView) => HeadView): View => ({
    ...view,
    heads: view.heads.map((head, place) => (place === index ? to(head) : head)),
  });
  if (one.kind === 'siege') return change((head) => ({ ...head, siege: one.level }));
  // A head that is new, or has made its introduction points anew, has other ids.
  const renewed = (head: HeadView): HeadView => ({
    ...head,
    candidates: head.candidates.map((candidate) => ({ ...candidate, id: `${candidate.id.split('~')[0]}~${number}` })),
  });
  if (one.kind === 'renew') return change(renewed);
  if (one.kind === 'leave') {
    return view.heads.length === 1 ? view : { ...view, heads: view.heads.filter((_head, place) => place !== index) };
  }
  const [fresh] = modelView({ heads: 1, pointsPerHead, nowMs: 0, seed: '' }).heads as [HeadView];
  const head = `new-${number}`;
  const candidates = fresh.candidates.map((candidate, point) => ({
    ...candidate,
    id: `${head}#${point}`,
    head,
    node: head,
  }));
  return { ...view, heads: [...view.heads, { ...fresh, head, node: head, candidates }] };
}
