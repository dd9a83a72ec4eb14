/** Messages are read as they were written, and whatever the bytes, reading gives messages or undefined. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeContent, encodeMessage, type Message } from '../../../plugins/mesh/message.ts';
import { typeOf } from '../../../plugins/mesh/session/datagram.ts';

const node = 'a2'.repeat(10);
const bytes = (length: number): Uint8Array => Buffer.alloc(length, 7);
const version = { incarnation: 2 ** 47 + 3, version: 9 };
const examples: Message[] = [
  { type: 'ping', nonce: 2 ** 32 - 1 },
  { type: 'ack', nonce: 0, wallMs: 1_795_000_000_000 },
  { type: 'probe', nonce: 1, node },
  { type: 'probed', nonce: 1, node, ageMs: 250 },
  { type: 'suspicion', suspicion: { node, ...version, ageMs: 3, accuser: node } },
  {
    type: 'lease',
    lease: { node, incarnation: 1, sequence: 2, leading: true, signature: bytes(64) },
    ageMs: 12,
  },
  { type: 'digest', digest: bytes(8) },
  { type: 'summary', buckets: bytes(256) },
  { type: 'listing', keys: [{ node, kind: '+', incarnation: 0, version: 1 }] },
  { type: 'want', keys: [{ node, kind: 'heads', ...version }] },
  {
    type: 'record',
    record: { node, kind: 'load', ...version, length: 3, hash: bytes(32), signature: bytes(64) },
    value: bytes(3),
  },
  {
    type: 'record',
    record: { node, kind: 'load', ...version, length: 3_000, hash: bytes(32), signature: bytes(64) },
    value: undefined,
  },
  {
    type: 'admission',
    admission: {
      keys: { signing: bytes(32), agreement: bytes(32) },
      endpoints: ['udp:192.0.2.1:7411'],
      signer: bytes(32),
      signature: bytes(64),
    },
  },
  { type: 'removal', removal: { node, signer: bytes(32), signature: bytes(64) } },
  { type: 'death', death: { node, ...version } },
  { type: 'pull', blob: `r:${node}:heads:1:2`, indexes: [0, 255] },
  { type: 'piece', blob: 'q:x:1', total: 1_030, index: 1, body: bytes(6) },
  { type: 'ask', id: 7, topic: 'vault', total: 1_500, start: bytes(1_000) },
  { type: 'answer', id: 7, refused: false, total: 2, start: bytes(2) },
];
const example = fc.constantFrom(...examples);

test('rows of messages come back', () => {
  fc.assert(
    fc.property(fc.array(example, { maxLength: 6 }), (row) => {
      expect(decodeContent(Buffer.concat(row.map(encodeMessage)))).toEqual(row);
    }),
  );
});

test('types that are not known are skipped', () => {
  const unknown = Buffer.from([200, 0, 2, 1, 2]);
  expect(decodeContent(Buffer.concat([unknown, encodeMessage(examples[0] as Message), unknown]))).toEqual([
    examples[0],
  ]);
});

test('any bytes, and any change of good ones', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 1_300 }), (any) => {
      decodeContent(any);
      typeOf(any);
    }),
    { numRuns: 1_000 },
  );
  fc.assert(
    fc.property(example, fc.nat(1_300), fc.nat(255), fc.nat(1_300), (message, at, value, length) => {
      const changed = Uint8Array.from(encodeMessage(message));
      changed[at % changed.length] = value;
      for (const one of [changed, changed.subarray(0, length % changed.length)]) {
        for (const read of decodeContent(one) ?? [])
          expect(encodeMessage(read).length).toBeLessThanOrEqual(changed.length);
      }
    }),
    { numRuns: 2_000 },
  );
});
