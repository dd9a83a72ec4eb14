/** The node's WireGuard key: made once, kept in a file for this user alone (0600), never on a command line or in a log. */
import { ChimeraError } from '../../../core/errors.ts';
import { agreementKey, agreementPublicKey } from '../../../core/onion/key-agreement.ts';
import type { Random, Store } from '../../../core/runtime/index.ts';

export interface TunnelKey {
  /** Both in base64, as `wg` writes them. */
  readonly privateKey: string;
  readonly publicKey: string;
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

/** Reads the key, or makes and keeps one; without a path it lasts as long as the process. Rejects with WIREGUARD_KEY. */
export async function loadTunnelKey(
  { store, random }: { readonly store: Store; readonly random: Random },
  path: string | undefined,
): Promise<TunnelKey> {
  const kept = path === undefined ? undefined : await store.read(path, 128);
  let secret: Uint8Array;
  if (kept === undefined) {
    secret = random.bytes(32);
    secret[0] = (secret[0] as number) & 248;
    secret[31] = ((secret[31] as number) & 127) | 64;
    if (path !== undefined) await store.write(path, `${base64(secret)}\n`);
  } else {
    const text = Buffer.from(kept).toString('latin1').trim();
    secret = Uint8Array.from(Buffer.from(text, 'base64'));
    if (secret.length !== 32 || base64(secret) !== text) {
      throw new ChimeraError('WIREGUARD_KEY', `${path} is no WireGuard key`, {
        remedy: 'restore the file, or remove it: a new key is made, and the peers learn it by this node’s own records',
      });
    }
  }
  return { privateKey: base64(secret), publicKey: base64(agreementPublicKey(agreementKey(secret))) };
}
