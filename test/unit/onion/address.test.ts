import { describe, expect, test } from 'vitest';
import { addressOfKey, parseOnionAddress, publicKeyOf } from '../../../core/onion/index.ts';
import { expectCode, hex } from './support.ts';

const known = '25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkenl5sid';
const knownKey = hex('d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a');

describe('onion addresses', () => {
  test('C tor test_hs_common.c: the address of a known key', () => {
    expect(addressOfKey(knownKey)).toBe(known);
    expect(publicKeyOf(parseOnionAddress(known))).toEqual(knownKey);
  });

  test('any case, surrounding space and ".onion" are taken', () => {
    for (const text of [known, `${known}.onion`, `${known.toUpperCase()}.ONION`, ` ${known}.onion\n`]) {
      expect(parseOnionAddress(text)).toBe(known);
    }
  });

  test.each([
    ['', /has 0/],
    [known.slice(1), /has 55/],
    [`${known}a`, /has 57/],
    [`x${'a'.repeat(300)}`, /has 301/],
    [`1${known.slice(1)}`, /base32/],
    [`${known.slice(0, 55)}e`, /version/],
    [`b${known.slice(1)}`, /checksum/],
    ['expyuzz4wqqyqhjn.onion', /version 2 address/],
    [`www.${known}.onion`, /has 60/],
  ])('%j is refused, and the message says why', (text, why) => {
    const error = expectCode('ONION_ADDRESS', () => parseOnionAddress(text));
    expect(error.message).toMatch(why);
    expect(error.remedy).toBeDefined();
  });

  test('a key of another length has no address', () => {
    expectCode('ONION_ADDRESS', () => addressOfKey(new Uint8Array(31)));
    expectCode('ONION_ADDRESS', () => publicKeyOf('short' as ReturnType<typeof parseOnionAddress>));
  });
});
