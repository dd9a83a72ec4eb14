/** The cluster simulator: enter at `simulate`. */
export type { Broken } from './checkers/index.ts';
export { drawFaults, faultClasses, noFaults } from './faults.ts';
export type { FaultClass, FaultOptions } from './faults.ts';
export type { Figures } from './figures.ts';
export { caught, mutations } from './mutations.ts';
export type { Mutation } from './mutation.ts';
export { simulate } from './simulate.ts';
export type { SimulationOptions, SimulationReport } from './simulate.ts';
export type { TraceLine } from './trace.ts';
export { measureTraffic } from './traffic.ts';
export type { TrafficReport } from './traffic.ts';
export { over, replaced, withHost, withService } from './wrap.ts';
