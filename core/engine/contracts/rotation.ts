/** Contract of the strategy that a node rotates by, for plugins that ask it on their own account (checks, projections). */
import type { RotationStrategy } from '../../pipeline/index.ts';
import { contract } from '../contract.ts';

export interface Rotator {
  /** Known from `start` on. */
  readonly strategy: RotationStrategy;
}
export const rotatorContract = contract<Rotator>('rotator');
