/** What the two messages of a join carry, as JSON inside the handshake. Reading is total: a value, or undefined. */
import * as v from 'valibot';
import type { ClusterSecret, NodeIdentity, NodePublicKeys } from '../../core/engine/index.ts';
import { largestEpoch } from '../../core/onion/index.ts';
import { verifyPlain } from '../../core/onion/signature.ts';
import { mostGenerations } from '../identity/index.ts';

/** A reply carries the signed roster of the whole cluster. */
export const largestReply = 4 * 1024 * 1024;

const bytesOf = (length: number) =>
  v.pipe(
    v.string(),
    v.maxLength(Math.ceil(length / 3) * 4),
    v.base64(),
    v.transform((text) => new Uint8Array(Buffer.from(text, 'base64'))),
    v.check((bytes) => bytes.length === length),
  );
const someBytes = (longest: number) =>
  v.pipe(
    v.string(),
    v.maxLength(Math.ceil(longest / 3) * 4),
    v.regex(/^[A-Za-z0-9+/]*={0,2}$/),
    v.transform((text) => new Uint8Array(Buffer.from(text, 'base64'))),
  );
const keys = v.strictObject({ signing: bytesOf(32), agreement: bytesOf(32) });
const endpoint = v.pipe(v.string(), v.regex(/^[a-z][a-z0-9-]{0,15}:[\x21-\x7e]{1,120}$/));

const request = v.strictObject({
  keys,
  /** Where the joiner's transports can be reached, as far as it knows. */
  endpoints: v.pipe(v.array(endpoint), v.maxLength(8)),
  signature: bytesOf(64),
});

const reply = v.strictObject({
  /** The founder's id: it names the cluster. */
  cluster: v.pipe(v.string(), v.regex(/^[a-z2-7]{20}$/)),
  /** The service's address, with ".onion". */
  address: v.nullable(v.pipe(v.string(), v.maxLength(62))),
  /** The epoch of the publisher, or the highest seen: HSDirs refuse whoever begins below it. */
  epoch: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(largestEpoch))),
  /** Who answered. */
  responder: keys,
  roster: someBytes(largestReply),
  /** The cluster's secrets, sealed to the joiner's key. */
  secrets: someBytes(4_096),
});

export interface JoinRequest {
  readonly keys: NodePublicKeys;
  readonly endpoints: readonly string[];
}
export interface JoinReply {
  readonly cluster: string;
  readonly address: string | null;
  readonly epoch?: number | undefined;
  readonly responder: NodePublicKeys;
  readonly roster: Uint8Array;
  readonly secrets: Uint8Array;
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
const encodeKeys = ({ signing, agreement }: NodePublicKeys) => ({
  signing: base64(signing),
  agreement: base64(agreement),
});

function parsed(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return undefined;
  }
}

/** What the joiner signs: that the keys are its own, for this invitation and this handshake. */
function statement(
  selector: string,
  ephemeral: Uint8Array,
  agreement: Uint8Array,
  endpoints: readonly string[],
): Buffer {
  const about = JSON.stringify([selector, endpoints]);
  return Buffer.concat([Buffer.from('chimera join 1 request\0'), ephemeral, agreement, Buffer.from(about)]);
}

export function encodeRequest(
  identity: NodeIdentity,
  selector: string,
  ephemeral: Uint8Array,
  endpoints: readonly string[],
): Uint8Array {
  const signature = identity.sign(statement(selector, ephemeral, identity.keys.agreement, endpoints));
  return Buffer.from(JSON.stringify({ keys: encodeKeys(identity.keys), endpoints, signature: base64(signature) }));
}

/** Undefined for anything that its sender has not signed for this handshake. */
export function readRequest(payload: Uint8Array, selector: string, ephemeral: Uint8Array): JoinRequest | undefined {
  const checked = v.safeParse(request, parsed(payload));
  if (!checked.success) return undefined;
  const { keys: own, endpoints, signature } = checked.output;
  const signed = statement(selector, ephemeral, own.agreement, endpoints);
  return verifyPlain(own.signing, signed, signature) ? { keys: own, endpoints } : undefined;
}

export function encodeReply({ cluster, address, epoch, responder, roster, secrets }: JoinReply): Uint8Array {
  const value = {
    cluster,
    address,
    epoch,
    responder: encodeKeys(responder),
    roster: base64(roster),
    secrets: base64(secrets),
  };
  return Buffer.from(JSON.stringify(value));
}

export function readReply(payload: Uint8Array): JoinReply | undefined {
  const checked = v.safeParse(reply, parsed(payload));
  return checked.success ? checked.output : undefined;
}

const secretList = v.pipe(
  v.array(v.strictObject({ generation: v.pipe(v.number(), v.integer(), v.minValue(1)), secret: bytesOf(32) })),
  v.minLength(1),
  v.maxLength(mostGenerations),
);

/** Secret. */
export function encodeSecrets(secrets: readonly ClusterSecret[]): Uint8Array {
  return Buffer.from(JSON.stringify(secrets.map(({ generation, secret }) => ({ generation, secret: base64(secret) }))));
}

export function readSecrets(bytes: Uint8Array): readonly ClusterSecret[] | undefined {
  const checked = v.safeParse(secretList, parsed(bytes));
  return checked.success ? checked.output : undefined;
}
