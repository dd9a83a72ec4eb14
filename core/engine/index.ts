/** The engine and the plugin contract. */
export * from './contract.ts';
export * from './contracts/admin.ts';
export * from './contracts/cluster.ts';
export * from './contracts/members.ts';
export * from './contracts/master.ts';
export * from './contracts/node.ts';
export * from './contracts/proxy.ts';
export * from './contracts/publisher.ts';
export * from './contracts/rotation.ts';
export * from './contracts/drain.ts';
export * from './contracts/shed.ts';
export * from './contracts/tor.ts';
export * from './engine.ts';
export * from './order.ts';
export * from './plugin.ts';
