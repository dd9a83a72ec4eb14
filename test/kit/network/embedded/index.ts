/** A Tor network in this process, over real sockets or in memory. Enter through `startEmbeddedNetwork`. */
export { startEmbeddedNetwork, type EmbeddedNetwork, type EmbeddedNetworkOptions } from './network.ts';
export { loopbackLatency, publicLatency, type LatencyProfile } from './latency.ts';
export { hashedControlPassword } from './control-auth.ts';
export type { EmbeddedTor } from './tor.ts';
export type { SimulatedRelay } from './relay.ts';
export type { HsdirFaults } from './hsdir.ts';
export type { NetworkFaults } from './context.ts';
