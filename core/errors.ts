/**
 * Coded errors: one class, one table. Every code below is explained, with its remedy, in docs/errors.md;
 * the tidy test holds the two together. Lowest module of the tree: it imports nothing.
 */

/** Code → one sentence that says what went wrong, whatever the instance. Keep sorted within a group. */
export const errorCodes = {
  // core/onion
  ONION_ADDRESS: 'a text is not a v3 onion address',
  ONION_CERTIFICATE: 'an Ed25519 certificate is malformed, expired or not signed by whom it should be',
  ONION_DESCRIPTOR: 'a descriptor is malformed, or breaks a limit of the protocol',
  ONION_DECRYPT: 'a descriptor layer could not be decrypted with the keys given',
  ONION_KEY_FILE: 'a file is not the Tor key file that it should be',
  ONION_SIGNATURE: 'a signature does not verify',
  ONION_WRONG_SERVICE: 'a descriptor is genuine but belongs to another service or time period',
} as const satisfies Record<string, string>;

export type ErrorCode = keyof typeof errorCodes;

export interface ChimeraErrorOptions {
  /** What the reader can do about it, one imperative sentence. */
  readonly remedy?: string;
  readonly cause?: unknown;
}

/** The one error class of the project. `message` says what and where, `remedy` what to do. Never put a secret in either. */
export class ChimeraError extends Error {
  override readonly name = 'ChimeraError';
  readonly code: ErrorCode;
  readonly remedy: string | undefined;

  constructor(code: ErrorCode, message: string, options: ChimeraErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.remedy = options.remedy;
  }
}

/** True for a ChimeraError, and when `code` is given only for that code. */
export function isChimeraError(error: unknown, code?: ErrorCode): error is ChimeraError {
  return error instanceof ChimeraError && (code === undefined || error.code === code);
}

/** The message of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
