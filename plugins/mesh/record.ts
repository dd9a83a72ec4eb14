/**
 * What nodes sign: records of themselves, leases of whoever leads, admissions and removals of members. Each signature covers a
 * label, the cluster, and every field. docs/mesh-wire.md has the layouts.
 */
import { hash as hashNow } from 'node:crypto';
import type { NodeIdentity, NodePublicKeys } from '../../core/engine/index.ts';
import { nodeIdOf } from '../../core/engine/index.ts';
import { verifyPlain } from '../../core/onion/signature.ts';
import { nodeIdLength, nodeIdPattern, Writer, type Reader } from './wire.ts';

export const recordLabels = {
  record: 'chimera mesh 2 record',
  lease: 'chimera mesh 2 lease',
  admission: 'chimera mesh 2 admission',
  removal: 'chimera mesh 2 removal',
} as const;

export const signatureBytes = 64;
const hashBytes = 32;
/** A record's JSON in UTF-8 has at most this many bytes. */
export const maximumRecordBytes = 262_144;
export const maximumKinds = 8;
/** The kind that the mesh itself keeps: where the node is, and which records it has in this life. */
export const presenceKind = 'node';
export const maximumEndpoints = 4;

const kindPattern = /^[a-z][a-z-]{0,31}$/;
const endpointPattern = /^[a-z]{1,16}:[\x21-\x7e]{1,110}$/;
export const isKind = (text: string): boolean => kindPattern.test(text);
export const isEndpoint = (text: string): boolean => endpointPattern.test(text);

export const readNode = (reader: Reader): string => reader.fixed(nodeIdLength, nodeIdPattern);

/** A record without its value, as its owner signed it. */
export interface SignedRecord {
  readonly node: string;
  readonly kind: string;
  readonly incarnation: number;
  readonly version: number;
  readonly length: number;
  /** SHA-256 of the value's bytes. */
  readonly hash: Uint8Array;
  readonly signature: Uint8Array;
}

/** A leader's sign of life. The greater (incarnation, sequence) is the later one. */
export interface Lease {
  readonly node: string;
  readonly incarnation: number;
  readonly sequence: number;
  /** False in the last one: it leads no more. */
  readonly leading: boolean;
  readonly signature: Uint8Array;
}

/** `keys` may take part, says the holder of `signer`. */
export interface Admission {
  readonly keys: NodePublicKeys;
  readonly endpoints: readonly string[];
  readonly signer: Uint8Array;
  readonly signature: Uint8Array;
}

/** `node` may take part no more, says the holder of `signer`. */
export interface Removal {
  readonly node: string;
  readonly signer: Uint8Array;
  readonly signature: Uint8Array;
}

export const hashOf = (bytes: Uint8Array): Buffer => hashNow('sha256', bytes, 'buffer');

const writeRecord = (
  writer: Writer,
  { node, kind, incarnation, version, length, hash }: Omit<SignedRecord, 'signature'>,
): Writer => writer.fixed(node).text(kind).u48(incarnation).u48(version).u32(length).bytes(hash);
const writeLease = (writer: Writer, { node, incarnation, sequence, leading }: Omit<Lease, 'signature'>): Writer =>
  writer.fixed(node).u48(incarnation).u48(sequence).u8(Number(leading));
const writeAdmission = (writer: Writer, { keys, endpoints }: Pick<Admission, 'keys' | 'endpoints'>): Writer => {
  writer.bytes(keys.signing).bytes(keys.agreement).u8(endpoints.length);
  for (const endpoint of endpoints) writer.text(endpoint);
  return writer;
};

/** What is signed: the fields follow. */
const signed = (label: string, cluster: string): Writer => new Writer().fixed(`${label}\0${cluster}`);

export function signRecord(
  identity: NodeIdentity,
  cluster: string,
  record: Omit<SignedRecord, 'signature'>,
): SignedRecord {
  return { ...record, signature: identity.sign(writeRecord(signed(recordLabels.record, cluster), record).done()) };
}

export function verifyRecord(cluster: string, signer: Uint8Array, record: SignedRecord): boolean {
  return verifyPlain(signer, writeRecord(signed(recordLabels.record, cluster), record).done(), record.signature);
}

export function putRecord(writer: Writer, record: SignedRecord): Writer {
  return writeRecord(writer, record).bytes(record.signature);
}

export function readRecord(reader: Reader): SignedRecord {
  const node = readNode(reader);
  const kind = reader.text(kindPattern);
  const incarnation = reader.u48();
  const version = reader.u48();
  const length = reader.u32();
  reader.require(length > 0 && length <= maximumRecordBytes, undefined);
  return {
    node,
    kind,
    incarnation,
    version,
    length,
    hash: reader.bytes(hashBytes),
    signature: reader.bytes(signatureBytes),
  };
}

export function signLease(identity: NodeIdentity, cluster: string, lease: Omit<Lease, 'signature'>): Lease {
  return { ...lease, signature: identity.sign(writeLease(signed(recordLabels.lease, cluster), lease).done()) };
}

export function verifyLease(cluster: string, signer: Uint8Array, lease: Lease): boolean {
  return verifyPlain(signer, writeLease(signed(recordLabels.lease, cluster), lease).done(), lease.signature);
}

export function putLease(writer: Writer, lease: Lease): Writer {
  return writeLease(writer, lease).bytes(lease.signature);
}

export function readLease(reader: Reader): Lease {
  const node = readNode(reader);
  const incarnation = reader.u48();
  const sequence = reader.u48();
  const leading = reader.u8();
  return {
    node,
    incarnation,
    sequence,
    leading: reader.require(leading <= 1, leading === 1),
    signature: reader.bytes(signatureBytes),
  };
}

export function signAdmission(
  identity: NodeIdentity,
  cluster: string,
  admission: Pick<Admission, 'keys' | 'endpoints'>,
): Admission {
  const signature = identity.sign(writeAdmission(signed(recordLabels.admission, cluster), admission).done());
  return { ...admission, signer: identity.keys.signing, signature };
}

export function verifyAdmission(cluster: string, admission: Admission): boolean {
  const fields = writeAdmission(signed(recordLabels.admission, cluster), admission).done();
  return verifyPlain(admission.signer, fields, admission.signature);
}

export function encodeAdmission(admission: Admission): Buffer {
  return writeAdmission(new Writer(), admission).bytes(admission.signer).bytes(admission.signature).done();
}

export function readAdmission(reader: Reader): Admission {
  const keys = { signing: reader.bytes(32), agreement: reader.bytes(32) };
  const count = reader.u8();
  reader.require(count <= maximumEndpoints, undefined);
  const endpoints = Array.from({ length: count }, () => reader.text(endpointPattern));
  return { keys, endpoints, signer: reader.bytes(32), signature: reader.bytes(signatureBytes) };
}

export function signRemoval(identity: NodeIdentity, cluster: string, node: string): Removal {
  const signature = identity.sign(signed(recordLabels.removal, cluster).fixed(node).done());
  return { node, signer: identity.keys.signing, signature };
}

export function verifyRemoval(cluster: string, { node, signer, signature }: Removal): boolean {
  return verifyPlain(signer, signed(recordLabels.removal, cluster).fixed(node).done(), signature);
}

export function encodeRemoval({ node, signer, signature }: Removal): Buffer {
  return new Writer().fixed(node).bytes(signer).bytes(signature).done();
}

export function readRemoval(reader: Reader): Removal {
  return { node: readNode(reader), signer: reader.bytes(32), signature: reader.bytes(signatureBytes) };
}

export const admittedNode = ({ keys }: Admission): string => nodeIdOf(keys.signing);
