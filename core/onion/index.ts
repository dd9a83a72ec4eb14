/** The v3 onion protocol, pure: no I/O, no clock, no chance. See docs/onion.md for the map to the specification. */
export * from './address.ts';
export * from './keys.ts';
export * from './period.ts';
export * from './blinding.ts';
export * from './certificate.ts';
export * from './hsdir.ts';
export * from './revision.ts';
export * from './link-specifier.ts';
