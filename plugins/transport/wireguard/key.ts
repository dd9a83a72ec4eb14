/** The node's WireGuard key: made once, kept in a file for this user alone (0600), never on a command line or in a log. */
import { ChimeraError, messageOf } from '../../../core/errors.ts';
import { agreementKey, agreementPublicKey } from '../../../core/onion/key-agreement.ts';
import type { Random, Store } from '../../../core/runtime/index.ts';

export interface TunnelKey {
  /** Both in base64, as `wg` writes them. */
  readonly privateKey: string;
  readonly publicKey: string;
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

const longestFile = 128;
const others = 0o077;
const afterNewKey =
  'The others learn it where the nodes have another transport too; where they have none, the node must join anew, in another directory';

/** Reads the key, or makes and keeps one; without a path it lasts as long as the process. Rejects with WIREGUARD_KEY. */
export async function loadTunnelKey(
  { store, random }: { readonly store: Store; readonly random: Random },
  path: string | undefined,
): Promise<TunnelKey> {
  const kept = path === undefined ? undefined : await readKey(store, path);
  const secret = kept ?? newKey(random);
  try {
    if (path !== undefined && kept === undefined) await writeKey(store, path, secret);
    return { privateKey: base64(secret), publicKey: base64(agreementPublicKey(agreementKey(secret))) };
  } finally {
    secret.fill(0);
  }
}

function newKey(random: Random): Uint8Array {
  const secret = random.bytes(32);
  secret[0] = (secret[0] as number) & 248;
  secret[31] = ((secret[31] as number) & 127) | 64;
  return secret;
}

/** What is kept; undefined where nothing is. */
async function readKey(store: Store, path: string): Promise<Uint8Array | undefined> {
  let bytes: Uint8Array | undefined;
  let mode: number | undefined;
  try {
    mode = await store.mode(path);
    bytes = await store.read(path, longestFile);
  } catch (error) {
    throw new ChimeraError('WIREGUARD_KEY', `${path} cannot be read: ${messageOf(error)}`, {
      remedy: 'let the user that runs Chimera own the file and the state directory',
      cause: error,
    });
  }
  if (bytes === undefined) return undefined;
  if (((mode ?? 0) & others) !== 0) {
    throw new ChimeraError('WIREGUARD_KEY', `${path} has mode ${mode?.toString(8)}: others could have the key`, {
      remedy: `remove it: a new key is made. ${afterNewKey}`,
    });
  }
  const text = Buffer.from(bytes).toString('latin1').trim();
  const secret = Uint8Array.from(Buffer.from(text, 'base64'));
  bytes.fill(0);
  if (secret.length === 32 && base64(secret) === text) return secret;
  throw new ChimeraError('WIREGUARD_KEY', `${path} is no WireGuard key`, {
    remedy: `restore the file, or remove it: a new key is made. ${afterNewKey}`,
  });
}

async function writeKey(store: Store, path: string, secret: Uint8Array): Promise<void> {
  try {
    await store.write(path, `${base64(secret)}\n`);
  } catch (error) {
    throw new ChimeraError('WIREGUARD_KEY', `${path} cannot be written: ${messageOf(error)}`, {
      remedy: 'make room on the disk, and let the user that runs Chimera write the state directory',
      cause: error,
    });
  }
}
