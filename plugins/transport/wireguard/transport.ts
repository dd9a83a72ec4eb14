/** The transport through a WireGuard interface of its own, without the engine. Enter at `createWireguardTransport`. */
import type { AdmittedNode, Transport } from '../../../core/engine/index.ts';
import { messageOf } from '../../../core/errors.ts';
import {
  type DatagramSocket,
  type InternetEndpoint,
  type Log,
  type Net,
  type Random,
  type Store,
  type Timer,
} from '../../../core/runtime/index.ts';
import { createListeners, datagramBytes, refuseTooLarge, type OpenTransport } from '../common.ts';
import { readTunnelEndpoint, tunnelAddress } from './address.ts';
import type { CommandRuntime } from './commands.ts';
import { openInterface, type Implementation, type Interface } from './interface.ts';
import type { TunnelKey } from './key.ts';
import { ownTunnel } from './own.ts';
import { peerCommands, planPeers, type TunnelPeer } from './peers.ts';

/** Inside the tunnel; nobody outside sees it. */
const innerPort = 7411;
const retryMs = 2_000;
/** Peers that one call of `wg` is told. */
const peersAtOnce = 32;

export interface WireguardOptions {
  readonly node: string;
  readonly cluster: string;
  readonly interface: string;
  readonly listenPort: number;
  /** Where the peers send first; undefined: this machine's first address. */
  readonly advertise?: InternetEndpoint | undefined;
  readonly keepaliveSeconds: number;
  readonly implementation: Implementation;
  /** Where the key and the interface's name are kept. Undefined: nothing is. */
  readonly directory: string | undefined;
}

export interface WireguardRuntime extends CommandRuntime {
  readonly net: Net;
  readonly store: Store;
  readonly random: Random;
  readonly log: Log;
}

/** Tells of items when they are other ones than last time, and any. */
function whenNew<Item>(tell: (items: readonly Item[]) => void): (items: readonly Item[]) => void {
  let before = '';
  return (items) => {
    const now = JSON.stringify(items);
    if (now !== before && items.length > 0) tell(items);
    before = now;
  };
}

export function createWireguardTransport(runtime: WireguardRuntime, options: WireguardOptions): OpenTransport {
  const { clock, net, log } = runtime;
  const { node, cluster, directory } = options;
  const listeners = createListeners(log, datagramBytes);
  const address = tunnelAddress(cluster, node);
  let key: TunnelKey | undefined;
  let endpoint = '';
  let tunnel: Interface | undefined;
  let socket: DatagramSocket | undefined;
  let closed = false;
  /** What the mesh wants, and what the interface has. */
  let wanted: ReadonlyMap<string, TunnelPeer> = new Map();
  let present: ReadonlyMap<string, TunnelPeer> = new Map();
  let byKey: ReadonlyMap<string, TunnelPeer> = new Map();
  let byAddress: ReadonlyMap<string, TunnelPeer> = new Map();
  const tellRefused = whenNew((refused) => log.error('nodes are refused as peers of the tunnel', { refused }));
  const tellKeyless = whenNew((keyless) =>
    log.info('members have told no WireGuard key, and are not reached through the tunnel', {
      members: keyless.length,
      nodes: keyless.slice(0, 10),
    }),
  );
  let applying = false;
  let retry: Timer | undefined;

  /** Brings the interface from what it has to what is wanted. */
  const apply = async (): Promise<void> => {
    const target = wanted;
    const commands = peerCommands(present, target, options.keepaliveSeconds);
    for (let at = 0; at < commands.length; at += peersAtOnce) {
      await tunnel?.set(commands.slice(at, at + peersAtOnce).flat());
    }
    if (commands.length > 0) log.info('the peers of the tunnel changed', { peers: target.size });
    present = target;
  };
  const applySoon = (): void => {
    retry?.cancel();
    if (applying || closed || tunnel === undefined) return;
    applying = true;
    const ended = (error?: unknown): void => {
      applying = false;
      if (closed || tunnel === undefined) return;
      if (error === undefined) {
        if (present !== wanted) applySoon();
        return;
      }
      // Half of it may be there: all of it is told again.
      present = new Map();
      log.warn('the peers of the tunnel could not be set', { why: messageOf(error) });
      retry = clock.after(retryMs, applySoon);
    };
    apply().then(() => ended(), ended);
  };

  const want = (peers: ReadonlyMap<string, TunnelPeer>): void => {
    wanted = peers;
    byKey = new Map([...peers.values()].map((peer) => [peer.key, peer]));
    byAddress = new Map([...peers.values()].map((peer) => [peer.address, peer]));
    applySoon();
  };

  let known: readonly AdmittedNode[] = [];
  const admit = (admitted: readonly AdmittedNode[]): void => {
    known = admitted;
    if (key === undefined || closed) return;
    const { peers, refused, keyless } = planPeers(admitted, { node, key: key.publicKey, cluster }, wanted);
    tellRefused(refused);
    tellKeyless(keyless);
    want(peers);
  };

  /** The interface goes with its wireguard-go; it is made again. */
  const watch = (made: Interface): void => {
    void made.lost.then((output) => {
      log.error('the WireGuard interface is gone; it is made again', { output });
      return makeAgain();
    });
  };

  const makeAgain = async (): Promise<void> => {
    await clock.sleep(retryMs);
    try {
      await make();
    } catch (error) {
      log.error('the WireGuard interface cannot be made', { why: messageOf(error) });
      await makeAgain();
    }
  };

  const make = async (): Promise<void> => {
    if (closed) return;
    const { privateKey, publicKey } = key as TunnelKey;
    const made = await openInterface(runtime, {
      name: options.interface,
      listenPort: options.listenPort,
      address,
      privateKey,
      publicKey,
      implementation: options.implementation,
      statePath: directory === undefined ? undefined : `${directory}/interface`,
    });
    if (closed) {
      await made.close();
      return;
    }
    tunnel = made;
    watch(made);
    await socket?.close();
    socket = await net.bindUdp({ host: address, port: innerPort }, (from, bytes) => {
      const peer = byAddress.get(from.host);
      if (peer !== undefined) listeners.tell(peer.endpoint, bytes);
    });
    present = new Map();
    applySoon();
  };

  const transport: Transport = {
    get endpoint() {
      return endpoint;
    },
    maximumBytes: datagramBytes,
    send: (to, bytes) => {
      refuseTooLarge(bytes, datagramBytes);
      const peer = byKey.get(readTunnelEndpoint(to)?.key ?? '');
      if (peer !== undefined && bytes.length > 0) socket?.send({ host: peer.address, port: innerPort }, bytes);
    },
    onMessage: listeners.onMessage,
    admit,
  };

  return {
    transport,
    open: async () => {
      const own = await ownTunnel(runtime, options);
      key = own.key;
      await make();
      endpoint = own.endpoint;
      log.info('the tunnel is up', { interface: options.interface, address, endpoint });
      admit(known);
    },
    close: async () => {
      if (closed) return;
      closed = true;
      retry?.cancel();
      await socket?.close();
      await tunnel?.close();
    },
  };
}
