import { describe, expect, test } from 'vitest';
import { ChimeraError } from '../../../core/errors.ts';
import { createLog, isSecretName, redacted, silentLog, type LogLevel } from '../../../core/runtime/index.ts';

function recorded(level: LogLevel = 'debug') {
  const lines: string[] = [];
  return { log: createLog({ write: (line: string) => void lines.push(line) }, level, () => 0), lines };
}

describe('names of secrets', () => {
  test.each([
    'secret',
    'expandedSecret',
    'clientSecret',
    'privateKey',
    'private_key',
    'password',
    'passphrase',
    'HashedControlPassword',
    'authToken',
    'cookie',
    'cookiePath',
    'seed',
    'share',
    'psk',
    'credential',
    'subcredential',
    'prf',
    'key',
    'identity_key',
    'masterKey',
    'clientKey',
    'signingKey',
    'sessionKey',
    'SECRETKEY',
  ])('%s', (name) => {
    expect(isSecretName(name)).toBe(true);
  });

  test.each([
    'publicKey',
    'clientPublicKey',
    'signingPublicKey',
    'blindedKey',
    'fingerprint',
    'key_fingerprint',
    'head',
    'address',
    'monkey',
    'keys',
    'plugin',
    'why',
  ])('not %s', (name) => {
    expect(isSecretName(name)).toBe(false);
  });
});

describe('what is cut', () => {
  const secret = 'hunter2';
  test.each<[string, unknown]>([
    ['at the top', { password: secret }],
    ['deep in objects', { a: { b: { c: { token: secret } } } }],
    ['in lists', { all: [{ seed: secret }] }],
    ['in a map', { all: new Map([['x', { psk: secret }]]) }],
    ['an object under a secret’s name', { secrets: { x: secret } }],
    ['bytes, whatever their name', { body: new TextEncoder().encode(secret) }],
    ['a buffer', { body: Buffer.from(secret) }],
    ['in a child’s fields', undefined],
    ['in the cause of an error', { error: new Error('fine', { cause: new Error(secret) }) }],
    ['in an error’s other fields', { error: Object.assign(new Error('fine'), { response: secret }) }],
    ['a secret key file in a text', { text: `== ed25519v1-secret: type0 ==\0\0\0${secret}` }],
    ['an array of other numbers', { body: Uint16Array.from(Buffer.from(secret)) }],
    ['a key in PEM', { text: `-----BEGIN PRIVATE KEY-----\n${secret}` }],
    ['a client’s key as tor keeps it', { text: `${'a'.repeat(56)}:descriptor:x25519:${secret}` }],
    ['a command that proves who we are', { text: `AUTHENTICATE "${secret}"` }],
    [
      'a secret text in an error’s remedy',
      { error: Object.assign(new Error('x'), { remedy: `-----BEGIN PRIVATE KEY-----${secret}` }) },
    ],
    ['beyond the depth that is shown', { a: { b: { c: { d: { e: { f: { g: secret } } } } } } }],
  ])('%s', (_name, fields) => {
    const { log, lines } = recorded();
    if (fields === undefined) log.child({ password: secret }).info('hello', {});
    else log.error('hello', fields as Record<string, unknown>);
    expect(lines).toHaveLength(1);
    expect(lines[0]).not.toContain(secret);
    expect(lines[0]).not.toContain([...Buffer.from(secret)].join(','));
    expect(lines[0]).toContain('hello');
  });

  test('in the message itself, and in a child’s', () => {
    const { log, lines } = recorded();
    log.warn(`refused: invite-${'a'.repeat(56)}`);
    log.child({ plugin: 'x' }).error(`-----BEGIN ENCRYPTED PRIVATE KEY-----\n${secret}`);
    expect(lines.map((line) => (JSON.parse(line) as { message: string }).message)).toEqual([
      'refused: [redacted]',
      '[redacted]',
    ]);
  });

  test('what is public stays', () => {
    expect(redacted({ head: 'one/1', publicKey: 'abc', revision: 12n, on: true, none: null })).toEqual({
      head: 'one/1',
      publicKey: 'abc',
      revision: '12',
      on: true,
      none: null,
    });
  });

  test('an error shows its message, code and remedy', () => {
    const error = new ChimeraError('TOR_CONNECT', 'no tor', { remedy: 'start it', cause: new Error('ECONNREFUSED') });
    expect(redacted({ error })).toEqual({ error: { message: 'no tor', code: 'TOR_CONNECT', remedy: 'start it' } });
    expect(redacted({ error: new Error('plain') })).toEqual({ error: { message: 'plain' } });
  });

  test('bytes show their length, long texts their beginning and length', () => {
    expect(redacted({ body: new Uint8Array(96) })).toEqual({ body: '[96 bytes]' });
    const { text } = redacted({ text: 'x'.repeat(10_000) }) as { text: string };
    expect(text.length).toBeLessThan(4200);
    expect(text).toContain('10000 characters');
  });

  test('a circle ends', () => {
    const circle: Record<string, unknown> = { name: 'x' };
    circle.self = circle;
    expect(JSON.stringify(redacted(circle)).length).toBeLessThan(1000);
    const { log, lines } = recorded();
    log.info('circle', circle);
    expect(lines).toHaveLength(1);
  });
});

test('a line is JSON with level, time, message and the fields of its parents', () => {
  const { log, lines } = recorded();
  log.child({ node: 'one' }).child({ plugin: 'tor' }).warn('lost', { head: 'one/1' });
  expect(JSON.parse(lines[0] ?? '')).toEqual({
    level: 'warn',
    time: '1970-01-01T00:00:00.000Z',
    message: 'lost',
    node: 'one',
    plugin: 'tor',
    head: 'one/1',
  });
});

test.each([
  ['debug', 4],
  ['info', 3],
  ['warn', 2],
  ['error', 1],
  ['silent', 0],
] as const)('level %s writes %i of four', (level, count) => {
  const { log, lines } = recorded(level);
  for (const name of ['debug', 'info', 'warn', 'error'] as const) log[name](name);
  expect(lines).toHaveLength(count);
  expect(silentLog.child({})).toBe(silentLog);
});
