/**
 * What every signer that has the whole master key does with it: blinds it for a time period, signs, gives the counter keys,
 * and overwrites every copy in the end. The key lies outside of the JavaScript heap, where no collector moves it about.
 */
import type { MasterKeyHolder } from '../../core/engine/index.ts';
import {
  blindedKey,
  encodePublicKeyFile,
  encodeSecretKeyFile,
  revisionKey,
  signBlinded,
  type BlindedKey,
  type MasterKey,
  type TimePeriod,
} from '../../core/onion/index.ts';
import type { Signer } from '../../core/pipeline/index.ts';

export interface HeldKey {
  /** Takes the key over: the one given is overwritten. */
  hold(key: MasterKey): void;
  /** The key, for as long as it is held. Throws `missing()`. */
  key(): MasterKey;
  readonly held: boolean;
  readonly sign: Signer['sign'];
  readonly revisionKey: Signer['revisionKey'];
  readonly holder: MasterKeyHolder;
  /** Overwrites every copy. */
  release(): void;
}

/** Two periods are in use at a time; a few more are kept around a rollover. */
const maximumBlinded = 4;

/** An array with a buffer of its own: V8 keeps small ones on its heap otherwise, and copies them when it moves them. */
function apart(bytes: Uint8Array): Uint8Array {
  const copy = new Uint8Array(new ArrayBuffer(bytes.length));
  copy.set(bytes);
  bytes.fill(0);
  return copy;
}

/** `missing` makes the error for a use while there is no key; `memoryOnly` as in MasterKeyHolder. */
export function createHeldKey(missing: () => Error, memoryOnly: boolean): HeldKey {
  const blinded = new Map<string, BlindedKey>();
  let held: MasterKey | undefined;

  const key = (): MasterKey => {
    if (held === undefined) throw missing();
    return held;
  };
  const blindedFor = (period: TimePeriod): BlindedKey => {
    const name = `${period.number}/${period.lengthMinutes}`;
    let found = blinded.get(name);
    if (found === undefined) {
      const made = blindedKey(key(), period);
      found = { publicKey: made.publicKey, expandedSecret: apart(made.expandedSecret) };
      blinded.set(name, found);
      for (const [oldest, { expandedSecret }] of blinded) {
        if (blinded.size <= maximumBlinded) break;
        expandedSecret.fill(0);
        blinded.delete(oldest);
      }
    }
    return found;
  };
  const release = (): void => {
    held?.expandedSecret.fill(0);
    held = undefined;
    for (const { expandedSecret } of blinded.values()) expandedSecret.fill(0);
    blinded.clear();
  };

  return {
    hold: ({ publicKey, expandedSecret }) => {
      release();
      held = { publicKey, expandedSecret: apart(expandedSecret) };
    },
    key,
    get held() {
      return held !== undefined;
    },
    sign: async (period, message) => signBlinded(blindedFor(period), message),
    revisionKey: async (period) => revisionKey(blindedFor(period)),
    holder: {
      memoryOnly,
      secretKeyFile: () => encodeSecretKeyFile(key()),
      publicKeyFile: () => encodePublicKeyFile(key().publicKey),
    },
    release,
  };
}
