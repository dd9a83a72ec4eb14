/** A private Tor network on loopback, made of the system's tor. Enter through `startPrivateNetwork`. */
export {
  startPrivateNetwork,
  type Machine,
  type PrivateNetwork,
  type PrivateNetworkOptions,
  type PrivateTor,
} from './launcher.ts';
export { processUsage } from './tor-process.ts';
export { freePorts } from './ports.ts';
