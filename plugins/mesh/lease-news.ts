/**
 * What comes of a lease: its leader lives, here and for whom it is passed on to. And where two lead, as on both sides of a cut
 * that has just healed, all that each says for the other: by that alone they know which of them is to cease, and where datagrams
 * are lost a round of comparing (exchange.ts) would take its time.
 */
import type { Clock } from '../../core/runtime/index.ts';
import type { Book } from './book.ts';
import type { Exchange } from './exchange.ts';
import type { Leads } from './leads.ts';
import type { Message } from './message.ts';
import { closeNodes, type Overlay } from './overlay.ts';

export interface LeaseNews {
  /** Takes a lease that `from` sent at `atMs` of this node's clock; of unknown time it is none. */
  take(from: string, message: Extract<Message, { type: 'lease' }>, atMs: number | undefined): void;
}

export function createLeaseNews(options: {
  readonly book: Book;
  readonly leads: Leads;
  readonly overlay: Overlay;
  readonly exchange: Exchange;
  readonly clock: Clock;
  /** True while this node leads. */
  readonly leading: () => boolean;
  readonly heard: (node: string, atMs: number) => void;
  readonly send: (node: string, messages: readonly Message[]) => void;
}): LeaseNews {
  const { book, leads, overlay, exchange, clock, leading, heard, send } = options;
  const { self, roster, members } = book;

  return {
    take: (from, { lease: said, ageMs }, atMs) => {
      const signer = roster.get(said.node)?.keys.signing;
      if (signer === undefined || said.node === self || atMs === undefined) return;
      const heardAtMs = atMs - ageMs;
      if (!leads.take(said, signer, heardAtMs)) return;
      const isClose = overlay.size <= closeNodes;
      const isRival = said.leading && leading();
      const others =
        isClose && said.leading ? members.leaders().flatMap(({ node }) => (node === said.node ? [] : [node])) : [];
      exchange.led(from, said, isRival || others.length > 0);
      if (isRival && from === said.node) send(from, book.told(self));
      const peer = members.get(said.node);
      if (peer === undefined || said.incarnation < peer.incarnation) return;
      members.leads(said.node, said.leading);
      heard(said.node, heardAtMs);
      const passed: Message = { type: 'lease', lease: said, ageMs: clock.monotonic() - heardAtMs };
      const hearers = isClose ? others : overlay.branches(said.node, said.sequence);
      const told = others.length > 0 ? book.told(said.node) : [];
      for (const node of hearers) if (node !== from) send(node, [passed, ...told]);
    },
  };
}
