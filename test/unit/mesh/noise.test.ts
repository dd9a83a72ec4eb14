/** The handshake against the vector of the cacophony collection; what is not part of it is refused. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { agree, agreementKey, agreementPublicKey } from '../../../core/onion/key-agreement.ts';
import { initiate, open, protocolName, receive, seal, type StaticKey } from '../../../plugins/mesh/session/noise.ts';

const vector = JSON.parse(readFileSync(new URL('../../vectors/noise-ikpsk2.json', import.meta.url), 'utf8')) as {
  protocol_name: string;
  handshake_hash: string;
  messages: { payload: string; ciphertext: string }[];
} & Record<
  'init_prologue' | 'init_static' | 'init_ephemeral' | 'init_remote_static' | 'resp_static' | 'resp_ephemeral',
  string
> &
  Record<'init_psks', string[]>;

const bytes = (hex: string): Buffer => Buffer.from(hex, 'hex');
const staticKey = (hex: string): StaticKey => {
  const key = agreementKey(bytes(hex));
  return {
    publicKey: agreementPublicKey(key),
    agree: (other) => {
      const shared = agree(key, other);
      if (shared === undefined) throw new RangeError('low order');
      return shared;
    },
  };
};
const psk = bytes(vector.init_psks[0] as string);
const prologue = bytes(vector.init_prologue);
const [first, second, ...transport] = vector.messages as [
  { payload: string; ciphertext: string },
  { payload: string; ciphertext: string },
  ...{ payload: string; ciphertext: string }[],
];
const initiator = () =>
  initiate({
    prologue,
    own: staticKey(vector.init_static),
    responder: bytes(vector.init_remote_static),
    ephemeral: bytes(vector.init_ephemeral),
    payload: bytes(first.payload),
  });
const responder = (message = bytes(first.ciphertext), own = staticKey(vector.resp_static)) =>
  receive({ prologue, own, message });
const answered = () =>
  responder()?.answer({ psk, ephemeral: bytes(vector.resp_ephemeral), payload: bytes(second.payload) });

test('the cacophony vector, both sides, and what follows the handshake', () => {
  expect(vector.protocol_name).toBe(protocolName);
  const initiation = initiator();
  expect(Buffer.from(initiation?.message ?? []).toString('hex')).toBe(first.ciphertext);
  const received = responder();
  expect(Buffer.from(received?.payload ?? []).toString('hex')).toBe(first.payload);
  expect(Buffer.from(received?.initiator ?? [])).toEqual(Buffer.from(staticKey(vector.init_static).publicKey));
  const answer = answered();
  expect(Buffer.from(answer?.message ?? []).toString('hex')).toBe(second.ciphertext);
  const finished = initiation?.finish(bytes(second.ciphertext), psk);
  expect(Buffer.from(finished?.payload ?? []).toString('hex')).toBe(second.payload);
  for (const secrets of [finished?.secrets, answer?.secrets]) {
    expect(Buffer.from(secrets?.hash ?? []).toString('hex')).toBe(vector.handshake_hash);
  }
  // Cacophony goes on with the initiator, then the other side, and so on.
  for (const [at, { payload, ciphertext }] of transport.entries()) {
    const [from, to] = at % 2 === 0 ? [finished, answer] : [answer, finished];
    const counter = Math.floor(at / 2);
    const sealed = seal(from?.secrets.sending as Uint8Array, counter, new Uint8Array(), bytes(payload));
    expect(sealed.toString('hex')).toBe(ciphertext);
    const opened = open(to?.secrets.receiving as Uint8Array, counter, new Uint8Array(), bytes(ciphertext));
    expect(opened?.toString('hex')).toBe(payload);
  }
});

test('a changed byte, another key, another prologue or a wrong psk is refused', () => {
  for (let at = 0; at < first.ciphertext.length / 2; at += 7) {
    const changed = bytes(first.ciphertext);
    changed[at] = (changed[at] as number) ^ 1;
    expect(responder(changed)).toBeUndefined();
  }
  expect(responder(bytes(first.ciphertext), staticKey(vector.init_static))).toBeUndefined();
  expect(
    receive({ prologue: bytes('00'), own: staticKey(vector.resp_static), message: bytes(first.ciphertext) }),
  ).toBeUndefined();
  expect(responder(Buffer.alloc(95))).toBeUndefined();
  const initiation = initiator();
  for (let at = 0; at < second.ciphertext.length / 2; at += 5) {
    const changed = bytes(second.ciphertext);
    changed[at] = (changed[at] as number) ^ 1;
    expect(initiation?.finish(changed, psk)).toBeUndefined();
  }
  expect(initiation?.finish(bytes(second.ciphertext), new Uint8Array(32))).toBeUndefined();
  expect(initiation?.finish(new Uint8Array(3), psk)).toBeUndefined();
  // A forged answer before has not spoilt it.
  expect(initiation?.finish(bytes(second.ciphertext), psk)).toBeDefined();
});

test('keys of low order are refused on either side', () => {
  const low = new Uint8Array(32);
  expect(
    initiate({
      prologue,
      own: staticKey(vector.init_static),
      responder: low,
      ephemeral: bytes(vector.init_ephemeral),
      payload: low,
    }),
  ).toBeUndefined();
  expect(responder(Buffer.concat([low, bytes(first.ciphertext).subarray(32)]))).toBeUndefined();
  expect(initiator()?.finish(Buffer.concat([low, bytes(second.ciphertext).subarray(32)]), psk)).toBeUndefined();
});
