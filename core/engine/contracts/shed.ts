/** The contract of who decides that a head may not be replaced and has to defend itself where it is. */
import { contract } from '../contract.ts';

export interface Shedding {
  /** Heads that should close what is more than they can carry, as of the last decision. */
  heads(): readonly string[];
}
export const shedContract = contract<Shedding>('shed');
