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
  | { readonly kind: 'head-back'; readonly head: string }
  /** None of the heads of a tor that answers has an introduction circuit: it has no network, and cannot publish either. */
  | { readonly kind: 'tor-cut-off'; readonly tor: string };

export type Action =
  | { readonly kind: 'restart-tor'; readonly tor: string }
  | { readonly kind: 'republish' }
  | { readonly kind: 'step-down' }
  | { readonly kind: 'exclude-head'; readonly head: string }
  | { readonly kind: 'include-head'; readonly head: string }
  /** Nothing that this node may or can do. */
  | { readonly kind: 'none' };

const seconds = (ms: number): string => `${Math.round(ms / 1_000)} s`;

type Words = { readonly [Kind in Cause['kind']]: (cause: Extract<Cause, { kind: Kind }>) => string };

const words: Words = {
  'tor-gone': ({ tor, forMs }) => `tor ${tor} is gone for ${seconds(forMs)}`,
  'tor-hangs': ({ tor, forMs }) => `tor ${tor} has not answered for ${seconds(forMs)}`,
  'tor-refuses': ({ tor, code }) => `tor ${tor} does not let this node in (${code})`,
  unconfirmed: ({ inARow }) => `${inARow} publications in a row are not at most of their HSDirs`,
  'cannot-publish': ({ inARow, code }) => `${inARow} cycles in a row failed${code === undefined ? '' : ` (${code})`}`,
  'head-dead': ({ head, forMs }) => `head ${head} has had no introduction circuit for ${seconds(forMs)}`,
  'head-back': ({ head }) => `head ${head} has introduction circuits again`,
  'tor-cut-off': ({ tor }) => `tor ${tor} answers, and none of its heads has an introduction circuit`,
};

/** A cause in words, for people. */
export function describeCause(cause: Cause): string {
  return (words[cause.kind] as (cause: Cause) => string)(cause);
}
