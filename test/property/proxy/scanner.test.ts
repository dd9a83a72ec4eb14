/** Laws of what stands before the operator's target: nothing for the door gets through, and all else is passed on as it came. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseDoorRequest } from '../../../plugins/proxy/door.ts';
import { leadsToDoor } from '../../../plugins/proxy/door-path.ts';
import { RequestScanner } from '../../../plugins/proxy/scanner.ts';

/** Pushes `bytes` in pieces; what was passed on, and how it ended. */
function scan(bytes: Uint8Array, cuts: readonly number[]): { passed: Buffer; verdict: string; held: number } {
  const scanner = new RequestScanner();
  const passed: Uint8Array[] = [];
  let at = 0;
  for (const cut of [...cuts, bytes.length]) {
    const piece = bytes.subarray(at, at + cut);
    at += piece.length;
    const { verdict, forward } = scanner.push(piece);
    passed.push(...forward);
    if (verdict !== 'pass') return { passed: Buffer.concat(passed), verdict, held: 0 };
  }
  const all = Buffer.concat(passed);
  return { passed: all, verdict: 'pass', held: bytes.length - all.length };
}

const cuts = fc.array(fc.nat(40), { maxLength: 30 });
const segment = fc.stringMatching(/^[a-z0-9]{1,6}$/);
const body = fc.stringMatching(/^[a-z\r\n /.]{0,60}$/);
const request = fc
  .record({
    method: fc.constantFrom('GET', 'POST', 'PUT', 'OPTIONS'),
    path: fc.array(segment, { maxLength: 3 }).map((parts) => `/${parts.join('/')}`),
    body,
    chunked: fc.boolean(),
    leading: fc.constantFrom('', '\r\n', '\n'),
  })
  .map(({ method, path, body: text, chunked, leading }) => {
    const head = `${leading}${method} ${path} HTTP/1.1\r\nHost: x.onion\r\nCookie: a=b\r\n`;
    if (!chunked) return `${head}Content-Length: ${text.length}\r\n\r\n${text}`;
    const chunk = text === '' ? '' : `${text.length.toString(16)};ext=1\r\n${text}\r\n`;
    return `${head}Transfer-Encoding: chunked\r\n\r\n${chunk}0\r\nTrailer: x\r\n\r\n`;
  });

/** Ways to write the path of the door. */
const disguised = fc.constantFrom(
  '/.rb/secret',
  '/.rb',
  '/.rb?x',
  '//.rb/secret',
  '/./.rb/secret',
  '/a/../.rb/secret',
  '/%2erb/secret',
  '/%2Erb%2fsecret',
  '/%252erb/secret',
  '/.RB/secret',
  '/.rb;v=1/secret',
  '/a;b/..;c/.rb/x',
  '\\.rb\\secret',
  '/.r%62/secret',
  '/%2e%2e/.rb/x',
  'http://x.onion/.rb/secret',
  'HTTP://x.onion:80//.rb/secret',
  '/.rb#x',
);

