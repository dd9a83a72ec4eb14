/** What a descriptor says, once opened; and the limits of the format (rend-spec-v3, "Hidden service descriptors"). */
import { copyOf } from '../bytes.ts';
import type { OnionAddress } from '../address.ts';
import type { LinkSpecifier } from '../link-specifier.ts';
import type { TimePeriod } from '../period.ts';

/** Default of the consensus parameter HSV3MaxDescriptorSize: a descriptor must be shorter than this, bytes. */
export const maxDescriptorBytes = 50_000;
/** C tor refuses a descriptor with more. */
export const maxIntroPoints = 20;
/** Tor refuses a longer `descriptor-lifetime`. */
export const maxLifetimeMinutes = 720;
/** What tor writes as `descriptor-lifetime`. */
export const defaultLifetimeMinutes = 180;

export interface IntroPoint {
  readonly linkSpecifiers: readonly LinkSpecifier[];
  /** The relay's ntor key, X25519, 32 bytes. */
  readonly onionKey: Uint8Array;
  /** Names the introduction point at its relay, Ed25519, 32 bytes. */
  readonly authKey: Uint8Array;
  /** The service's key for INTRODUCE cells, X25519, 32 bytes. */
  readonly encKey: Uint8Array;
}

export interface FlowControl {
  /** Supported versions of the protocol FlowCtrl, as a protover range: "1-2". */
  readonly versions: string;
  /** Cells between two SENDMEs, 1 to 254; clients refuse one that is more than 1 off the consensus' cc_sendme_inc. */
  readonly sendmeIncrement: number;
}

export interface ServiceFeatures {
  readonly flowControl?: FlowControl;
  readonly singleOnionService: boolean;
  /** arti's `proto` line: a protover list. */
  readonly proto?: string;
  /** Types of the `intro-auth-required` line. */
  readonly introAuthRequired?: readonly string[];
}

/** A `pow-params v1` line. It is read, never written: a challenge binds to one tor process. */
export interface PowParams {
  readonly type: 'v1';
  /** 32 bytes. */
  readonly seed: Uint8Array;
  readonly suggestedEffort: number;
  /** Unix seconds. */
  readonly expiresAt: number;
}

export interface Descriptor {
  readonly address: OnionAddress;
  readonly period: TimePeriod;
  /** The blinded public key, 32 bytes. */
  readonly blindedKey: Uint8Array;
  readonly revision: bigint;
  readonly lifetimeMinutes: number;
  /** Unix seconds. */
  readonly signingKeyExpiresAt: number;
  readonly introPoints: readonly IntroPoint[];
  readonly features: ServiceFeatures;
  /** True when client authorization is in use, and the key given opened it. */
  readonly restricted: boolean;
  readonly powParams?: PowParams;
}

/** Stable short name of an introduction point: its authentication key, base64url. */
export function introPointId(point: IntroPoint): string {
  return Buffer.from(copyOf(point.authKey)).toString('base64url');
}
