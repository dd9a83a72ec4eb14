/**
 * The line format of Tor's directory documents (dir-spec, "Document meta-format"): a keyword, its arguments, and
 * perhaps an object between BEGIN and END lines. Unknown keywords are kept for the caller to ignore. One pass, no
 * backtracking: time and memory are linear in the text, whose length the caller has bounded.
 */
import { ChimeraError } from '../../errors.ts';
import { decodeBase64, encodeBase64 } from '../bytes.ts';

export interface Item {
  readonly keyword: string;
  /** What follows the keyword on its line. */
  readonly rest: string;
  readonly object?: { readonly type: string; readonly body: string };
}

/** A refusal that names the layer ("outer", "middle", "inner") and what is wrong in it. */
export function malformed(layer: string, what: string): ChimeraError {
  return new ChimeraError('ONION_DESCRIPTOR', `${layer} layer of the descriptor: ${what}`, {
    remedy: 'Fetch the descriptor again; if it stays so, the service that made it is at fault.',
  });
}

const beginning = '-----BEGIN ';
const ending = '-----END ';
const dashes = '-----';

/** For messages: a keyword may be anything an attacker likes. */
function shown(keyword: string): string {
  return JSON.stringify(keyword.length > 40 ? `${keyword.slice(0, 40)}…` : keyword);
}

export function parseItems(layer: string, text: string): Item[] {
  if (text.includes('\0')) throw malformed(layer, 'it has a NUL byte');
  const items: Item[] = [];
  let offset = 0;
  while (offset < text.length) {
    const newline = text.indexOf('\n', offset);
    const end = newline < 0 ? text.length : newline;
    const line = text.slice(offset, end);
    offset = end + 1;
    if (line.trim() === '') continue;
    if (line.startsWith(beginning)) throw malformed(layer, 'an object without a keyword before it');
    const space = line.search(/[ \t]/);
    const keyword = space < 0 ? line : line.slice(0, space);
    const rest = space < 0 ? '' : line.slice(space + 1).trim();
    if (!text.startsWith(beginning, offset)) {
      items.push({ keyword, rest });
      continue;
    }
    const typeEnd = text.indexOf('\n', offset);
    if (typeEnd < 0 || !text.startsWith(dashes, typeEnd - dashes.length)) {
      throw malformed(layer, `the object of ${shown(keyword)} begins with a malformed line`);
    }
    const type = text.slice(offset + beginning.length, typeEnd - dashes.length);
    const bodyEnd = text.indexOf(ending, typeEnd + 1);
    const lastLine = `${ending}${type}${dashes}`;
    const after = bodyEnd + lastLine.length;
    if (bodyEnd < 0 || !text.startsWith(lastLine, bodyEnd) || (after < text.length && text[after] !== '\n')) {
      throw malformed(layer, `the object of ${shown(keyword)} has no matching END line`);
    }
    items.push({ keyword, rest, object: { type, body: text.slice(typeEnd + 1, bodyEnd) } });
    offset = after + 1;
  }
  return items;
}

/** The arguments of an item. */
export function argumentsOf(item: Item): string[] {
  return item.rest === '' ? [] : item.rest.split(/[ \t]+/);
}

/** The only item of a keyword, or `undefined`. Throws when there are several. */
export function optionalItem(layer: string, items: readonly Item[], keyword: string): Item | undefined {
  let found: Item | undefined;
  for (const item of items) {
    if (item.keyword !== keyword) continue;
    if (found !== undefined) throw malformed(layer, `"${keyword}" stands there more than once`);
    found = item;
  }
  return found;
}

/** The one item of a keyword. Throws when there is none or several. */
export function requiredItem(layer: string, items: readonly Item[], keyword: string): Item {
  const item = optionalItem(layer, items, keyword);
  if (item === undefined) throw malformed(layer, `"${keyword}" is missing`);
  return item;
}

/** The bytes of an item's object of one type. */
export function objectOf(layer: string, item: Item, type: string): Buffer {
  if (item.object?.type !== type) throw malformed(layer, `"${item.keyword}" has no object of type "${type}"`);
  const bytes = decodeBase64(item.object.body.replaceAll('\n', ''));
  if (bytes === undefined) throw malformed(layer, `the object of "${item.keyword}" is not base64`);
  return bytes;
}

/** The only argument of an item as a decimal number below 2^64. */
export function decimalOf(layer: string, item: Item): bigint {
  if (!/^\d{1,20}$/.test(item.rest)) throw malformed(layer, `"${item.keyword}" is not followed by one decimal number`);
  const value = BigInt(item.rest);
  if (value >= 2n ** 64n) throw malformed(layer, `the number of "${item.keyword}" is too large`);
  return value;
}

/** Base64 of exactly `length` bytes. */
export function bytesOf(layer: string, keyword: string, text: string | undefined, length: number): Uint8Array {
  const bytes = text === undefined ? undefined : decodeBase64(text);
  if (bytes?.length !== length) throw malformed(layer, `"${keyword}" does not hold ${length} bytes in base64`);
  return Uint8Array.from(bytes);
}

/** An object as tor writes it: base64 wrapped at 64 characters, every line ended. */
export function formatObject(type: string, bytes: Uint8Array): string {
  const text = encodeBase64(bytes);
  let lines = `${beginning}${type}${dashes}\n`;
  for (let offset = 0; offset < text.length; offset += 64) lines += `${text.slice(offset, offset + 64)}\n`;
  return `${lines}${ending}${type}${dashes}`;
}
