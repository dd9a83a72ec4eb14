/** Sites for the laws of transports: three nodes over real sockets on loopback. */
import { silentLog, systemClock, systemNet, type Net } from '../../../core/runtime/index.ts';
import type { OpenTransport } from '../../../plugins/transport/common.ts';
import { createUdpTransport } from '../../../plugins/transport/udp/index.ts';
import type { TransportNode, TransportSite } from '../../kit/laws/transport.ts';

/** Opens three transports and closes each of them at the end. */
export async function siteOf(
  transports: readonly [OpenTransport, OpenTransport, OpenTransport],
  rest: Pick<TransportSite, 'nowhere' | 'throwGarbage'> & { readonly end?: () => Promise<void> },
): Promise<TransportSite> {
  for (const { open } of transports) await open();
  const { end, ...others } = rest;
  return {
    nodes: transports.map(({ transport }) => transport) as unknown as TransportSite['nodes'],
    wait: (durationMs) => systemClock.sleep(durationMs),
    close: async (node) => transports.find(({ transport }) => transport === node)?.close(),
    end: async () => {
      await Promise.all(transports.map(({ close }) => close()));
      await end?.();
    },
    ...others,
  };
}

export async function udpSite(host: string, net: Net = systemNet): Promise<TransportSite> {
  const make = (): OpenTransport => createUdpTransport({ net, log: silentLog }, { bind: [{ host, port: 0 }] });
  const thrower = await net.bindUdp({ host, port: 0 }, () => undefined);
  const text = host.includes(':') ? `[${host}]` : host;
  return siteOf([make(), make(), make()], {
    nowhere: [`udp:${text}:9`, 'udp:192.0.2.1:9', 'udp:[2001:db8::1]:9'],
    throwGarbage: async ({ endpoint }: TransportNode, bytes) => {
      thrower.send({ host, port: Number(/\d+$/.exec(endpoint)?.[0]) }, bytes);
    },
    end: () => thrower.close(),
  });
}
