/**
 * transport/udp: datagrams over UDP, IPv4 and IPv6. For nodes that reach each other directly, on one network or over the
 * internet; the mesh's sessions encrypt and authenticate. Enter at `createUdpTransport`; the plugin opens it at the start.
 */
import * as v from 'valibot';
import { definePlugin, transportContract } from '../../../core/engine/index.ts';
import { ChimeraError, messageOf } from '../../../core/errors.ts';
import {
  formatEndpoint,
  ipFamily,
  parseEndpoint,
  type DatagramSocket,
  type InternetEndpoint,
  type Log,
  type Net,
} from '../../../core/runtime/index.ts';
import {
  createListeners,
  datagramBytes,
  endpointText,
  reachable,
  readInternetEndpoint,
  refuseTooLarge,
  type OpenTransport,
} from '../common.ts';

export const udpScheme = 'udp';
const defaultPeerSockets = 64;
const wildcards = new Set(['0.0.0.0', '::']);

export interface UdpOptions {
  /** IP addresses of this machine with a port; `0.0.0.0` and `::` for all of a family. */
  readonly bind: readonly InternetEndpoint[];
  /** What the peers are told, when it is not an address of this machine: behind NAT. */
  readonly advertise?: InternetEndpoint | undefined;
  /** How many members at most have a receive buffer of their own, at each address in `bind`; 0: none, and the ports are not shared. */
  readonly peerSockets?: number;
}

export function createUdpTransport(
  runtime: { readonly net: Net; readonly log: Log },
  options: UdpOptions,
): OpenTransport {
  const { net, log } = runtime;
  const listeners = createListeners(log, datagramBytes);
  const sockets: DatagramSocket[] = [];
  let endpoint = '';
  const targetOf = (to: string): InternetEndpoint | undefined =>
    to.startsWith(`${udpScheme}:`) ? readInternetEndpoint(to.slice(udpScheme.length + 1)) : undefined;

  /** Where the peers reach this node. */
  const ownEndpoint = (): InternetEndpoint => {
    if (options.advertise !== undefined) return options.advertise;
    const [{ endpoint: bound }] = sockets as [DatagramSocket];
    if (!wildcards.has(bound.host)) return bound;
    const own = net.addresses();
    const ofFamily = own.find((address) => ipFamily(address) === ipFamily(bound.host));
    const anySocket = sockets.find((socket) => ipFamily(socket.endpoint.host) === ipFamily(own[0] ?? ''));
    if (ofFamily !== undefined) return { host: ofFamily, port: bound.port };
    if (anySocket !== undefined) return { host: own[0] as string, port: anySocket.endpoint.port };
    return { host: bound.host === '::' ? '::1' : '127.0.0.1', port: bound.port };
  };

  return {
    transport: {
      get endpoint() {
        return endpoint;
      },
      maximumBytes: datagramBytes,
      send: (to, bytes) => {
        refuseTooLarge(bytes, datagramBytes);
        const target = targetOf(to);
        if (target === undefined || bytes.length === 0) return;
        const family = ipFamily(target.host);
        sockets.find((socket) => ipFamily(socket.endpoint.host) === family)?.send(target, bytes);
      },
      onMessage: listeners.onMessage,
      expect: (from) => {
        const sender = targetOf(from);
        if (sender === undefined) return;
        const family = ipFamily(sender.host);
        // Which of several addresses of this machine it sends to is not known.
        for (const socket of sockets) if (ipFamily(socket.endpoint.host) === family) socket.expect?.(sender);
      },
    },

    open: async () => {
      for (const local of options.bind) {
        try {
          const hear = (from: InternetEndpoint, bytes: Uint8Array): void => {
            // A link-local address with its zone names nobody to another machine.
            if (from.host.includes('%')) return;
            listeners.tell(endpointText(udpScheme, from), bytes);
          };
          sockets.push(await net.bindUdp(local, hear, { expectedSenders: options.peerSockets ?? defaultPeerSockets }));
        } catch (error) {
          const { code } = error as { code?: string };
          if (wildcards.has(local.host) && code === 'EAFNOSUPPORT' && options.bind.length > 1) {
            log.info('this machine has no addresses of a family', { bind: formatEndpoint(local) });
            continue;
          }
          throw cannotBind(local, code, error);
        }
      }
      if (sockets.length === 0) throw cannotBind(options.bind[0] as InternetEndpoint, 'EAFNOSUPPORT', undefined);
      endpoint = endpointText(udpScheme, ownEndpoint());
      log.info('listening', { sockets: sockets.map((socket) => formatEndpoint(socket.endpoint)), endpoint });
    },

    close: async () => {
      await Promise.all(sockets.splice(0).map((socket) => socket.close()));
    },
  };
}

const remedies: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program has that port; stop it, or set udp.bind to another',
  EADDRNOTAVAIL: 'set udp.bind to an address of this machine, or to 0.0.0.0; where others reach it is udp.advertise',
  EACCES: 'ports below 1024 need a privilege; set udp.bind to a higher one',
};

function cannotBind(local: InternetEndpoint, code: string | undefined, cause: unknown): ChimeraError {
  const why = cause === undefined ? 'this machine has no such address' : messageOf(cause);
  return new ChimeraError('TRANSPORT_BIND', `cannot listen on UDP ${formatEndpoint(local)}: ${why}`, {
    remedy: remedies[code ?? ''] ?? 'see udp.bind',
    ...(cause === undefined ? {} : { cause }),
  });
}

const bound = v.pipe(
  v.string('must be a text'),
  v.check((text) => {
    const parsed = parseEndpoint(text);
    return parsed !== undefined && 'host' in parsed && ipFamily(parsed.host) !== 0;
  }, 'must be an IP address and a port, as 0.0.0.0:7411 or [::]:7411'),
  v.transform((text) => parseEndpoint(text) as InternetEndpoint),
);
const options = v.strictObject({
  bind: v.optional(v.pipe(v.array(bound), v.minLength(1, 'must name at least one'), v.maxLength(8)), [
    '0.0.0.0:7411',
    '[::]:7411',
  ]),
  advertise: v.optional(reachable),
  peer_sockets: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(512)), defaultPeerSockets),
});

export const udp = definePlugin<v.InferOutput<typeof options>>({
  name: 'transport/udp',
  summary: 'Carries messages between nodes over UDP.',
  gives: [transportContract],
  section: 'udp',
  options,
  apply(host, { bind, advertise, peer_sockets }) {
    const { transport, open, close } = createUdpTransport(
      { net: host.runtime.net, log: host.log },
      { bind, advertise, peerSockets: peer_sockets },
    );
    host.give(transportContract, transport);
    host.hooks.start.tapPromise('transport/udp', async () => {
      host.defer(close);
      await open();
    });
  },
});
export default udp;
