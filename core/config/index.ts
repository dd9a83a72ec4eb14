/** Configuration: load a file, overlay it on a preset, check it against the schema that the plugins extend. */
export * from './check.ts';
export * from './load.ts';
export * from './preset.ts';
export * from './resolve.ts';
export * from './schema.ts';
