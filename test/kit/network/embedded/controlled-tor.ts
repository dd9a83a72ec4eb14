/** What control commands may do with a simulated tor. */
import type { OnionAddress } from '../../../../core/onion/index.ts';
import type { OnionClient } from './client.ts';
import type { OptionLine, Refusal } from './configuration.ts';
import type { OnionServices } from './onion-services.ts';
import type { Traffic } from './socks-server.ts';

export interface ControlledTor {
  readonly client: OnionClient;
  readonly services: OnionServices;
  readonly traffic: Traffic;
  /** 0 to 100. */
  readonly bootstrapPercent: number;
  /** Wall clock, unix seconds. */
  readonly startedAt: number;
  readonly pid: number;
  /** As GETINFO net/listeners/… prints them. */
  readonly listeners: Readonly<Record<'socks' | 'control' | 'metrics', readonly string[]>>;
  /** Puts these options in force. Undefined when done. */
  configure(lines: readonly OptionLine[]): Promise<Refusal | undefined>;
  signal(name: string): void;
  serviceText(address: OnionAddress): string | undefined;
}
