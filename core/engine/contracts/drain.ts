/** The contract of who makes heads refuse new clients some time after they left the descriptor. */
import { contract } from '../contract.ts';

export interface Drain {
  /** How long a head that left in calm times serves everybody still, milliseconds. */
  readonly graceMs: number;
}
export const drainContract = contract<Drain>('drain');
