import { describe, expect, test } from 'vitest';
import {
  blindedKey,
  epochOfRevision,
  masterKeyFromSeed,
  opeEncrypt,
  opeLimit,
  opeRevision,
  revisionCounter,
  revisionKey,
} from '../../../core/onion/index.ts';
import { aesCtr } from '../../../core/onion/hash.ts';
import { expectCode, hex } from './support.ts';

const blinded = blindedKey(masterKeyFromSeed(new Uint8Array(32).fill(9)), { number: 20_000, lengthMinutes: 1440 });
const daySeconds = 86_400;

describe('the order-preserving encryption', () => {
  const key = hex('19e05891d55232c08c2cad91d612fdb9cbd6691949a0742434a76c80bc6992fe');

  test('C tor ope_ref.py, test_crypto_ope.c: known values', () => {
    expect(opeEncrypt(key, 12_154)).toBe(402_067_100n);
    expect(opeEncrypt(key, 121_132)).toBe(3_971_694_514n);
  });

  test('it rises with its input and stays below its limit', () => {
    let before = 0n;
    for (let input = 1; input < 300; input++) {
      const value = opeEncrypt(key, input);
      expect(value > before).toBe(true);
      before = value;
    }
    expect(opeEncrypt(key, 2 ** 18) < opeLimit).toBe(true);
    expect(2n ** 18n * 65_536n <= opeLimit).toBe(true);
  });

  test('what is remembered of the key stream changes nothing, in whatever order counters are asked for', () => {
    const other = hex('20e05891d55232c08c2cad91d612fdb9cbd6691949a0742434a76c80bc6992fe');
    const inputs = [1, 4095, 4096, 4097, 8192, 86_400, 8191, 2, 172_800, 4096];
    const sumOf = (of: Uint8Array, input: number): bigint => {
      const stream = aesCtr(of, new Uint8Array(16), new Uint8Array(2 * input));
      let sum = BigInt(input);
      for (let at = 0; at < stream.length; at += 2) sum += BigInt(stream.readUInt16LE(at));
      return sum;
    };
    for (const input of inputs) {
      for (const of of [key, other]) expect(opeEncrypt(of, input)).toBe(sumOf(of, input));
    }
  });

  test('inputs outside 1 to 2^18 are clamped', () => {
    expect(opeEncrypt(key, -5)).toBe(opeEncrypt(key, 1));
    expect(opeEncrypt(key, 2 ** 18 + 1)).toBe(opeEncrypt(key, 2 ** 18));
  });

  test("the second that the run starts in counts as 1, as in tor's set_descriptor_revision_counter", () => {
    expect(opeRevision(blinded, 0)).toBe(opeEncrypt(revisionKey(blinded), 1));
    expect(opeRevision(blinded, 86_399.9)).toBe(opeEncrypt(revisionKey(blinded), daySeconds));
  });
});

describe('the revision counter', () => {
  const start = 1_795_132_800;
  const at = (epoch: number, seconds: number, lastSeen?: bigint): bigint =>
    revisionCounter({ blinded, epoch, revisionStart: start, now: start + seconds, lastSeen });

  test("epoch 0 without a last one seen is C tor's own counter", () => {
    expect(at(0, 5000)).toBe(opeRevision(blinded, 5000));
  });

  test('the shared key alone gives the same counter as the blinded key', () => {
    const input = { epoch: 3, revisionStart: start, now: start + 77 };
    expect(revisionCounter({ ...input, key: revisionKey(blinded) })).toBe(revisionCounter({ ...input, blinded }));
  });

  test('any counter of a later epoch is above any of an earlier one', () => {
    expect(at(1, 0) > at(0, 2 * daySeconds)).toBe(true);
    expect(at(8, 0) > at(7, 2 ** 18)).toBe(true);
    expect(epochOfRevision(at(7, 2 ** 18))).toBe(7);
    expect(epochOfRevision(at(0, 10))).toBe(0);
  });

  test('it is above the last one seen, also when the clock was set back', () => {
    const seen = at(2, 1000);
    expect(at(2, 1000, seen)).toBe(seen + 1n);
    expect(at(2, 10, seen)).toBe(seen + 1n);
    expect(at(2, 1001, seen)).toBe(at(2, 1001));
    expect(at(3, 10, seen)).toBe(at(3, 10));
  });

  test('a deposed publisher is refused, not raised above its successor', () => {
    const successor = at(5, 0);
    const error = expectCode('ONION_REVISION', () => at(4, 2 * daySeconds, successor));
    expect(error.message).toContain('epoch 5');
    expectCode('ONION_REVISION', () => at(4, 100, 5n * opeLimit - 1n));
  });

  test('two leaders that race never make equal or falling counters at a directory', () => {
    let stored = 0n;
    const publish = (epoch: number, seconds: number): void => {
      let revision: bigint;
      try {
        revision = at(epoch, seconds, stored);
      } catch {
        return;
      }
      expect(revision > stored).toBe(true);
      stored = revision;
    };
    publish(1, 100);
    publish(2, 90);
    publish(1, 110);
    publish(2, 91);
    publish(1, 5000);
    expect(epochOfRevision(stored)).toBe(2);
  });

  test('epochs that are no epochs are refused', () => {
    for (const epoch of [-1, 1.5, 2 ** 30, Number.NaN]) expectCode('ONION_REVISION', () => at(epoch, 0));
    expect(at(2 ** 30 - 1, 2 ** 18) < 2n ** 64n).toBe(true);
  });
});
