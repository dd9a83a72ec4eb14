/** Requests of one tor to hidden service directories, with the HS_DESC events of uploads. */
import type { OnionAddress } from '../../../../core/onion/index.ts';
import type { TorContext } from './context.ts';
import type { FetchAnswer } from './hsdir.ts';
import { drawMs } from './latency.ts';
import type { SimulatedRelay } from './relay.ts';

/** How long tor waits for a directory that does not answer. */
const stallMs = 300_000;
/** How long a request waits for the network. */
const waitMs = 60_000;

export class DirectoryClient {
  readonly #tor: TorContext;

  constructor(tor: TorContext) {
    this.#tor = tor;
  }

  /** Sends a descriptor and tells the controllers what became of it. Dropped when `wanted` says so before it arrives. */
  upload(
    address: OnionAddress,
    blindedKey: string,
    relay: SimulatedRelay,
    text: string,
    wanted: () => boolean = () => true,
  ): void {
    const { events } = this.#tor;
    this.#request(
      relay,
      () => (wanted() ? relay.hsdir.store(text, this.#tor.network.clock.now() / 1000) : undefined),
      (status) => {
        if (status === undefined) return;
        if (status === 200) {
          events.emit('HS_DESC', () => `650 HS_DESC UPLOADED ${address} UNKNOWN ${relay.longName}`);
          return;
        }
        const reason = status === 400 ? 'UPLOAD_REJECTED' : 'UNEXPECTED';
        events.emit(
          'HS_DESC',
          () => `650 HS_DESC FAILED ${address} NO_AUTH ${relay.longName} ${blindedKey} REASON=${reason}`,
        );
      },
      () => 503 as const,
    );
  }

  fetch(relay: SimulatedRelay, blindedKey: Uint8Array, answered: (answer: FetchAnswer) => void): void {
    this.#request<FetchAnswer>(
      relay,
      () => relay.hsdir.fetch(blindedKey, this.#tor.network.clock.now() / 1000),
      answered,
      () => ({ status: 503 }),
    );
  }

  #request<Answer>(
    relay: SimulatedRelay,
    ask: () => Answer,
    answered: (answer: Answer) => void,
    failed: () => Answer,
  ): void {
    const { process, random, network, uplink } = this.#tor;
    const there = drawMs(random, network.latency.directoryMs);
    const arrive = (): void => {
      if (!relay.up || !uplink.open) {
        answered(failed());
        return;
      }
      if (relay.hsdir.faults.silent) {
        process.after(stallMs, () => answered(failed()));
        return;
      }
      const answer = ask();
      process.after(there * 0.25, () => answered(answer));
    };
    // Without a network it waits for a circuit; what was asked a minute before it comes is forgotten without a word (C tor 0.4.9.11).
    const askedAtMs = network.clock.monotonic();
    uplink.when(() => {
      if (network.clock.monotonic() - askedAtMs > waitMs) return;
      process.after(there * 0.75 + relay.hsdir.faults.delayMs, arrive);
    });
  }
}
