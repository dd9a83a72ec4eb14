import { describe, expect, test } from 'vitest';
import {
  decodeLinkSpecifiers,
  encodeLinkSpecifiers,
  fingerprintIn,
  ipv4In,
  linkSpecifiersOfRelay,
} from '../../../core/onion/index.ts';
import { expectCode, hex, toHex } from './support.ts';

const relay = {
  ipv4: '192.0.2.7',
  port: 9001,
  fingerprint: 'AA'.repeat(20),
  ed25519: new Uint8Array(32).fill(0xbb),
};
const encoded = `030006c000020723290214${'aa'.repeat(20)}0320${'bb'.repeat(32)}`;

describe('link specifiers', () => {
  test('tor-spec EXTEND2: count, then type, length, data; IPv4, legacy id, Ed25519 id', () => {
    const specifiers = linkSpecifiersOfRelay(relay);
    expect(toHex(encodeLinkSpecifiers(specifiers))).toBe(encoded);
    expect(decodeLinkSpecifiers(hex(encoded))).toEqual(specifiers);
    expect(fingerprintIn(specifiers)).toBe(relay.fingerprint);
    expect(ipv4In(specifiers)).toEqual({ host: relay.ipv4, port: relay.port });
    expect(fingerprintIn([])).toBeUndefined();
    expect(ipv4In([])).toBeUndefined();
  });

  test('C tor hs_get_link_specifiers order: an IPv6 address comes last', () => {
    const ipv6 = { address: new Uint8Array(16).fill(0x20), port: 443 };
    const bytes = encodeLinkSpecifiers(linkSpecifiersOfRelay({ ...relay, ipv6 }));
    expect(toHex(bytes)).toBe(`04${encoded.slice(2)}0112${'20'.repeat(16)}01bb`);
    expectCode('ONION_DESCRIPTOR', () => linkSpecifiersOfRelay({ ...relay, ipv6: { ...ipv6, port: 65_536 } }));
    expectCode('ONION_DESCRIPTOR', () =>
      linkSpecifiersOfRelay({ ...relay, ipv6: { ...ipv6, address: new Uint8Array(4) } }),
    );
  });

  test('unknown types and their order are kept', () => {
    const bytes = hex('0209020102fe00');
    expect(toHex(encodeLinkSpecifiers(decodeLinkSpecifiers(bytes)))).toBe('0209020102fe00');
  });

  test.each(['', '00', '01', '0100', '010006aabb', '010005aabbccddee', `${encoded}00`, '020201aa', '01021300'])(
    '%j is refused',
    (bytes) => {
      expectCode('ONION_DESCRIPTOR', () => decodeLinkSpecifiers(hex(bytes)));
    },
  );

  test('what cannot be written is refused', () => {
    expectCode('ONION_DESCRIPTOR', () => encodeLinkSpecifiers([]));
    expectCode('ONION_DESCRIPTOR', () => encodeLinkSpecifiers([{ type: 256, data: new Uint8Array() }]));
    expectCode('ONION_DESCRIPTOR', () => encodeLinkSpecifiers([{ type: 0, data: new Uint8Array(5) }]));
    for (const change of [{ ipv4: '1.2.3' }, { ipv4: '1.2.3.256' }, { port: 0 }, { fingerprint: 'AA' }]) {
      expectCode('ONION_DESCRIPTOR', () => linkSpecifiersOfRelay({ ...relay, ...change }));
    }
  });
});
