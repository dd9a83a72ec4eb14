import { expect, test } from 'vitest';
import { fingerprintOf, parseEvent, parseTokens, quoted, unquoted } from '../../../plugins/tor/event.ts';

const fingerprint = '0123456789ABCDEF0123456789ABCDEF01234567';

test('splits an HS_DESC event', () => {
  expect(parseEvent([{ text: `HS_DESC FAILED addr NO_AUTH $${fingerprint}~nick id REASON=UPLOAD_REJECTED` }])).toEqual({
    name: 'HS_DESC',
    words: ['FAILED', 'addr', 'NO_AUTH', `$${fingerprint}~nick`, 'id'],
    fields: { REASON: 'UPLOAD_REJECTED' },
  });
});

test('splits a CIRC event, whose path may hold =', () => {
  const event = parseEvent([
    {
      text: `CIRC 30 BUILT $${fingerprint}=old,$${fingerprint}~new PURPOSE=HS_SERVICE_REND SOCKS_USERNAME="a \\"b\\" c" X=`,
    },
  ]);
  expect(event.words).toEqual(['30', 'BUILT', `$${fingerprint}=old,$${fingerprint}~new`]);
  expect(event.fields).toEqual({ PURPOSE: 'HS_SERVICE_REND', SOCKS_USERNAME: 'a "b" c', X: '' });
});

test('gives the data of HS_DESC_CONTENT and the lines of CONF_CHANGED', () => {
  expect(parseEvent([{ text: 'HS_DESC_CONTENT a b c', data: 'hs-descriptor 3\n' }, { text: 'OK' }]).data).toBe(
    'hs-descriptor 3\n',
  );
  expect(parseEvent([{ text: 'CONF_CHANGED' }, { text: 'A=1' }, { text: 'B' }, { text: 'OK' }]).data).toBe('A=1\nB\n');
});

test('reads quoted strings with octal and letter escapes as UTF-8', () => {
  expect(parseTokens('COOKIEFILE="/run/\\303\\251\\t\\\\x y" next').fields['COOKIEFILE']).toBe('/run/é\t\\x y');
  expect(parseTokens('A="open').fields['A']).toBe('open');
});

test('a key named like a part of every object is only a key', () => {
  const { fields } = parseTokens('__proto__=x constructor=y');
  expect(Object.entries(fields)).toEqual([
    ['__proto__', 'x'],
    ['constructor', 'y'],
  ]);
});

test('what is written quoted reads back', () => {
  expect(unquoted(quoted('a "b" \\ c'))).toBe('a "b" \\ c');
  expect(unquoted('notice file "x"')).toBe('notice file "x"');
});

test('finds the fingerprint in every form of a relay name', () => {
  for (const name of [`$${fingerprint}~nick`, `$${fingerprint}=nick`, `$${fingerprint}`, fingerprint.toLowerCase()])
    expect(fingerprintOf(name)).toBe(fingerprint);
  for (const name of ['UNKNOWN', undefined, `$${fingerprint}0`, '$1234~x']) expect(fingerprintOf(name)).toBeUndefined();
});
