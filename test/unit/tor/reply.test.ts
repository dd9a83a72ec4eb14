import { expect, test } from 'vitest';
import { isChimeraError } from '../../../core/errors.ts';
import { createReplyParser, defaultReplyLimits, type Reply, type ReplyLimits } from '../../../plugins/tor/reply.ts';

function parse(text: string | Uint8Array, limits: ReplyLimits = defaultReplyLimits): Reply[] {
  const replies: Reply[] = [];
  createReplyParser((reply) => replies.push(reply), limits).push(
    typeof text === 'string' ? Buffer.from(text, 'utf8') : text,
  );
  return replies;
}

function codeOf(run: () => unknown): string | undefined {
  try {
    run();
  } catch (error) {
    if (isChimeraError(error)) return error.code;
    throw error;
  }
  return undefined;
}

test('reads single-line, multi-line and data replies in order', () => {
  expect(parse('250 OK\r\n250-a=1\r\n250-b=2\r\n250 OK\r\n250+md/all=\r\nx\r\ny\r\n.\r\n250 OK\r\n')).toEqual([
    { code: 250, lines: [{ text: 'OK' }] },
    { code: 250, lines: [{ text: 'a=1' }, { text: 'b=2' }, { text: 'OK' }] },
    { code: 250, lines: [{ text: 'md/all=', data: 'x\ny\n' }, { text: 'OK' }] },
  ]);
});

test('takes the stuffed dot off data lines and no other dot', () => {
  const [reply] = parse('250+a=\r\n..\r\n...b\r\nc.\r\n\r\n.\r\n250 OK\r\n');
  expect(reply?.lines[0]?.data).toBe('.\n..b\nc.\n\n');
});

test('gives empty data for a block without lines', () => {
  expect(parse('250+ns/all=\r\n.\r\n250 OK\r\n')[0]?.lines[0]).toEqual({ text: 'ns/all=', data: '' });
});

test('keeps an event apart from the reply that it interrupts', () => {
  const replies = parse(
    '250-a=1\r\n650+HS_DESC_CONTENT x y z\r\nbody\r\n.\r\n250-b=2\r\n650 OK\r\n650 BW 1 2\r\n250 OK\r\n',
  );
  expect(replies).toEqual([
    { code: 650, lines: [{ text: 'HS_DESC_CONTENT x y z', data: 'body\n' }, { text: 'OK' }] },
    { code: 650, lines: [{ text: 'BW 1 2' }] },
    { code: 250, lines: [{ text: 'a=1' }, { text: 'b=2' }, { text: 'OK' }] },
  ]);
});

test('reads UTF-8, also when a character is cut by a chunk', () => {
  const replies: Reply[] = [];
  const parser = createReplyParser((reply) => replies.push(reply));
  for (const byte of Buffer.from('250 ContactInfo=é€\r\n', 'utf8')) parser.push(Uint8Array.of(byte));
  expect(replies[0]?.lines[0]?.text).toBe('ContactInfo=é€');
});

test.each([
  ['an HTTP server', 'HTTP/1.1 400 Bad Request\r\n'],
  ['an SSH server', 'SSH-2.0-OpenSSH_9.2p1'],
  ['a SOCKS server', Uint8Array.of(5, 255)],
  ['an empty line', '\r\n'],
  ['a line that is too short', '25\r\n'],
  ['a code without separator', '250OK\r\n'],
])('refuses %s as no control protocol', (_name, bytes) => {
  expect(codeOf(() => parse(bytes))).toBe('TOR_NOT_CONTROL_PORT');
});

test('shows what a foreign server said, and nothing once the talk has begun', () => {
  expect(() => parse('HTTP/1.1 400 Bad\x07\r\n')).toThrow('"HTTP/1.1 400 Bad."');
  expect(() => parse('250 OK\r\nsecret-echo\r\n')).toThrow(/^a line came that is no control protocol$/);
});

const small: ReplyLimits = { maximumLine: 20, maximumReply: 60, maximumLines: 4 };

test.each([
  ['a line', `250 ${'x'.repeat(17)}\r\n`],
  ['a line that never ends', `250 ${'x'.repeat(18)}`],
  ['a data line', `250+a=\r\n${'x'.repeat(21)}\r\n.\r\n250 OK\r\n`],
  ['the data', `250+a=\r\n${'xxxxxxxxxx\r\n'.repeat(6)}`],
  ['the number of lines', '250-a\r\n'.repeat(5)],
])('has a limit on %s', (_name, text) => {
  expect(codeOf(() => parse(text, small))).toBe('TOR_REPLY_TOO_LARGE');
});

test('takes what just fits the limits, one reply after another', () => {
  const line = `250 ${'x'.repeat(16)}\r\n`;
  expect(parse(line.repeat(50), small)).toHaveLength(50);
});
