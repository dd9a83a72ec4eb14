/** What can be wrong, and what is done about it: each a type of its own, told from what a part says and never from a message's text. */
import type { ErrorCode } from '../../core/errors.ts';

export type Cause =
  /** Nothing listens at the control port, or the connection ended and does not come back. */
  | { readonly kind: 'tor-gone'; readonly tor: string; readonly forMs: number }
  /** It takes connections and does not answer. */
  | { readonly kind: 'tor-hangs'; readonly tor: string; readonly forMs: number }
  /** It answers, and does not let this node in: a restart does not heal that. */
  | { readonly kind: 'tor-refuses'; readonly tor: string; readonly code: ErrorCode }
  /** Most HSDirs do not give back what was published, so many times in a row. */
  | { readonly kind: 'unconfirmed'; readonly inARow: number }
  /** The cycle fails, so many times in a row. */
  | { readonly kind: 'cannot-publish'; readonly inARow: number; readonly code: ErrorCode | undefined }
  /** A head whose tor runs, but which has no established introduction circuit. */
  | { readonly kind: 'head-dead'; readonly head: string; readonly forMs: number }
  | { readonly kind: 'head-back'; readonly head: string };

export type Action =
  | { readonly kind: 'restart-tor'; readonly tor: string }
  | { readonly kind: 'republish' }
  | { readonly kind: 'step-down' }
  | { readonly kind: 'exclude-head'; readonly head: string }
  | { readonly kind: 'include-head'; readonly head: string }
  /** Nothing that this node may or can do. */
  | { readonly kind: 'none' };

const seconds = (ms: number): string => `${Math.round(ms / 1_000)} s`;

/** A cause in words, for people. */
export function describeCause(cause: Cause): string {
  switch (cause.kind) {
    case 'tor-gone':
      return `tor ${cause.tor} is gone for ${seconds(cause.forMs)}`;
    case 'tor-hangs':
      return `tor ${cause.tor} has not answered for ${seconds(cause.forMs)}`;
    case 'tor-refuses':
      return `tor ${cause.tor} does not let this node in (${cause.code})`;
    case 'unconfirmed':
      return `${cause.inARow} publications in a row are not at most of their HSDirs`;
    case 'cannot-publish':
      return `${cause.inARow} cycles in a row failed${cause.code === undefined ? '' : ` (${cause.code})`}`;
    case 'head-dead':
      return `head ${cause.head} has had no introduction circuit for ${seconds(cause.forMs)}`;
    case 'head-back':
      return `head ${cause.head} has introduction circuits again`;
  }
}
