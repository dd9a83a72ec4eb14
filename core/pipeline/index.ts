/** The publish pipeline: its words, its hooks, one cycle, and the queue that runs cycles one at a time. */
export * from './cycle.ts';
export * from './hooks.ts';
export * from './model.ts';
export * from './projection.ts';
export * from './queue.ts';
export * from './revisions.ts';
export * from './seal.ts';
export * from './signer.ts';
export * from './strategy.ts';
export * from './verify.ts';
