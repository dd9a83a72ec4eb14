/** The handshake of a join against the vector of the cacophony collection. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { Random } from '../../../core/runtime/index.ts';
import { initiate, respond } from '../../../plugins/join/handshake.ts';
import { random } from './support.ts';

const vector = JSON.parse(readFileSync(new URL('../../vectors/noise-nnpsk0.json', import.meta.url), 'utf8')) as {
  readonly protocol_name: string;
  readonly init_prologue: string;
  readonly init_psks: readonly [string];
  readonly init_ephemeral: string;
  readonly resp_ephemeral: string;
  readonly messages: readonly { readonly payload: string; readonly ciphertext: string }[];
};
const bytes = (hex: string): Buffer => Buffer.from(hex, 'hex');
const hex = (some: Uint8Array | undefined): string => Buffer.from(some ?? []).toString('hex');
const drawn = (ephemeral: string): Random => ({ ...random, bytes: () => bytes(ephemeral) });
const shared = { prologue: bytes(vector.init_prologue), psk: bytes(vector.init_psks[0]) };

test('the cacophony vector, both sides', () => {
  expect(vector.protocol_name).toBe('Noise_NNpsk0_25519_ChaChaPoly_SHA256');
  // What follows the handshake in the vector is not used: a join has two messages.
  const [first, second] = vector.messages as [
    { payload: string; ciphertext: string },
    (typeof vector.messages)[0] & {},
  ];
  const joiner = initiate(shared, drawn(vector.init_ephemeral), () => bytes(first.payload));
  expect(hex(joiner.message)).toBe(first.ciphertext);
  const opened = respond(shared, bytes(first.ciphertext));
  expect(hex(opened?.payload)).toBe(first.payload);
  expect(hex(opened?.answer(bytes(second.payload), drawn(vector.resp_ephemeral)))).toBe(second.ciphertext);
  expect(hex(joiner.finish(bytes(second.ciphertext)))).toBe(second.payload);
});
