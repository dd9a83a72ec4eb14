/** What rides on pings and acks, and when it is told no more. */
import { expect, test } from 'vitest';
import type { Book } from '../../../plugins/mesh/book.ts';
import { Entries } from '../../../plugins/mesh/entries.ts';
import { Exchange } from '../../../plugins/mesh/exchange.ts';
import type { Message } from '../../../plugins/mesh/message.ts';
import { createSeededRandom } from '../../kit/sim/seeded-random.ts';
import { createVirtualClock } from '../../kit/sim/virtual-clock.ts';

test('news of entries are told no more once those met hold the same; a suspicion is told to the end', () => {
  const entries = new Entries();
  const book = { entries, members: { size: 999 } } as unknown as Book;
  const exchange = new Exchange(book, createVirtualClock(), createSeededRandom('exchange'), () => undefined);
  const node = 'a'.repeat(20);
  const death: Message = { type: 'death', death: { node, incarnation: 1, version: 1 } };
  const suspicion: Message = {
    type: 'suspicion',
    suspicion: { node, incarnation: 1, version: 1, ageMs: 0, accuser: 'b'.repeat(20) },
  };
  exchange.spread('! a', death, 1_000);
  exchange.spread('? a', suspicion, 1_000);
  const told = (): string[] =>
    exchange
      .carried()
      .map(({ type }) => type)
      .sort();
  expect(told()).toEqual(['death', 'digest', 'suspicion']);
  exchange.digest('c', Buffer.alloc(8, 1));
  expect(told()).toEqual(['death', 'digest', 'suspicion']);
  for (let met = 0; met < 4; met++) exchange.digest('c', entries.digest());
  expect(told()).toEqual(['digest', 'suspicion']);
});
