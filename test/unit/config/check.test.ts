import * as v from 'valibot';
import { describe, expect, test } from 'vitest';
import { expectCode } from '../onion/support.ts';
import { checkConfig, coreSections, integer, nearest } from '../../../core/config/index.ts';

const inner = v.strictObject({
  port: v.optional(integer(1, 65_535), 80),
  password: v.optional(v.string()),
  secret_key: v.optional(integer(1, 2)),
  on: v.optional(v.boolean(), false),
  mode: v.optional(v.picklist(['a', 'b']), 'a'),
  list: v.optional(v.array(integer(1, 9)), []),
});
const schema = v.strictObject({ ...coreSections, inner: v.optional(inner, {}), must: v.optional(v.string(), 'x') });

function lines(value: unknown): string[] {
  const error = expectCode('CONFIG_INVALID', () => checkConfig(schema, value, 'file.toml'));
  return error.message.split('\n').map((line) => line.trim());
}

test('defaults are filled in', () => {
  expect(checkConfig(schema, {}, 'file.toml')).toMatchObject({
    inner: { port: 80, on: false, mode: 'a', list: [] },
    node: { id: 'node' },
    publish: { max_intro_points: 20, deadlines_ms: {} },
    log: { level: 'info', format: 'text' },
  });
});

describe('an unknown name', () => {
  test.each<[string, unknown, string]>([
    ['at the top', { presett: 'x' }, 'file.toml: presett: unknown setting; did you mean "preset"?'],
    [
      'in a table',
      { node: { state_dir: '/x' } },
      'file.toml: node.state_dir: unknown setting; did you mean "state_directory"?',
    ],
    ['in a plugin’s table', { inner: { prot: 1 } }, 'file.toml: inner.prot: unknown setting; did you mean "port"?'],
    [
      'of a step',
      { publish: { deadlines_ms: { uplod: 500 } } },
      'file.toml: publish.deadlines_ms.uplod: unknown setting; did you mean "upload"?',
    ],
    ['like none', { log: { colour: 'red' } }, 'file.toml: log.colour: unknown setting; known here: level, format'],
  ])('%s', (_name, value, line) => {
    expect(lines(value)).toEqual([line]);
  });

  test('all of them in one go', () => {
    expect(lines({ nod: {}, logg: {}, node: { idd: 'a', state: 'b' } })).toEqual([
      'file.toml:',
      'node.idd: unknown setting; did you mean "id"?',
      'node.state: unknown setting; did you mean "state_directory"?',
      'nod: unknown setting; did you mean "node"?',
      'logg: unknown setting; did you mean "log"?',
    ]);
  });
});

describe('a bad value', () => {
  test.each<[unknown, string]>([
    [{ inner: { port: 70_000 } }, 'inner.port = 70000: must be at most 65535'],
    [{ inner: { port: 0 } }, 'inner.port = 0: must be at least 1'],
    [{ inner: { port: 1.5 } }, 'inner.port = 1.5: must be a whole number from 1 to 65535'],
    [{ inner: { port: '80' } }, 'inner.port = "80": must be a whole number from 1 to 65535'],
    [{ inner: { on: 'yes' } }, 'inner.on = "yes": must be true or false'],
    [{ inner: { mode: 'c' } }, 'inner.mode = "c": must be ("a" | "b")'],
    [{ inner: { list: [1, 22] } }, 'inner.list.1 = 22: must be at most 9'],
    [{ inner: { list: 3 } }, 'inner.list = 3: must be a list'],
    [{ inner: 3 }, 'inner = 3: must be a table'],
    [{ node: { id: '-a' } }, 'node.id = "-a": must be 1 to 63 letters'],
    [{ log: { level: 'loud' } }, 'log.level = "loud": must be one of debug, info, warn, error, silent'],
    [{ must: 5 }, 'must = 5: must be a text'],
  ])('%j', (value, line) => {
    const [only, ...more] = lines(value);
    expect(more).toEqual([]);
    expect(only).toContain(`file.toml: ${line}`);
  });

  test('one line a field, all fields in one go', () => {
    expect(lines({ inner: { port: 1.5, on: 1, prot: 1 }, log: { format: 'xml' } })).toEqual([
      'file.toml:',
      'log.format = "xml": must be "text" or "json"',
      'inner.port = 1.5: must be a whole number from 1 to 65535',
      'inner.on = 1: must be true or false',
      'inner.prot: unknown setting; did you mean "port"?',
    ]);
  });

  test('a missing one is named', () => {
    const strict = v.strictObject({ table: v.optional(v.strictObject({ path: v.string() }), {} as never) });
    expect(() => checkConfig(strict, {}, 'file.toml')).toThrow('file.toml: table.path: missing; it has no default');
  });

  test('a long one is cut', () => {
    expect(lines({ inner: { on: 'x'.repeat(500) } })[0]?.length).toBeLessThan(140);
  });
});

describe('a secret is never shown', () => {
  test.each<[string, unknown]>([
    ['of the wrong type', { inner: { password: 4711 } }],
    ['out of range', { inner: { secret_key: 4711 } }],
    ['in a table where a text belongs', { must: { password: 4711 } }],
    ['in a list where a text belongs', { must: [{ inner: { api_token: 4711 } }] }],
  ])('%s', (_name, value) => {
    expect(lines(value).join('\n')).not.toContain('4711');
  });
});

test('nearest: one that may be meant, or none', () => {
  expect(nearest('head', ['heads', 'log'])).toBe('heads');
  expect(nearest('xyzzy', ['heads', 'log'])).toBeUndefined();
  expect(nearest('state_dir', ['id', 'state_directory'])).toBe('state_directory');
  expect(nearest('retry', ['retry_min_ms', 'retry_max_ms'])).toBeUndefined();
  expect(nearest('x', [])).toBeUndefined();
});
