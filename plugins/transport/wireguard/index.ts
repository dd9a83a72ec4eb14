/**
 * transport/wireguard: datagrams through a WireGuard interface of the node's own, by the kernel's module or wireguard-go.
 * Peers come from signed admissions alone. The tunnel hides the mesh's sessions, and lets only members reach the mesh at all.
 *
 *   address.ts names in the tunnel · peers.ts who may be a peer · key.ts the key · own.ts this node’s
 *   key and endpoint · interface.ts made and removed · transport.ts
 */
import * as v from 'valibot';
import { integer, nonEmpty } from '../../../core/config/schema.ts';
import { definePlugin, transportContract } from '../../../core/engine/index.ts';
import { reachable } from '../common.ts';
import { isInterfaceName } from './interface.ts';
import { defaultListenPort, tunnelDirectory } from './own.ts';
import { createWireguardTransport } from './transport.ts';

export { formatTunnelEndpoint, readTunnelEndpoint, tunnelAddress } from './address.ts';
export { loadTunnelKey } from './key.ts';
export { defaultListenPort, prepareTunnel } from './own.ts';
export { peerCommands, planPeers, type TunnelPeer } from './peers.ts';
export { createWireguardTransport, type WireguardOptions, type WireguardRuntime } from './transport.ts';

const options = v.strictObject({
  interface: v.optional(
    v.pipe(nonEmpty, v.check(isInterfaceName, 'must be 1 to 15 letters, digits, dots, dashes or underscores')),
    'wg-chimera',
  ),
  listen_port: v.optional(integer(1, 65_535), defaultListenPort),
  advertise: v.optional(reachable),
  cluster: v.optional(v.pipe(nonEmpty, v.maxLength(64)), 'chimera'),
  keepalive_secs: v.optional(integer(0, 65_535), 25),
  implementation: v.optional(
    v.picklist(['auto', 'kernel', 'wireguard-go'], 'must be "auto", "kernel" or "wireguard-go"'),
    'auto',
  ),
});

export const wireguard = definePlugin<v.InferOutput<typeof options>>({
  name: 'transport/wireguard',
  summary: 'Carries messages between nodes through a WireGuard tunnel.',
  gives: [transportContract],
  section: 'wireguard',
  options,
  apply(host, { listen_port, keepalive_secs, ...rest }) {
    const { transport, open, close } = createWireguardTransport(
      { ...host.runtime, log: host.log },
      {
        ...rest,
        node: host.node,
        listenPort: listen_port,
        keepaliveSeconds: keepalive_secs,
        directory: host.stateDirectory === undefined ? undefined : tunnelDirectory(host.stateDirectory),
      },
    );
    host.give(transportContract, transport);
    host.hooks.start.tapPromise('transport/wireguard', async () => {
      host.defer(close);
      await open();
    });
  },
});
export default wireguard;
