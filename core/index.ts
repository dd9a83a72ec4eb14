/**
 * The library: what a plugin, a preset or a strategy of one's own is written against. The onion protocol is under
 * `onion`, so that its many names stay apart.
 */
export * from './config/index.ts';
export * from './engine/index.ts';
export * from './errors.ts';
export * as onion from './onion/index.ts';
export * from './pipeline/index.ts';
export * from './runtime/index.ts';
