/** Where the plugins that run heads put what they know, for this node's cycle and for its peers. */
import type { HeadReport } from '../../pipeline/index.ts';
import { contract } from '../contract.ts';

export interface HeadRegistry {
  /**
   * Replaces all that `source` (a plugin's name) knows. Heads that are no longer in it are gone at once: their own node
   * says so. Signals `introPointsChanged` when something differs.
   */
  set(source: string, reports: readonly HeadReport[], why: string): void;
}
export const headRegistryContract = contract<HeadRegistry>('head-registry');