describe('the scanner', () => {
  test('passes any HTTP on byte for byte, however it is cut', () => {
    const law = fc.property(fc.array(request, { minLength: 1, maxLength: 5 }), cuts, (requests, pieces) => {
      const bytes = Buffer.from(requests.join(''), 'latin1');
      const { passed, verdict } = scan(bytes, pieces);
      return verdict === 'pass' && passed.equals(bytes);
    });
    expect(() => fc.assert(law, { numRuns: 500 })).not.toThrow();
  });

  test('never passes on a byte of a request for the door, alone or behind others, however it is written and cut', () => {
    const method = fc.constantFrom('POST', 'GET', 'post', 'X');
    const spacing = fc.constantFrom(' ', '  ', '\t');
    const version = fc.constantFrom(' HTTP/1.1', ' HTTP/1.0', '', ' HTTP/2', '  HTTP/1.1 ', ' x');
    const ending = fc.constantFrom('\r\n', '\n');
    const law = fc.property(
      fc.array(request, { maxLength: 3 }),
      fc.tuple(method, spacing, disguised, version, ending),
      cuts,
      (before, [verb, space, path, protocol, end], pieces) => {
        const first = Buffer.from(before.join(''), 'latin1');
        const bytes = Buffer.concat([first, Buffer.from(`${verb}${space}${path}${protocol}${end}Host: x${end}${end}`)]);
        const { passed, verdict } = scan(bytes, pieces);
        return verdict === 'door' && passed.equals(first);
      },
    );
    expect(() => fc.assert(law, { numRuns: 1_000 })).not.toThrow();
  });

  test('any bytes: what is passed on is what came, from the first on, and at most one line is held back', () => {
    const soup = fc
      .array(fc.oneof(request, fc.string({ unit: 'binary' }), disguised, fc.constantFrom('\r\n', 'POST ', '0\r\n\r\n')))
      .map((parts) => Buffer.from(parts.join(''), 'latin1'));
    const law = fc.property(fc.oneof(soup, fc.uint8Array()), cuts, (bytes, pieces) => {
      const { passed, held, verdict } = scan(bytes, pieces);
      const prefix = Buffer.from(bytes.buffer, bytes.byteOffset, passed.length).equals(passed);
      return prefix && held <= 16_384 && ['pass', 'door', 'refused'].includes(verdict);
    });
    expect(() => fc.assert(law, { numRuns: 1_000 })).not.toThrow();
  });

  test('the cuts change nothing', () => {
    const soup = fc
      .array(fc.oneof(request, disguised, fc.string({ unit: 'binary' })))
      .map((parts) => Buffer.from(parts.join(''), 'latin1'));
    const law = fc.property(soup, cuts, (bytes, pieces) => {
      const whole = scan(bytes, []);
      const cut = scan(bytes, pieces);
      // A line that is no request's may be let through before it is whole.
      return whole.verdict === cut.verdict && (whole.verdict === 'pass' || whole.passed.equals(cut.passed));
    });
    expect(() => fc.assert(law, { numRuns: 500 })).not.toThrow();
  });
});

describe('the door', () => {
  test('any bytes are a request, none, or not yet one; what is one was written exactly so', () => {
    const selector = fc.stringMatching(/^[a-z2-7]{24}$/);
    const near = fc
      .tuple(
        fc.constantFrom('POST', 'GET'),
        selector,
        fc.constantFrom('HTTP/1.1', 'HTTP/1.0'),
        fc.nat(30),
        fc.string({ maxLength: 30 }),
      )
      .map(([verb, path, version, length, text]) =>
        Buffer.from(`${verb} /.rb/${path} ${version}\r\nHost: x\r\nContent-Length: ${length}\r\n\r\n${text}`),
      );
    const law = fc.property(fc.oneof(near, fc.uint8Array()), (bytes) => {
      const parsed = parseDoorRequest(bytes);
      if (parsed === null || parsed === undefined) return true;
      const text = Buffer.from(bytes).toString('latin1');
      return text.startsWith(`POST /.rb/${parsed.selector} HTTP/1.1\r\n`) && parsed.body.length > 0;
    });
    expect(() => fc.assert(law, { numRuns: 1_000 })).not.toThrow();
  });

  test('a request is not one before its last byte, and is one then', () => {
    const bytes = Buffer.from(`POST /.rb/${'a'.repeat(24)} HTTP/1.1\r\ncontent-LENGTH: 3\r\n\r\nabc`);
    for (let length = 0; length < bytes.length; length++)
      expect(parseDoorRequest(bytes.subarray(0, length))).toBeUndefined();
    expect(parseDoorRequest(bytes)).toEqual({ selector: 'a'.repeat(24), body: new Uint8Array([97, 98, 99]) });
    expect(parseDoorRequest(Buffer.concat([bytes, Buffer.from('d')]))).toBeNull();
  });

  test.each(['/', '/rb', '/.rbx', '/a/.rb', '/.rb.html', '/x?/.rb', '/a/../../b', '*', 'x.onion:80', '/.%72', '/.r/b'])(
    'the path %s is the target’s',
    (path) => {
      expect(leadsToDoor(path)).toBe(false);
    },
  );
});
