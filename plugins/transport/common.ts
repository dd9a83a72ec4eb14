/** What the transports share: the size of a datagram, who listens, and endpoints as text. */
import * as v from 'valibot';
import type { Transport } from '../../core/engine/index.ts';
import { ChimeraError } from '../../core/errors.ts';
import { formatEndpoint, ipFamily, parseEndpoint, type InternetEndpoint, type Log } from '../../core/runtime/index.ts';

/** What passes any IPv6 path in one piece: 1,280 bytes less the headers of IPv6 and UDP. */
export const datagramBytes = 1_232;

/** Throws MESH_TOO_LARGE for what `maximumBytes` do not hold. */
export function refuseTooLarge(bytes: Uint8Array, maximumBytes: number): void {
  if (bytes.length <= maximumBytes) return;
  throw new ChimeraError('MESH_TOO_LARGE', `a datagram of ${bytes.length} bytes; ${maximumBytes} are the most`, {
    remedy: 'split it: nothing larger passes every network in one piece',
  });
}

/** A transport as its plugin runs it. */
export interface OpenTransport {
  readonly transport: Transport;
  /** Opens what it needs. Rejects with a coded error. */
  readonly open: () => Promise<void>;
  /** Silent and deaf afterwards. May be called more than once, and before `open`. */
  readonly close: () => Promise<void>;
}

export interface Listeners {
  readonly onMessage: Transport['onMessage'];
  /** Hands a datagram to everybody; what cannot be one is dropped. A listener that throws is logged and harms no other. */
  tell(fromEndpoint: string, bytes: Uint8Array): void;
}

export function createListeners(log: Log, maximumBytes: number): Listeners {
  const listeners = new Set<{ readonly hear: (fromEndpoint: string, bytes: Uint8Array) => void }>();
  return {
    onMessage: (hear) => {
      const entry = { hear };
      listeners.add(entry);
      return () => listeners.delete(entry);
    },
    tell: (fromEndpoint, bytes) => {
      if (bytes.length === 0 || bytes.length > maximumBytes) return;
      for (const { hear } of listeners) {
        try {
          hear(fromEndpoint, bytes);
        } catch (error) {
          log.error('a listener of the transport failed', { error });
        }
      }
    },
  };
}

/** True for an address that one machine can have: not unspecified, multicast or broadcast. */
function isUnicast(host: string): boolean {
  const family = ipFamily(host);
  if (family === 4) return !/^(?:0|22[4-9]|2[34]\d|25[0-5])\./.test(host);
  return family === 6 && !/^(?:ff|::$)/i.test(host);
}

/** An IP address and port from `192.0.2.1:7411` or `[2001:db8::1]:7411`, in the form that sockets report; undefined for anything else. */
export function readInternetEndpoint(text: string): InternetEndpoint | undefined {
  const parsed = text.length > 64 ? undefined : parseEndpoint(text);
  if (parsed === undefined || 'path' in parsed || parsed.port === 0 || !isUnicast(parsed.host)) return undefined;
  return { host: canonicalAddress(parsed.host), port: parsed.port };
}

/** An option: where others can send to. */
export const reachable = v.pipe(
  v.string('must be a text'),
  v.check(
    (text) => readInternetEndpoint(text) !== undefined,
    'must be the IP address and port that others reach, as 192.0.2.1:7411 or [2001:db8::1]:7411',
  ),
  v.transform((text) => readInternetEndpoint(text) as InternetEndpoint),
);

/** `scheme:` and the address. */
export function endpointText(scheme: string, endpoint: InternetEndpoint): string {
  return `${scheme}:${formatEndpoint(endpoint)}`;
}

/** One form for each IPv6 address, as in RFC 5952; an IPv4 address has only one. */
function canonicalAddress(host: string): string {
  if (ipFamily(host) === 4) return host;
  return new URL(`http://[${host}]`).hostname.slice(1, -1);
}
