/** A descriptor as people read it and as JSON: one shape for every command that shows one. */
import {
  fingerprintIn,
  introPointId,
  ipv4In,
  linkSpecifierTypes,
  type Descriptor,
  type IntroPoint,
  type OnionAddress,
  type ServiceFeatures,
} from '../../../onion/index.ts';
import { formatTime } from '../../../runtime/index.ts';
import { errorForJson, type Field, type Output } from '../../output.ts';
import type { Diagnosis } from './diagnosis.ts';

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

export interface IntroPointView {
  readonly id: string;
  readonly fingerprint?: string;
  /** Unpadded base64, as tor prints relay identities. */
  readonly ed25519?: string;
  /** host:port */
  readonly address?: string;
  readonly onionKey: string;
  readonly authKey: string;
  readonly encKey: string;
}

/** An introduction point; keys in base64 as they stand in a descriptor. */
export function introPointView(point: IntroPoint): IntroPointView {
  const fingerprint = fingerprintIn(point.linkSpecifiers);
  const ipv4 = ipv4In(point.linkSpecifiers);
  const identity = point.linkSpecifiers.find(({ type }) => type === linkSpecifierTypes.ed25519Id)?.data;
  return {
    id: introPointId(point),
    ...(fingerprint === undefined ? {} : { fingerprint }),
    ...(identity === undefined ? {} : { ed25519: base64(identity).replace(/=+$/, '') }),
    ...(ipv4 === undefined ? {} : { address: `${ipv4.host}:${ipv4.port}` }),
    onionKey: base64(point.onionKey),
    authKey: base64(point.authKey),
    encKey: base64(point.encKey),
  };
}

function featureWords(features: ServiceFeatures, powParams: Descriptor['powParams']): string {
  const words = [
    features.flowControl && `flow-control ${features.flowControl.versions} ${features.flowControl.sendmeIncrement}`,
    features.singleOnionService && 'single-onion-service',
    features.proto !== undefined && `proto ${features.proto}`,
    features.introAuthRequired && `intro-auth-required ${features.introAuthRequired.join(' ')}`,
    powParams && `pow-params ${powParams.type}, suggested effort ${powParams.suggestedEffort}`,
  ].filter((word) => typeof word === 'string');
  return words.length === 0 ? 'none' : words.join('; ');
}

/** What is known of a descriptor, whether or not it is all right. */
function diagnosisForJson(address: OnionAddress, diagnosis: Diagnosis): Record<string, unknown> {
  const { outer, period, descriptor, problems } = diagnosis;
  return {
    ok: problems.length === 0,
    address: `${address}.onion`,
    problems: problems.map(errorForJson),
    ...(period && { period: period.number, periodLengthMinutes: period.lengthMinutes }),
    ...(outer && {
      blindedKey: hex(outer.blindedKey),
      revision: outer.revision,
      lifetimeMinutes: outer.lifetimeMinutes,
      signingKeyExpiresAt: outer.certificate.expiresAt,
    }),
    ...(descriptor && {
      restricted: descriptor.restricted,
      features: descriptor.features,
      ...(descriptor.powParams && { powParams: descriptor.powParams }),
      introPoints: descriptor.introPoints.map(introPointView),
    }),
  };
}

/** Prints the same for people. Problems go to standard error, by `output.error`. */
function printDiagnosis(output: Output, address: OnionAddress, diagnosis: Diagnosis, hsdir?: string): void {
  const { outer, period, descriptor, problems } = diagnosis;
  const verdict =
    problems.length === 0
      ? output.good('genuine and valid')
      : descriptor === undefined
        ? output.bad('not valid')
        : output.bad('genuine, but expired');
  const fields: Field[] = [
    ['address', `${address}.onion`],
    ['verdict', verdict],
  ];
  if (hsdir !== undefined) fields.push(['HSDir', hsdir]);
  if (period) fields.push(['time period', `${period.number} of ${period.lengthMinutes} min`]);
  if (outer) {
    fields.push(
      ['blinded key', hex(outer.blindedKey)],
      ['revision', outer.revision.toString()],
      ['lifetime', `${outer.lifetimeMinutes} min`],
      ['certificate expires', formatTime(outer.certificate.expiresAt)],
    );
  }
  if (descriptor) {
    fields.push(
      ['features', featureWords(descriptor.features, descriptor.powParams)],
      ['client authorization', descriptor.restricted ? 'in use; the client key given opens it' : 'none'],
      ['introduction points', String(descriptor.introPoints.length)],
    );
  }
  output.fields(fields);
  descriptor?.introPoints.forEach((point, index) => {
    const view = introPointView(point);
    output.line(`${index + 1}. ${view.fingerprint ?? 'no legacy identity'}  ${view.address ?? 'no IPv4 address'}`);
    output.fields(
      [
        ['ed25519', view.ed25519 ?? 'none'],
        ['auth key', view.authKey],
        ['enc key', view.encKey],
      ],
      3,
    );
  });
}

/** Shows a diagnosis in one form or the other, and reports its problems. `hsdir` is who gave the descriptor. */
export function showDiagnosis(
  output: Output,
  address: OnionAddress,
  diagnosis: Diagnosis,
  options: { readonly json: boolean; readonly hsdir?: string },
): void {
  const { json, hsdir } = options;
  if (json) output.json({ ...diagnosisForJson(address, diagnosis), ...(hsdir === undefined ? {} : { hsdir }) });
  else printDiagnosis(output, address, diagnosis, hsdir);
  for (const problem of diagnosis.problems) output.error(problem);
}
