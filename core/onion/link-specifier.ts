/** Link specifiers (tor-spec, "EXTEND2"): how a client reaches an introduction point. Lists are as in rend-spec-v3's `introduction-point` line. */
import { ChimeraError } from '../errors.ts';
import { copyOf } from './bytes.ts';

export interface LinkSpecifier {
  readonly type: number;
  readonly data: Uint8Array;
}

/** The types that C tor knows, in the order in which it writes them. */
export const linkSpecifierTypes = { ipv4: 0, ipv6: 1, legacyId: 2, ed25519Id: 3 } as const;

const expectedLengths: ReadonlyMap<number, number> = new Map([
  [linkSpecifierTypes.ipv4, 6],
  [linkSpecifierTypes.ipv6, 18],
  [linkSpecifierTypes.legacyId, 20],
  [linkSpecifierTypes.ed25519Id, 32],
]);

function refuse(what: string): ChimeraError {
  return new ChimeraError('ONION_DESCRIPTOR', `link specifiers: ${what}`);
}

/** A list from its bytes: count, then type, length and data of each. Throws ONION_DESCRIPTOR. Unknown types are kept. */
export function decodeLinkSpecifiers(bytes: Uint8Array): readonly LinkSpecifier[] {
  const count = bytes[0];
  if (count === undefined || count === 0) throw refuse('the list is empty');
  const specifiers: LinkSpecifier[] = [];
  let offset = 1;
  for (let index = 0; index < count; index++) {
    const type = bytes[offset];
    const length = bytes[offset + 1];
    if (type === undefined || length === undefined || offset + 2 + length > bytes.length)
      throw refuse('the list is cut');
    const expected = expectedLengths.get(type);
    if (expected !== undefined && expected !== length)
      throw refuse(`type ${type} has ${length} bytes instead of ${expected}`);
    specifiers.push({ type, data: copyOf(bytes.subarray(offset + 2, offset + 2 + length)) });
    offset += 2 + length;
  }
  if (offset !== bytes.length) throw refuse(`${bytes.length - offset} bytes follow the list`);
  return specifiers;
}

/** The bytes of a list. Throws ONION_DESCRIPTOR for an empty one, or one beyond 255 entries or 255 bytes an entry. */
export function encodeLinkSpecifiers(specifiers: readonly LinkSpecifier[]): Uint8Array {
  if (specifiers.length === 0 || specifiers.length > 255)
    throw refuse(`${specifiers.length} entries cannot be written`);
  const parts: Uint8Array[] = [Uint8Array.of(specifiers.length)];
  for (const { type, data } of specifiers) {
    const expected = expectedLengths.get(type) ?? data.length;
    if (!Number.isInteger(type) || type < 0 || type > 255 || data.length > 255 || data.length !== expected) {
      throw refuse(`an entry of type ${type} with ${data.length} bytes cannot be written`);
    }
    parts.push(Uint8Array.of(type, data.length), data);
  }
  return copyOf(Buffer.concat(parts));
}

/** What C tor writes for a relay, in its order: IPv4, legacy id, Ed25519 id, IPv6. */
export interface RelayContact {
  /** Dotted IPv4 address. */
  readonly ipv4: string;
  readonly port: number;
  /** 40 hexadecimal characters. */
  readonly fingerprint: string;
  /** 32 bytes. */
  readonly ed25519?: Uint8Array;
  /** 16 bytes, and its port. */
  readonly ipv6?: { readonly address: Uint8Array; readonly port: number };
}

/** The link specifiers of a relay, as C tor writes them. Throws ONION_DESCRIPTOR for a malformed address, port or identity. */
export function linkSpecifiersOfRelay(relay: RelayContact): readonly LinkSpecifier[] {
  const octets = relay.ipv4.split('.').map(Number);
  const fingerprint = Buffer.from(relay.fingerprint, 'hex');
  if (octets.length !== 4 || octets.some((octet) => !Number.isInteger(octet) || octet < 0 || octet > 255)) {
    throw refuse(`"${relay.ipv4}" is not an IPv4 address`);
  }
  if (!Number.isInteger(relay.port) || relay.port < 1 || relay.port > 65_535)
    throw refuse(`${relay.port} is not a port`);
  if (fingerprint.length !== 20) throw refuse('a fingerprint has 40 hexadecimal characters');
  const specifiers: LinkSpecifier[] = [
    { type: linkSpecifierTypes.ipv4, data: Uint8Array.of(...octets, ...portBytes(relay.port)) },
    { type: linkSpecifierTypes.legacyId, data: copyOf(fingerprint) },
  ];
  if (relay.ed25519 !== undefined) specifiers.push({ type: linkSpecifierTypes.ed25519Id, data: copyOf(relay.ed25519) });
  if (relay.ipv6 !== undefined) {
    if (relay.ipv6.address.length !== 16) throw refuse('an IPv6 address has 16 bytes');
    specifiers.push({
      type: linkSpecifierTypes.ipv6,
      data: Uint8Array.of(...relay.ipv6.address, ...portBytes(relay.ipv6.port)),
    });
  }
  return specifiers;
}

function portBytes(port: number): readonly [number, number] {
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw refuse(`${port} is not a port`);
  return [port >> 8, port & 255];
}

/** The relay's fingerprint (40 upper-case characters) in a list, if it has one. */
export function fingerprintIn(specifiers: readonly LinkSpecifier[]): string | undefined {
  const found = specifiers.find(({ type }) => type === linkSpecifierTypes.legacyId);
  return found && Buffer.from(found.data).toString('hex').toUpperCase();
}

/** The relay's IPv4 address and port in a list, if it has one. */
export function ipv4In(
  specifiers: readonly LinkSpecifier[],
): { readonly host: string; readonly port: number } | undefined {
  const data = specifiers.find(({ type }) => type === linkSpecifierTypes.ipv4)?.data;
  if (data === undefined || data.length !== 6) return undefined;
  return { host: data.subarray(0, 4).join('.'), port: Buffer.from(data).readUInt16BE(4) };
}
