/** Where a service's descriptors belong, and their way there, with the events about it. */
import {
  defaultRingRules,
  hsdirIndex,
  responsibleHsdirs,
  type DescriptorSlot,
  type OnionAddress,
} from '../../../../core/onion/index.ts';
import type { SimulatedConsensus } from './consensus.ts';
import type { TorContext } from './context.ts';
import { DirectoryClient } from './directory-client.ts';
import type { SimulatedRelay } from './relay.ts';
import type { ServiceDescriptor } from './service-descriptor.ts';

export class ServiceUploader {
  readonly #tor: TorContext;
  readonly #address: OnionAddress;
  readonly #directory: DirectoryClient;

  constructor(tor: TorContext, address: OnionAddress) {
    this.#tor = tor;
    this.#address = address;
    this.#directory = new DirectoryClient(tor);
  }

  responsible(
    descriptor: ServiceDescriptor,
    slot: DescriptorSlot,
    consensus: SimulatedConsensus,
  ): readonly SimulatedRelay[] {
    const { network } = this.#tor;
    const ring = network.ring(consensus.hsdirs, slot.srv, slot.period);
    const { publicKey } = descriptor.blinded;
    return responsibleHsdirs(ring, publicKey, descriptor.period, defaultRingRules, 'store')
      .map((relay) => network.relay(relay.fingerprint))
      .filter((relay) => relay !== undefined);
  }

  upload(descriptor: ServiceDescriptor, text: string, slot: DescriptorSlot, hsdirs: readonly SimulatedRelay[]): void {
    const { generation } = descriptor;
    for (const relay of hsdirs) {
      descriptor.previousHsdirs.add(relay.fingerprint);
      this.#tor.events.emit('HS_DESC', () => {
        const index = Buffer.from(hsdirIndex(relay.ed25519, slot.srv, slot.period));
        return (
          `650 HS_DESC UPLOAD ${this.#address} UNKNOWN ${relay.longName} ${descriptor.id} ` +
          `HSDIR_INDEX=${index.toString('hex').toUpperCase()}`
        );
      });
      // A newer upload of the same descriptor calls off those still under way.
      this.#directory.upload(this.#address, descriptor.id, relay, text, () => descriptor.generation === generation);
    }
  }
}
