/**
 * Who we are, proved to a control port (control-spec, sections 3.5, 3.21 and 3.24). SAFECOOKIE first, then COOKIE, then a
 * password; with nothing demanded, nothing is sent. No cookie, password or proof is ever put in an error. Enter at `authenticate`.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { ChimeraError, messageOf } from '../../core/errors.ts';
import { formatEndpoint, type Endpoint, type Random, type Store } from '../../core/runtime/index.ts';
import type { ControlConnection } from './connection.ts';
import { parseTokens } from './event.ts';
import type { Reply } from './reply.ts';

export interface ProtocolInfo {
  /** Upper case: NULL, COOKIE, SAFECOOKIE, HASHEDPASSWORD, or what a later tor invents. */
  readonly methods: readonly string[];
  readonly cookiePath: string | undefined;
  /** tor's version. */
  readonly version: string | undefined;
}

export interface Credentials {
  readonly password?: string;
  readonly cookiePath?: string;
}

const cookieLength = 32;
/** Enough to say how long a file is that is no cookie. */
const longestCookieFile = 4_096;
const nonceLength = 32;
const serverHashKey = 'Tor safe cookie authentication server-to-controller hash';
const clientHashKey = 'Tor safe cookie authentication controller-to-server hash';

/** Reads a PROTOCOLINFO reply. Undefined when it is none. */
export function parseProtocolInfo(reply: Reply): ProtocolInfo | undefined {
  if (reply.code !== 250 || !/^PROTOCOLINFO\b/i.test(reply.lines[0]?.text ?? '')) return undefined;
  let methods: readonly string[] = [];
  let cookiePath: string | undefined;
  let version: string | undefined;
  for (const { text } of reply.lines) {
    const { words, fields } = parseTokens(text);
    if (words[0] === 'AUTH') {
      methods = (fields['METHODS'] ?? '').toUpperCase().split(',').filter(Boolean);
      cookiePath = fields['COOKIEFILE'];
    } else if (words[0] === 'VERSION') version = fields['Tor'];
  }
  return { methods, cookiePath, version };
}

/** The two proofs of SAFECOOKIE, 32 bytes each, HMAC-SHA256 over cookie | client nonce | server nonce. */
export function safeCookieProofs(
  cookie: Uint8Array,
  clientNonce: Uint8Array,
  serverNonce: Uint8Array,
): { server: Uint8Array; client: Uint8Array } {
  const proof = (key: string): Uint8Array =>
    createHmac('sha256', key).update(cookie).update(clientNonce).update(serverNonce).digest();
  return { server: proof(serverHashKey), client: proof(clientHashKey) };
}

/**
 * Asks for PROTOCOLINFO and authenticates. Resolves with tor's version. Rejects with TOR_AUTHENTICATION, TOR_COOKIE,
 * TOR_NOT_CONTROL_PORT, or what ended the connection.
 */
export async function authenticate(
  connection: ControlConnection,
  runtime: { readonly random: Random; readonly store: Store },
  endpoint: Endpoint,
  credentials: Credentials,
): Promise<string | undefined> {
  const where = formatEndpoint(endpoint);
  const information = parseProtocolInfo(await connection.send('PROTOCOLINFO 1'));
  if (information === undefined)
    throw new ChimeraError('TOR_NOT_CONTROL_PORT', `${where} did not answer PROTOCOLINFO as tor does`, {
      remedy: "Check that the address is tor's ControlPort.",
    });
  const { methods, version } = information;
  const offered = methods.length === 0 ? 'none' : methods.join(', ');

  const prove = async (secret: string, remedy: string): Promise<void> => {
    const reply = await connection.send(secret === '' ? 'AUTHENTICATE' : `AUTHENTICATE ${secret}`);
    if (reply.code === 250) return;
    throw new ChimeraError('TOR_AUTHENTICATION', `tor at ${where} refused the authentication (${reply.code})`, {
      remedy,
    });
  };
  const refusedCookie = 'Name the cookie file of this very tor; tor makes a new one at each start.';
  const safeCookie = async (cookie: Uint8Array): Promise<void> => {
    const clientNonce = runtime.random.bytes(nonceLength);
    const reply = await connection.send(`AUTHCHALLENGE SAFECOOKIE ${hex(clientNonce)}`);
    const { fields } = parseTokens(reply.lines[0]?.text ?? '');
    const serverHash = Buffer.from(fields['SERVERHASH'] ?? '', 'hex');
    const proofs = safeCookieProofs(cookie, clientNonce, Buffer.from(fields['SERVERNONCE'] ?? '', 'hex'));
    if (reply.code !== 250 || serverHash.length !== proofs.server.length)
      throw new ChimeraError('TOR_AUTHENTICATION', `tor at ${where} refused the authentication (${reply.code})`, {
        remedy: refusedCookie,
      });
    if (!timingSafeEqual(serverHash, proofs.server))
      throw new ChimeraError('TOR_AUTHENTICATION', `what listens at ${where} does not know the authentication cookie`, {
        remedy: refusedCookie,
      });
    await prove(hex(proofs.client), refusedCookie);
  };

  const usePassword = (password: string): Promise<void> =>
    // In hexadecimal, which needs no quoting whatever the password holds.
    prove(
      password === '' ? '""' : hex(Buffer.from(password, 'utf8')),
      "The password does not fit HashedControlPassword in tor's torrc; set the right one.",
    );

  const takesPassword = methods.includes('HASHEDPASSWORD');
  if (methods.includes('NULL')) await prove('', 'See the log of tor.');
  else if (methods.includes('SAFECOOKIE') || methods.includes('COOKIE')) {
    const cookie = await readCookie(runtime.store, where, credentials.cookiePath ?? information.cookiePath);
    if (!(cookie instanceof ChimeraError)) {
      if (methods.includes('SAFECOOKIE')) await safeCookie(cookie);
      else await prove(hex(cookie), refusedCookie);
    } else if (takesPassword && credentials.password !== undefined) await usePassword(credentials.password);
    else throw cookie;
  } else if (!takesPassword)
    throw new ChimeraError('TOR_AUTHENTICATION', `tor at ${where} offers no known authentication (${offered})`, {
      remedy: 'Set CookieAuthentication 1 in its torrc.',
    });
  else if (credentials.password === undefined)
    throw new ChimeraError('TOR_AUTHENTICATION', `tor at ${where} wants a password and none is set`, {
      remedy: 'Set the password of the control port, or CookieAuthentication 1 in torrc.',
    });
  else await usePassword(credentials.password);
  return version;
}

/** The cookie, or why there is none. */
async function readCookie(store: Store, where: string, path: string | undefined): Promise<Uint8Array | ChimeraError> {
  const unusable = (why: string, cause?: unknown): ChimeraError =>
    new ChimeraError('TOR_COOKIE', `the authentication cookie of tor at ${where} cannot be used: ${why}`, {
      remedy:
        'Add the user to the group debian-tor and set CookieAuthFileGroupReadable 1 in torrc, or name the file or a password.',
      cause,
    });
  if (path === undefined) return unusable('tor names no cookie file');
  try {
    const cookie = await store.read(path, longestCookieFile);
    if (cookie === undefined) return unusable(`there is no file ${path}`);
    // Nothing else than a cookie may leave this machine by way of a path that the other side names.
    if (cookie.length !== cookieLength) return unusable(`${path} has ${cookie.length} bytes, not ${cookieLength}`);
    return cookie;
  } catch (error) {
    return unusable(`${path}: ${messageOf(error)}`, error);
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex').toUpperCase();
}
