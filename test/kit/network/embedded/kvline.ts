/** The argument lines of control commands: words, then KEY=value pairs whose values may be quoted. */

export interface Keyword {
  readonly key: string;
  /** Undefined when there is no `=`. */
  readonly value: string | undefined;
}

const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t' };

/** Undefined when a quote is not closed. */
export function parseKeywords(text: string): Keyword[] | undefined {
  const keywords: Keyword[] = [];
  let at = 0;
  while (at < text.length) {
    if (text[at] === ' ' || text[at] === '\t') {
      at += 1;
      continue;
    }
    const start = at;
    while (at < text.length && text[at] !== '=' && text[at] !== ' ' && text[at] !== '\t') at += 1;
    const key = text.slice(start, at);
    if (text[at] !== '=') {
      keywords.push({ key, value: undefined });
      continue;
    }
    at += 1;
    if (text[at] === '"') {
      const quoted = parseQuoted(text, at);
      if (quoted === undefined) return undefined;
      keywords.push({ key, value: quoted.value });
      at = quoted.end;
      continue;
    }
    const valueStart = at;
    while (at < text.length && text[at] !== ' ' && text[at] !== '\t') at += 1;
    keywords.push({ key, value: text.slice(valueStart, at) });
  }
  return keywords;
}

/** Reads a quoted string whose opening quote is at `start`. */
export function parseQuoted(text: string, start: number): { readonly value: string; readonly end: number } | undefined {
  let value = '';
  for (let at = start + 1; at < text.length; at++) {
    const character = text.charAt(at);
    if (character === '"') return { value, end: at + 1 };
    if (character !== '\\') {
      value += character;
      continue;
    }
    at += 1;
    const octal = /^[0-7]{1,3}/.exec(text.slice(at))?.[0];
    if (octal !== undefined) {
      value += String.fromCharCode(parseInt(octal, 8) & 255);
      at += octal.length - 1;
    } else {
      const escaped = text.charAt(at);
      value += escapes[escaped] ?? escaped;
    }
  }
  return undefined;
}

export function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, (character) => `\\${character}`)}"`;
}
