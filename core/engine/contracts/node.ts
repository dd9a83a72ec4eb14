/**
 * Contracts of a node's own keys and of the cluster's secret. The node's id derives from its key, so that nobody can take
 * another's name; the cluster's secret keys the sessions, so that nobody outside can speak.
 */
import { createHash } from 'node:crypto';
import { encodeBase32 } from '../../onion/bytes.ts';
import { contract } from '../contract.ts';

/** The public half of a node, as admissions and sessions name it. */
export interface NodePublicKeys {
  /** Ed25519, 32 bytes: signs the node's records. The id derives from it. */
  readonly signing: Uint8Array;
  /** X25519, 32 bytes: the static key of its sessions, and what secrets for it are sealed to. */
  readonly agreement: Uint8Array;
}

/** A node's own key. It never leaves its holder. */
export interface NodeIdentity {
  /** nodeIdOf(keys.signing). */
  readonly node: string;
  readonly keys: NodePublicKeys;
  /** Ed25519 over `message`, 64 bytes. The caller puts a label of its own before what it signs. */
  sign(message: Uint8Array): Uint8Array;
  /** X25519 of the agreement key with another's, 32 bytes. Throws for a key of low order. */
  agree(publicKey: Uint8Array): Uint8Array;
}
export const nodeIdentityContract = contract<NodeIdentity>('node-identity');

/** What all members share: keys the mesh's sessions. Grows by one generation whenever a member is removed. */
export interface ClusterSecret {
  readonly generation: number;
  /** 32 bytes. */
  readonly secret: Uint8Array;
}

export interface ClusterSecrets {
  /** The newest first; those before it are still accepted while members change over. One to four; two may be of one generation. */
  current(): readonly ClusterSecret[];
  /** False while a restart would forget the newest, since it could not be kept. Until it is, its holder should not rely on it alone. */
  readonly kept: boolean;
  /**
   * Takes a later secret: of a higher generation, or of the same one with the greater hash, so that all settle on one.
   * Ignores any other. It counts at once; resolves when it is kept, rejects with IDENTITY_FILE when it cannot be,
   * and is tried again then.
   */
  learn(secret: ClusterSecret): Promise<void>;
  /** Drops all but the newest. Resolves when that is kept. */
  retire(): Promise<void>;
  /** Called after each change, and when what could not be kept is kept. Returns the unsubscriber. */
  onChange(listener: () => void): () => void;
}
export const clusterSecretsContract = contract<ClusterSecrets>('cluster-secrets');

/** What became of a new generation of the cluster's secret so far. */
export interface SecretChange {
  readonly generation: number;
  /** Members that have it. */
  readonly confirmed: readonly string[];
  /** Members that have not answered: they ask for it when they are back, with one before. */
  readonly waiting: readonly string[];
}

/** Makes a new generation of the cluster's secret, which those who were removed do not get. */
export interface SecretRotation {
  /** To be called after Roster.remove; resolves when every member has been asked once. `why` is for the log. */
  rotate(why: string): Promise<SecretChange>;
}
export const secretRotationContract = contract<SecretRotation>('secret-rotation');

const idLength = 20;

/** A node's id: 20 base32 characters (100 bits) of the SHA-256 of its Ed25519 public key. */
export function nodeIdOf(signingKey: Uint8Array): string {
  const digest = createHash('sha256').update('chimera-node-id\0').update(signingKey).digest();
  return encodeBase32(digest).slice(0, idLength);
}
