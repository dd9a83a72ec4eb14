/** The onion services of one tor: those of its configuration, and those that controllers added. */
import { addressOfKey, type MasterKey, type OnionAddress } from '../../../../core/onion/index.ts';
import type { OptionLine } from './configuration.ts';
import type { TorContext } from './context.ts';
import { OnionService } from './service.ts';
import { loadServiceKey, readServiceConfigs, type ServiceConfig } from './service-config.ts';

export class OnionServices {
  readonly #tor: TorContext;
  readonly #services = new Map<OnionAddress, OnionService>();
  /** Services of ADD_ONION that belong to no connection. */
  readonly detached = new Set<OnionAddress>();

  constructor(tor: TorContext) {
    this.#tor = tor;
  }

  get(address: OnionAddress): OnionService | undefined {
    return this.#services.get(address);
  }

  all(): Iterable<OnionService> {
    return this.#services.values();
  }

  /**
   * Makes the configured services be as the lines say: a service whose key stays keeps its descriptors and circuits.
   * False when tor would say that it failed to configure them; nothing has changed then. Rejects when a key cannot be loaded.
   */
  async configure(lines: readonly OptionLine[]): Promise<boolean> {
    const configs = await readServiceConfigs(this.#tor.store, lines);
    if (configs === undefined) return false;
    const wanted = new Map<OnionAddress, { readonly master: MasterKey; readonly config: ServiceConfig }>();
    for (const config of configs) {
      const master = await loadServiceKey(this.#tor.store, this.#tor.random, config.directory as string);
      wanted.set(addressOfKey(master.publicKey), { master, config });
    }
    for (const [address, service] of this.#services) {
      if (service.config.directory === undefined || wanted.has(address)) continue;
      this.#services.delete(address);
      service.remove();
    }
    for (const { master, config } of wanted.values()) this.#register(master, config);
    return true;
  }

  #register(master: MasterKey, config: ServiceConfig): OnionService {
    const address = addressOfKey(master.publicKey);
    const known = this.#services.get(address);
    if (known !== undefined) {
      known.reconfigure(config);
      return known;
    }
    const service = new OnionService(this.#tor, master, config);
    this.#services.set(address, service);
    service.start();
    return service;
  }

  /** ADD_ONION. Undefined when there is a service with this key already. */
  add(master: MasterKey, config: Omit<ServiceConfig, 'directory'>): OnionAddress | undefined {
    const address = addressOfKey(master.publicKey);
    if (this.#services.has(address)) return undefined;
    this.#register(master, { ...config, directory: undefined });
    return address;
  }

  remove(address: OnionAddress): void {
    this.#services.get(address)?.remove();
    this.#services.delete(address);
    this.detached.delete(address);
  }

  uplinkBack(): void {
    for (const service of this.#services.values()) service.uplinkBack();
  }

  consensusChanged(): void {
    for (const service of this.#services.values()) service.consensusChanged();
  }
}
