import { parseOnionAddress, type OnionAddress } from '../../../../core/onion/index.ts';

/** An onion address as control commands take it: 56 characters, without `.onion`. Undefined for anything else. */
export function onionOrUndefined(text: string): OnionAddress | undefined {
  try {
    return /^[a-z2-7]{56}$/i.test(text) ? parseOnionAddress(text) : undefined;
  } catch {
    return undefined;
  }
}
