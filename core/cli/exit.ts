/** What the exit code of `chimera` says. docs/cli.md has the same table for people. */
import { isChimeraError, type ErrorCode } from '../errors.ts';

export const exitCodes = {
  ok: 0,
  /** The thing asked about is wrong, or what was asked for failed. */
  failed: 1,
  /** The command line, the configuration or a file that they name is at fault. */
  usage: 2,
  /** No tor, or no running node, could be reached, or it does not let us in. */
  unreachable: 3,
  /** tor was reached, but it or the network could not do it. */
  network: 4,
  /** A fault in Chimera itself (EX_SOFTWARE of sysexits.h). */
  internal: 70,
} as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

const usage: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'ADMIN_COMMAND',
  'ADMIN_SOCKET',
  'ADMIN_TAKEN',
  'ATTACKER_FILE',
  'CLI_FILE',
  'CLI_USAGE',
  'CONFIG_INVALID',
  'CONFIG_UNREADABLE',
  'ENGINE_CONTRACT',
  'IDENTITY_EXISTS',
  'IDENTITY_EXPOSED',
  'IDENTITY_FILE',
  'IDENTITY_MISSING',
  'JOIN_INVITATION',
  'JOIN_LISTEN',
  'LAB_TOR_MISSING',
  'MASTER_KEY_UNREADABLE',
  'ONION_ADDRESS',
  'ONION_CONSENSUS',
  'ONION_KEY_FILE',
  'VAULT_FILE',
  'VAULT_NO_SOURCE',
  'VAULT_ON_DISK',
  'VAULT_PASSPHRASE',
  'PEER_UNKNOWN',
  'SETUP_EXISTS',
  'STRATEGY_FILE',
]);

const unreachable: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'ADMIN_UNREACHABLE',
  'SOCKS_CONNECT',
  'TOR_AUTHENTICATION',
  'TOR_CONNECT',
  'TOR_COOKIE',
  'TOR_LOST',
  'TOR_NOT_CONTROL_PORT',
  'TOR_NOT_READY',
  'TOR_PERMISSION',
  'TOR_TIMEOUT',
]);

/** The exit code for anything thrown. */
export function exitCodeOf(error: unknown): ExitCode {
  if (!isChimeraError(error)) return exitCodes.internal;
  if (usage.has(error.code)) return exitCodes.usage;
  if (unreachable.has(error.code)) return exitCodes.unreachable;
  return /^(?:TOR|SOCKS)_/.test(error.code) ? exitCodes.network : exitCodes.failed;
}
