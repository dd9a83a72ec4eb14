/**
 * chimera-mtd/testing: Tor networks (embedded, private), the lab, the cluster simulator, a virtual clock with seeded chance, memory net and store,
 * and laws and conformance suites for plugins of one's own. Importing it takes vitest and fast-check, which are optional peers of the package.
 */
export * from './attack/index.ts';
export * from './lab/story.ts';
export * from './laws/arbitraries.ts';
export * from './laws/election-model.ts';
export * from './laws/election-order.ts';
export * from './laws/election.ts';
export * from './laws/merge-policy.ts';
export * from './laws/rotation-story.ts';
export * from './laws/rotation-strategy.ts';
export * from './laws/sets-policy.ts';
export * from './laws/transport.ts';
export * from './network/embedded/index.ts';
export * from './network/network.ts';
export * from './network/private/index.ts';
export * from './sim/memory-datagrams.ts';
export * from './sim/cluster/index.ts';
export * from './sim/identity.ts';
export * from './sim/members.ts';
export * from './sim/memory-net.ts';
export * from './sim/memory-store.ts';
export * from './sim/seeded-random.ts';
export * from './sim/virtual-clock.ts';
