import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { isChimeraError } from '../../../core/errors.ts';
import type { ConsensusTimes } from '../../../core/onion/index.ts';
import { parseProtocolInfo } from '../../../plugins/tor/authentication.ts';
import { encodeCommand } from '../../../plugins/tor/connection.ts';
import { microdescriptorIdentities, parseConsensus } from '../../../plugins/tor/consensus.ts';
import { parseEvent, parseTokens, quoted, unquoted } from '../../../plugins/tor/event.ts';
import { createReplyParser, type Reply, type ReplyLimits } from '../../../plugins/tor/reply.ts';

const limits: ReplyLimits = { maximumLine: 64, maximumReply: 256, maximumLines: 8 };

interface Outcome {
  readonly replies: readonly Reply[];
  readonly code: string | undefined;
}

function read(chunks: readonly Uint8Array[], within: ReplyLimits = limits): Outcome {
  const replies: Reply[] = [];
  const parser = createReplyParser((reply) => replies.push(reply), within);
  try {
    for (const chunk of chunks) parser.push(chunk);
  } catch (error) {
    if (!isChimeraError(error)) throw error;
    return { replies, code: error.code };
  }
  return { replies, code: undefined };
}

function cutAt(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  let position = 0;
  for (let index = 0; position < bytes.length; index++) {
    const size = sizes.length === 0 ? bytes.length : (sizes[index % sizes.length] as number);
    chunks.push(bytes.subarray(position, position + size));
    position += size;
  }
  return chunks;
}

/** Bytes that look like the protocol often enough to reach every branch. */
const piece = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.constantFrom(
      '250 OK',
      '250-',
      '250+a=',
      '650 ',
      '650+E',
      '650-',
      '552 x',
      '.',
      '..',
      '.x',
      '',
      '25',
      ' ',
      '\r',
    ),
  },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 80 }) },
);
const stream = fc
  .array(fc.tuple(piece, fc.constantFrom('\r\n', '\r\n', '\r\n', '\n', '\r', '')), { maxLength: 30 })
  .map((lines) => Buffer.from(lines.map((parts) => parts.join('')).join(''), 'utf8'));
const bytes = fc.oneof(stream, fc.uint8Array({ maxLength: 200 }));
const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 8 });

test('cutting the bytes otherwise changes nothing', () => {
  fc.assert(
    fc.property(bytes, sizes, (data, cuts) => {
      const whole = read([data]);
      expect(read(cutAt(data, cuts))).toEqual(whole);
      expect(read(cutAt(data, [1]))).toEqual(whole);
    }),
    { numRuns: 2000 },
  );
});

test('any bytes give replies within the limits or a coded error, and events of them', () => {
  fc.assert(
    fc.property(bytes, (data) => {
      const { replies, code } = read([data]);
      expect([undefined, 'TOR_NOT_CONTROL_PORT', 'TOR_REPLY_TOO_LARGE']).toContain(code);
      for (const reply of replies) {
        expect(reply.lines.length).toBeGreaterThan(0);
        expect(reply.lines.length).toBeLessThanOrEqual(limits.maximumLines);
        const size = reply.lines.reduce((sum, { text, data: body }) => sum + text.length + (body?.length ?? 0), 0);
        expect(size).toBeLessThanOrEqual(limits.maximumReply);
        expect(typeof parseEvent(reply.lines).name).toBe('string');
        parseProtocolInfo(reply);
      }
    }),
    { numRuns: 2000 },
  );
});

test('data reads back from what a command or a reply carries', () => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: fc.constantFrom('a', '.', ' ', 'é', '"', '5'), maxLength: 12 }), { maxLength: 12 }),
      (lines) => {
        const text = lines.map((line) => `${line}\n`).join('');
        const command = encodeCommand('X', text).toString('utf8');
        const body = command.slice('+X\r\n'.length);
        const { replies } = read([Buffer.from(`250+x=\r\n${body}250 OK\r\n`)], { ...limits, maximumReply: 4096 });
        expect(replies[0]?.lines[0]?.data).toBe(text);
      },
    ),
  );
});

test('tokens are total, and a quoted text reads back', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
      const { words, fields } = parseTokens(text);
      expect(words.every((word) => typeof word === 'string')).toBe(true);
      expect(Object.values(fields).every((value) => typeof value === 'string')).toBe(true);
      expect(unquoted(quoted(text))).toBe(text);
      expect(parseTokens(`K=${quoted(text)} next`)).toEqual({ words: ['next'], fields: { K: text } });
    }),
  );
});

function readConsensus(text: string, descriptors: string): { times?: ConsensusTimes; code?: string } {
  try {
    return { times: parseConsensus(text, descriptors, true).consensus.times };
  } catch (error) {
    if (!isChimeraError(error)) throw error;
    return { code: error.code };
  }
}

const keyword = fc.constantFrom(
  'r',
  'm',
  's',
  'pr',
  'params',
  'valid-after',
  'fresh-until',
  'shared-rand-current-value',
  'onion-key',
  'id',
  '',
);
const value = fc.oneof(
  fc.constantFrom(
    '2026-03-01 12:00:00',
    '2026-03-01 13:00:00',
    'HSDir',
    'HSDir=2',
    'HSDir=1-',
    'a=1',
    'ed25519 AAAA',
    'n AAAA',
  ),
  fc.string({ maxLength: 40 }),
);
const document = fc
  .array(fc.tuple(keyword, value), { maxLength: 40 })
  .map((lines) => lines.map((line) => `${line.join(' ')}\n`).join(''));

test('any text is a consensus or TOR_CONSENSUS', () => {
  fc.assert(
    fc.property(document, document, (text, descriptors) => {
      const header =
        'network-status-version 3 microdesc\nvalid-after 2026-03-01 12:00:00\nfresh-until 2026-03-01 13:00:00\n';
      for (const whole of [text, header + text]) {
        const { times, code } = readConsensus(whole, descriptors);
        expect(code ?? (times !== undefined && times.freshUntil > times.validAfter)).toSatisfy(
          (outcome) => outcome === true || outcome === 'TOR_CONSENSUS',
        );
      }
      expect(microdescriptorIdentities(descriptors)).toBeInstanceOf(Map);
    }),
    { numRuns: 1000 },
  );
});
