/** The v3 onion protocol, pure: no I/O, no clock, no chance. See docs/onion.md for the map to the specification. */
export * from './address.ts';
export * from './keys.ts';
export * from './period.ts';
export * from './blinding.ts';
export * from './certificate.ts';
export * from './hsdir.ts';
export * from './revision.ts';
export * from './link-specifier.ts';
export {
  defaultLifetimeMinutes,
  introPointId,
  maxDescriptorBytes,
  maxIntroPoints,
  maxLifetimeMinutes,
} from './descriptor/model.ts';
export type { Descriptor, FlowControl, IntroPoint, PowParams, ServiceFeatures } from './descriptor/model.ts';
export { readOuter, verifyOuter } from './descriptor/outer.ts';
export type { OuterDescriptor } from './descriptor/outer.ts';
export { openDescriptor } from './descriptor/open.ts';
export type { OpenOptions } from './descriptor/open.ts';
export { createMaterial, renewMaterial } from './descriptor/material.ts';
export type { DescriptorMaterial, MaterialOptions, RandomSource } from './descriptor/material.ts';
export { encodeDescriptor } from './descriptor/encode.ts';
export type { EncodeOptions } from './descriptor/encode.ts';
export * from './client-key.ts';
