/**
 * The cluster's secret in its generations, the newest and those before that a member may still need: the file that keeps
 * them over restarts, and the service that hands them out and learns later ones.
 */
import { createHash } from 'node:crypto';
import type { ClusterSecret, ClusterSecrets } from '../../core/engine/index.ts';
import { ChimeraError } from '../../core/errors.ts';
import { encodeBase64Unpadded } from '../../core/onion/bytes.ts';
import type { Random, Store } from '../../core/runtime/index.ts';
import { readOwnFile, writeOwnFile } from './own-file.ts';

const secretLength = 32;
/** Beyond it a generation is nobody's honest count of removals. */
export const largestGeneration = 2 ** 32 - 1;
/** The newest, and those before it: who was away for as many changes as that has none in common with the others any more. */
export const mostGenerations = 4;
const form = new RegExp(
  `^chimera-cluster-secrets 1\\n((?:generation \\d{1,10} [A-Za-z0-9+/]{43}\\n){1,${mostGenerations}})check [0-9a-f]{16}\\n$`,
);
const what = 'cluster secrets';

/** A name of a secret that tells nothing of it: 16 bytes of its SHA-256, in hexadecimal. */
export function secretName({ generation, secret }: ClusterSecret): string {
  const hash = createHash('sha256').update(`chimera-cluster-secret 1\n${generation}\n`).update(secret);
  return hash.digest('hex').slice(0, 32);
}

/**
 * True when `one` takes the place of `other`: of a higher generation, or of the same one with the greater name. So all
 * settle on the same secret when two members make a generation at once.
 */
export function isLater(one: ClusterSecret, other: ClusterSecret): boolean {
  if (one.generation !== other.generation) return one.generation > other.generation;
  return secretName(one) > secretName(other);
}

function isSound({ generation, secret }: ClusterSecret): boolean {
  return (
    Number.isInteger(generation) && generation >= 1 && generation <= largestGeneration && secret.length === secretLength
  );
}

/** The next generation after `previous`; the first one without it. */
export function createClusterSecret(random: Random, previous?: ClusterSecret): ClusterSecret {
  return { generation: (previous?.generation ?? 0) + 1, secret: random.bytes(secretLength) };
}

/** A changed bit would make another secret, with which a node hears nobody and nobody hears it. */
const checkOf = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 16);

/** The text of a cluster secrets file, newest first. Secret. Throws IDENTITY_FILE for none, too many or a bad one. */
export function encodeClusterSecrets(secrets: readonly ClusterSecret[]): string {
  const isOrdered = secrets.every((secret, at) => {
    const before = secrets[at - 1];
    return before === undefined || isLater(before, secret);
  });
  if (secrets.length === 0 || secrets.length > mostGenerations || !isOrdered || !secrets.every(isSound)) {
    throw new ChimeraError('IDENTITY_FILE', `cluster secrets are one to ${mostGenerations}, the newest first`);
  }
  const lines = secrets.map(({ generation, secret }) => `generation ${generation} ${encodeBase64Unpadded(secret)}\n`);
  const text = `chimera-cluster-secrets 1\n${lines.join('')}`;
  return `${text}check ${checkOf(text)}\n`;
}

/** The generations in the bytes of such a file. Throws IDENTITY_FILE, without a byte of the file. */
export function parseClusterSecrets(bytes: Uint8Array): readonly ClusterSecret[] {
  const text = bytes.length > 1_024 ? '' : Buffer.from(bytes).toString('latin1');
  const lines = form.exec(text)?.[1]?.trimEnd().split('\n') ?? [];
  const secrets = lines.map((line): ClusterSecret => {
    const [, generation = '', secret = ''] = line.split(' ');
    return { generation: Number(generation), secret: new Uint8Array(Buffer.from(secret, 'base64')) };
  });
  // Only what would be written so is read: no second spelling.
  let canonical: string | undefined;
  try {
    canonical = encodeClusterSecrets(secrets);
  } catch {
    canonical = undefined;
  }
  if (canonical === undefined || canonical !== text) {
    throw new ChimeraError('IDENTITY_FILE', 'it is not a cluster secrets file as Chimera writes it, or it is damaged', {
      remedy: 'restore it from a copy, or make the node anew: `chimera join` with a new invitation',
    });
  }
  return secrets;
}

/** Rejects with IDENTITY_MISSING, IDENTITY_EXPOSED or IDENTITY_FILE. */
export function readClusterSecrets(store: Store, path: string): Promise<readonly ClusterSecret[]> {
  return readOwnFile(store, path, what, parseClusterSecrets);
}

/** Replaces the file as a whole, mode 0600. Rejects with IDENTITY_FILE; with `fresh`, IDENTITY_EXISTS where a file is. */
export async function writeClusterSecrets(
  store: Store,
  path: string,
  secrets: readonly ClusterSecret[],
  options: { readonly fresh?: boolean } = {},
): Promise<void> {
  await writeOwnFile(store, path, encodeClusterSecrets(secrets), { what, ...options });
}

/** The service, and its end. */
export interface HeldClusterSecrets extends ClusterSecrets {
  /** Waits for what is being kept, then overwrites the secrets; from then on there are none, and none is learned or kept. */
  release(): Promise<void>;
}

/**
 * The service. `initial` is asked once, at the first use; `keep` is called with each change and rejects when it could not. Then
 * `again` is given what tries once more, to be called in a while. A change counts from the moment that it is known: a node whose
 * disk is full stays with the others.
 */
export function createClusterSecrets(
  initial: () => readonly ClusterSecret[],
  keep: (secrets: readonly ClusterSecret[]) => Promise<void>,
  again: (retry: () => void) => void = () => undefined,
): HeldClusterSecrets {
  const listeners = new Set<() => void>();
  let known: readonly ClusterSecret[] | undefined;
  /** Those that a restart would find. */
  let onDisk: readonly ClusterSecret[] | undefined;
  let keeping: Promise<void> = Promise.resolve();
  let released = false;
  let isPlanned = false;
  const current = (): readonly ClusterSecret[] => (known ??= onDisk = initial());
  const isKept = (): boolean => onDisk === known;

  const tell = (): void => {
    for (const listener of listeners) listener();
  };
  const write = async (): Promise<void> => {
    const secrets = current();
    try {
      await keep(secrets);
      onDisk = secrets;
    } catch (error) {
      if (!isPlanned) again(retry);
      isPlanned = true;
      throw error;
    }
  };
  const inTurn = (): Promise<void> => {
    const done = keeping.then(write);
    keeping = done.catch(() => undefined);
    return done;
  };
  const retry = (): void => {
    isPlanned = false;
    if (!released && !isKept()) inTurn().then(tell, () => undefined);
  };

  const change = async (next: readonly ClusterSecret[]): Promise<void> => {
    known = next;
    tell();
    await inTurn();
  };

  return {
    current,
    get kept() {
      return isKept();
    },
    learn: async (secret) => {
      if (!isSound(secret)) throw new ChimeraError('IDENTITY_FILE', 'a cluster secret has a bad generation or length');
      if (released) return;
      const [newest] = current();
      if (newest !== undefined && !isLater(secret, newest)) return;
      const copy = { generation: secret.generation, secret: Uint8Array.from(secret.secret) };
      // One of the same generation too: whoever made it, and those to whom it was given, have no later one yet.
      await change([copy, ...current()].slice(0, mostGenerations));
    },
    retire: async () => {
      if (!released && current().length > 1) await change(current().slice(0, 1));
    },
    onChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    release: async () => {
      if (released) return;
      released = true;
      await keeping;
      for (const { secret } of known ?? []) secret.fill(0);
      known = [];
    },
  };
}
