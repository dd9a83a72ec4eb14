/** The contract of the operator's door: commands of a running node, and what `chimera status` shows. */
import { contract } from '../contract.ts';
import type { Json } from './cluster.ts';

export interface AdminCommand {
  /** As typed: `step-down`, `panic`. */
  readonly name: string;
  /** One sentence. */
  readonly summary: string;
  /** Checks its own arguments and throws coded errors. What it says on the way is shown as it comes. */
  run(args: { readonly [key: string]: Json }, say: (progress: string) => void, signal: AbortSignal): Promise<Json>;
}

export interface Admin {
  command(command: AdminCommand): void;
  /** Adds a section to the status: small, without secrets, cheap to make. */
  status(section: string, read: () => Json): void;
}
export const adminContract = contract<Admin>('admin');
