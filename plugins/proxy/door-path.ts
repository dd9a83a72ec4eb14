/** Which request targets lead to the door, however they are spelled: `/.rb` and all below it never reach the operator's target. */

const doorSegment = '.rb';
const mostDecodings = 4;

/** Decodes %XX once; what is no such triple stays. */
function decodedOnce(text: string): string {
  return text.replaceAll(/%([0-9a-fA-F]{2})/g, (_all, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

/** The path of a request target in origin, absolute or authority form, fully decoded; some servers decode twice. */
function pathOf(target: string): string {
  let path = target.replace(/^[a-zA-Z][a-zA-Z0-9+.-]*:\/\/[^/?#]*/, '').replace(/[?#].*$/s, '');
  for (let round = 0; round < mostDecodings; round++) {
    const next = decodedOnce(path);
    if (next === path) break;
    path = next;
  }
  return path.replaceAll('\\', '/').replace(/[?#].*$/s, '');
}

/** The segments that are left when empty ones, `.`, `..` and `;parameters` are resolved. */
function segmentsOf(path: string): string[] {
  const segments: string[] = [];
  for (const raw of path.split('/')) {
    // oxlint-disable-next-line no-control-regex
    const segment = raw.replace(/;.*$/s, '').replaceAll(/[\x00-\x20\x7f]/g, '');
    if (segment === '' || segment === '.') continue;
    if (segment === '..') segments.pop();
    else segments.push(segment);
  }
  return segments;
}

/** True for a request target that any server could take for `/.rb` or something below it. */
export function leadsToDoor(target: string): boolean {
  return segmentsOf(pathOf(target))[0]?.toLowerCase() === doorSegment;
}

/** The selector of a target that is spelled as a joiner spells it: `/.rb/<24 characters>`; undefined for any other. */
export function selectorOf(target: string): string | undefined {
  return /^\/\.rb\/([a-z2-7]{24})$/.exec(target)?.[1];
}
