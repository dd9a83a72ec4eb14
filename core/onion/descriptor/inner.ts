/** The inner layer: features of the service, and its introduction points with their certificates. */
import { ChimeraError } from '../../errors.ts';
import { certificateTypes, parseCertificate, verifyCertificate } from '../certificate.ts';
import { isEd25519FormOf } from '../key-agreement.ts';
import { decodeLinkSpecifiers, encodeLinkSpecifiers } from '../link-specifier.ts';
import { verifyPlain, verifyingKey } from '../signature.ts';
import { decodeBase64, encodeBase64 } from '../bytes.ts';
import {
  argumentsOf,
  bytesOf,
  formatObject,
  malformed,
  objectOf,
  optionalItem,
  parseItems,
  requiredItem,
} from './items.ts';
import type { Item } from './items.ts';
import { maxIntroPoints } from './model.ts';
import type { FlowControl, IntroPoint, PowParams, ServiceFeatures } from './model.ts';

export interface InnerLayer {
  readonly features: ServiceFeatures;
  readonly powParams?: PowParams;
  readonly introPoints: readonly IntroPoint[];
}

const layer = 'inner';
const ntorHandshake = '2';

export interface InnerDemands {
  /** The descriptor signing key: the one signer of all certificates. */
  readonly signingKey: Uint8Array;
  /** Unix seconds. */
  readonly now: number;
}

/** Parses the inner layer and verifies every introduction point in it. Throws ONION_DESCRIPTOR or ONION_CERTIFICATE. */
export function parseInner(text: string, demands: InnerDemands): InnerLayer {
  const items = parseItems(layer, text);
  if (items[0]?.keyword !== 'create2-formats') throw malformed(layer, 'it does not begin with "create2-formats"');
  const sections = splitAtIntroPoints(items);
  const header = sections[0] ?? [];
  if (!argumentsOf(requiredItem(layer, header, 'create2-formats')).includes(ntorHandshake)) {
    throw malformed(layer, 'its "create2-formats" lacks the ntor handshake (2)');
  }
  if (sections.length - 1 > maxIntroPoints) {
    throw malformed(layer, `it has ${sections.length - 1} introduction points; ${maxIntroPoints} are allowed`);
  }
  const signer = verifyingKey(demands.signingKey);
  const verify = (body: Uint8Array, signature: Uint8Array): boolean => verifyPlain(signer, body, signature);
  const introPoints = sections.slice(1).map((section) => parseIntroPoint(section, { ...demands, verify }));
  const powParams = powParamsIn(header);
  return { features: featuresIn(header), introPoints, ...(powParams === undefined ? {} : { powParams }) };
}

/** The items before the first `introduction-point`, then those of each point. */
function splitAtIntroPoints(items: readonly Item[]): Item[][] {
  const sections: Item[][] = [[]];
  for (const item of items) {
    if (item.keyword === 'introduction-point') sections.push([]);
    sections.at(-1)?.push(item);
  }
  return sections;
}

function featuresIn(header: readonly Item[]): ServiceFeatures {
  const flow = optionalItem(layer, header, 'flow-control');
  const proto = optionalItem(layer, header, 'proto');
  const required = optionalItem(layer, header, 'intro-auth-required');
  return {
    singleOnionService: optionalItem(layer, header, 'single-onion-service') !== undefined,
    ...(flow === undefined ? {} : { flowControl: parseFlowControl(flow) }),
    ...(proto === undefined ? {} : { proto: proto.rest }),
    ...(required === undefined ? {} : { introAuthRequired: argumentsOf(required) }),
  };
}

function parseFlowControl(item: Item): FlowControl {
  const [versions, increment] = argumentsOf(item);
  if (versions === undefined || increment === undefined || !/^\d{1,3}$/.test(increment)) {
    throw malformed(layer, '"flow-control" lacks its versions or its increment');
  }
  const sendmeIncrement = Number(increment);
  if (sendmeIncrement < 1 || sendmeIncrement > 254)
    throw malformed(layer, 'the increment of "flow-control" is not 1 to 254');
  return { versions, sendmeIncrement };
}

function powParamsIn(header: readonly Item[]): PowParams | undefined {
  const item = header.find(({ keyword, rest }) => keyword === 'pow-params' && /^v1[ \t]/.test(rest));
  if (item === undefined) return undefined;
  const [, seed, effort, expiration] = argumentsOf(item);
  const expiresAtMs = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/.test(expiration ?? '')
    ? Date.parse(`${expiration}Z`)
    : Number.NaN;
  if (!/^\d{1,10}$/.test(effort ?? '') || Number(effort) > 0xffff_ffff || Number.isNaN(expiresAtMs)) {
    throw malformed(layer, '"pow-params" has a malformed effort or expiry');
  }
  return {
    type: 'v1',
    seed: bytesOf(layer, item.keyword, seed, 32),
    suggestedEffort: Number(effort),
    expiresAt: expiresAtMs / 1000,
  };
}

