/** Authentication at a control port (control-spec 3.5, 3.24): none, cookie, safe cookie, password. */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { Random } from '../../../../core/runtime/index.ts';
import { parseQuoted, quoted } from './kvline.ts';

export interface Credentials {
  /** 32 bytes; undefined when CookieAuthentication is off. */
  readonly cookie: Uint8Array | undefined;
  readonly cookiePath: string;
  /** HashedControlPassword lines. */
  readonly hashedPasswords: readonly string[];
}

export interface AuthReply {
  readonly line: string;
  /** The connection is closed after it. */
  readonly close: boolean;
  readonly authenticated?: boolean;
}

const serverConstant = 'Tor safe cookie authentication server-to-controller hash';
const clientConstant = 'Tor safe cookie authentication controller-to-server hash';

/** OpenPGP's iterated and salted S2K, as `tor --hash-password` uses it. */
function hashPassword(password: Uint8Array, specifier: Uint8Array): Buffer {
  const count = (16 + ((specifier[8] ?? 0) & 15)) << (((specifier[8] ?? 0) >> 4) + 6);
  const salted = Buffer.concat([specifier.subarray(0, 8), password]);
  const hash = createHash('sha1');
  for (let left = count; left > 0; left -= salted.length) hash.update(salted.subarray(0, left));
  return hash.digest();
}

/** A HashedControlPassword line. */
export function hashedControlPassword(password: string, random: Random): string {
  const specifier = Buffer.concat([random.bytes(8), Buffer.from([0x60])]);
  return `16:${Buffer.concat([specifier, hashPassword(Buffer.from(password), specifier)])
    .toString('hex')
    .toUpperCase()}`;
}

function same(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && timingSafeEqual(left, right);
}

function fitsHash(password: Uint8Array, line: string): boolean {
  const bytes = Buffer.from(line.replace(/^16:/, ''), 'hex');
  return bytes.length === 29 && same(hashPassword(password, bytes.subarray(0, 9)), bytes.subarray(9));
}

/** The authentication of one connection. */
export class ControlAuthentication {
  readonly #credentials: Credentials;
  readonly #random: Random;
  #expected: Buffer | undefined;

  constructor(credentials: Credentials, random: Random) {
    this.#credentials = credentials;
    this.#random = random;
  }

  protocolInfo(version: string): string[] {
    const { cookie, cookiePath, hashedPasswords } = this.#credentials;
    const methods: string[] = [];
    if (cookie) methods.push('COOKIE', 'SAFECOOKIE');
    if (hashedPasswords.length > 0) methods.push('HASHEDPASSWORD');
    if (methods.length === 0) methods.push('NULL');
    const file = cookie ? ` COOKIEFILE=${quoted(cookiePath)}` : '';
    return [
      '250-PROTOCOLINFO 1',
      `250-AUTH METHODS=${methods.join(',')}${file}`,
      `250-VERSION Tor=${quoted(version)}`,
      '250 OK',
    ];
  }

  challenge(argument: string): AuthReply {
    const [method = '', nonceText = '', ...rest] = argument.split(' ').filter((word) => word !== '');
    const { cookie } = this.#credentials;
    const fail = (line: string): AuthReply => ({ line, close: true });
    if (method === '') return fail('512 Bad arguments to AUTHCHALLENGE: Need at least 1 argument(s)');
    if (method.toUpperCase() !== 'SAFECOOKIE') {
      return fail('513 AUTHCHALLENGE only supports SAFECOOKIE authentication');
    }
    if (!cookie) return fail('515 Cookie authentication is disabled');
    if (nonceText === '' || rest.length > 0) return fail('512 Wrong number of arguments for AUTHCHALLENGE');
    const clientNonce = nonceText.startsWith('"')
      ? Buffer.from(parseQuoted(nonceText, 0)?.value ?? '', 'latin1')
      : /^(?:[0-9A-Fa-f]{2})+$/.test(nonceText)
        ? Buffer.from(nonceText, 'hex')
        : undefined;
    if (clientNonce === undefined) return fail('513 Invalid base16 client nonce');
    const serverNonce = this.#random.bytes(32);
    const message = Buffer.concat([cookie, clientNonce, serverNonce]);
    const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex').toUpperCase();
    this.#expected = createHmac('sha256', clientConstant).update(message).digest();
    const serverHash = createHmac('sha256', serverConstant).update(message).digest();
    return { line: `250 AUTHCHALLENGE SERVERHASH=${hex(serverHash)} SERVERNONCE=${hex(serverNonce)}`, close: false };
  }

  authenticate(argument: string): AuthReply {
    const { cookie, hashedPasswords } = this.#credentials;
    const accepted: AuthReply = { line: '250 OK', close: false, authenticated: true };
    const refused = (why: string): AuthReply => ({ line: `515 Authentication failed: ${why}`, close: true });
    const isQuoted = argument.startsWith('"');
    let given: Buffer;
    if (isQuoted) {
      const password = parseQuoted(argument, 0);
      if (password === undefined)
        return { line: '551 Invalid quoted string.  You need to put the password in double quotes.', close: true };
      given = Buffer.from(password.value, 'latin1');
    } else if (/^(?:[0-9A-Fa-f]{2})*$/.test(argument)) {
      given = Buffer.from(argument, 'hex');
    } else {
      return {
        line: '551 Invalid hexadecimal encoding.  Maybe you tried a plain text password?  If so, the standard requires that you put it in double quotes.',
        close: true,
      };
    }
    if (this.#expected !== undefined) {
      if (given.length !== 32) return refused('Wrong length for safe cookie response.');
      return same(this.#expected, given) ? accepted : refused('Safe cookie response did not match expected value.');
    }
    if (!cookie && hashedPasswords.length === 0) return accepted;
    if (cookie && same(cookie, given)) return accepted;
    if (hashedPasswords.some((line) => fitsHash(given, line))) return accepted;
    if (cookie && hashedPasswords.length > 0) {
      return refused('Password did not match HashedControlPassword *or* authentication cookie.');
    }
    if (cookie) {
      return refused(
        given.length === 32
          ? 'Authentication cookie did not match expected value.'
          : 'Wrong length on authentication cookie.',
      );
    }
    return refused(
      isQuoted
        ? 'Password did not match HashedControlPassword value from configuration'
        : 'Password did not match HashedControlPassword value from configuration. Maybe you tried a plain text password? If so, the standard requires that you put it in double quotes.',
    );
  }
}
