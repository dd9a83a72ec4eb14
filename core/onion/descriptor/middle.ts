/** The middle layer: client authorization, and the encrypted inner layer. */
import type { KeyObject } from 'node:crypto';
import { encodeBase64, encodeBase64Unpadded } from '../bytes.ts';
import { aesCtr } from '../hash.ts';
import { clientIdLength, clientKeys, cookieIvLength, cookieLength } from './cipher.ts';
import { argumentsOf, bytesOf, formatObject, malformed, objectOf, parseItems, requiredItem } from './items.ts';

/** One `auth-client` line. */
export interface AuthClient {
  readonly id: Uint8Array;
  readonly iv: Uint8Array;
  readonly encryptedCookie: Uint8Array;
}

export interface MiddleLayer {
  /** X25519, 32 bytes. */
  readonly ephemeralKey: Uint8Array;
  readonly clients: readonly AuthClient[];
  /** The encrypted inner layer. */
  readonly encrypted: Uint8Array;
}

const layer = 'middle';

/** Throws ONION_DESCRIPTOR. */
export function parseMiddle(text: string): MiddleLayer {
  const items = parseItems(layer, text);
  if (items[0]?.keyword !== 'desc-auth-type') throw malformed(layer, 'it does not begin with "desc-auth-type"');
  const type = argumentsOf(requiredItem(layer, items, 'desc-auth-type'))[0];
  if (type !== 'x25519') throw malformed(layer, 'its client authorization is not of type x25519');
  const ephemeral = requiredItem(layer, items, 'desc-auth-ephemeral-key');
  const clients = items.filter(({ keyword }) => keyword === 'auth-client');
  if (clients.length === 0) throw malformed(layer, '"auth-client" is missing');
  return {
    ephemeralKey: bytesOf(layer, ephemeral.keyword, argumentsOf(ephemeral)[0], 32),
    clients: clients.map((item) => {
      const [id, iv, cookie] = argumentsOf(item);
      return {
        id: bytesOf(layer, item.keyword, id, clientIdLength),
        iv: bytesOf(layer, item.keyword, iv, cookieIvLength),
        encryptedCookie: bytesOf(layer, item.keyword, cookie, cookieLength),
      };
    }),
    encrypted: objectOf(layer, requiredItem(layer, items, 'encrypted'), 'MESSAGE'),
  };
}

/** The middle layer as tor writes it: it ends without a newline. */
export function formatMiddle(middle: MiddleLayer): string {
  const clients = middle.clients.map(({ id, iv, encryptedCookie }) =>
    ['auth-client', encodeBase64Unpadded(id), encodeBase64Unpadded(iv), encodeBase64Unpadded(encryptedCookie)].join(
      ' ',
    ),
  );
  return [
    'desc-auth-type x25519',
    `desc-auth-ephemeral-key ${encodeBase64(middle.ephemeralKey)}`,
    ...clients,
    'encrypted',
    formatObject('MESSAGE', middle.encrypted),
  ].join('\n');
}

/** The descriptor cookie that this client may read, or `undefined` when it is not among the authorized ones. */
export function cookieFor(
  middle: MiddleLayer,
  subcredential: Uint8Array,
  clientKey: KeyObject,
): Uint8Array | undefined {
  const keys = clientKeys(subcredential, clientKey, middle.ephemeralKey);
  const own = keys && middle.clients.find(({ id }) => keys.id.equals(id));
  return keys && own && aesCtr(keys.cookieKey, own.iv, own.encryptedCookie);
}