interface IntroPointDemands extends InnerDemands {
  readonly verify: (body: Uint8Array, signature: Uint8Array) => boolean;
}

function parseIntroPoint(items: readonly Item[], demands: IntroPointDemands): IntroPoint {
  const [specifiers] = argumentsOf(requiredItem(layer, items, 'introduction-point'));
  const specifierBytes = specifiers === undefined ? undefined : decodeBase64(specifiers);
  if (specifierBytes === undefined)
    throw malformed(layer, 'the link specifiers of an introduction point are not base64');
  const linkSpecifiers = decodeLinkSpecifiers(specifierBytes);

  const onionKeys = items.filter(({ keyword, rest }) => keyword === 'onion-key' && rest.startsWith('ntor '));
  const encKey = ntorKey(requiredItem(layer, items, 'enc-key'));
  const [onionKeyItem] = onionKeys;
  if (onionKeyItem === undefined || onionKeys.length > 1) {
    throw malformed(layer, 'an introduction point does not have exactly one ntor "onion-key"');
  }
  const auth = parseCertificate(objectOf(layer, requiredItem(layer, items, 'auth-key'), 'ED25519 CERT'));
  verifyCertificate(auth, {
    ...demands,
    type: certificateTypes.introAuthKey,
    what: "an introduction point's authentication key",
  });
  const enc = parseCertificate(objectOf(layer, requiredItem(layer, items, 'enc-key-cert'), 'ED25519 CERT'));
  verifyCertificate(enc, {
    ...demands,
    type: certificateTypes.introEncKey,
    what: "an introduction point's encryption key",
  });
  if (!isEd25519FormOf(enc.certifiedKey, encKey)) {
    throw new ChimeraError(
      'ONION_CERTIFICATE',
      "the certificate of an introduction point's encryption key is for another key",
    );
  }
  return { linkSpecifiers, onionKey: ntorKey(onionKeyItem), authKey: auth.certifiedKey, encKey };
}

function ntorKey(item: Item): Uint8Array {
  const [type, key] = argumentsOf(item);
  if (type !== 'ntor') throw malformed(layer, `"${item.keyword}" is not of type ntor`);
  return bytesOf(layer, item.keyword, key, 32);
}

/** The lines before the introduction points, in tor's order. Throws ONION_DESCRIPTOR for a feature that would break its line. */
export function formatFeatures(features: ServiceFeatures): string {
  const lines = [`create2-formats ${ntorHandshake}`];
  if (features.introAuthRequired !== undefined && features.introAuthRequired.length > 0) {
    lines.push(`intro-auth-required ${features.introAuthRequired.join(' ')}`);
  }
  if (features.singleOnionService) lines.push('single-onion-service');
  const flow = features.flowControl;
  if (flow !== undefined) {
    if (!Number.isInteger(flow.sendmeIncrement) || flow.sendmeIncrement < 1 || flow.sendmeIncrement > 254) {
      throw malformed(layer, 'the increment of "flow-control" must be 1 to 254');
    }
    if (!/^[\d,-]+$/.test(flow.versions))
      throw malformed(layer, 'the versions of "flow-control" must be a protover range');
    lines.push(`flow-control ${flow.versions} ${flow.sendmeIncrement}`);
  }
  if (features.proto !== undefined) lines.push(`proto ${features.proto}`);
  for (const line of lines) {
    if (!/^[\x20-\x7e]+$/.test(line)) throw malformed(layer, 'a feature must be printable ASCII on one line');
  }
  return `${lines.join('\n')}\n`;
}

/** An introduction point with its two certificates (140 bytes each), as tor writes it. */
export function formatIntroPoint(point: IntroPoint, authCertificate: Uint8Array, encCertificate: Uint8Array): string {
  return [
    `introduction-point ${encodeBase64(encodeLinkSpecifiers(point.linkSpecifiers))}`,
    `onion-key ntor ${encodeBase64(point.onionKey)}`,
    'auth-key',
    formatObject('ED25519 CERT', authCertificate),
    `enc-key ntor ${encodeBase64(point.encKey)}`,
    'enc-key-cert',
    formatObject('ED25519 CERT', encCertificate),
    '',
  ].join('\n');
}
