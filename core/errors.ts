/**
 * Coded errors: one class, one table. Every code below is explained, with its remedy, in docs/errors.md;
 * the tidy test holds the two together. Lowest module of the tree: it imports nothing.
 */

/** Code → one sentence that says what went wrong, whatever the instance. Keep sorted within a group. */
export const errorCodes = {
  // core/onion
  ONION_ADDRESS: 'a text is not a v3 onion address',
  ONION_CERTIFICATE: 'an Ed25519 certificate is malformed, expired or not signed by whom it should be',
  ONION_CONSENSUS: 'consensus times that make no time period',
  ONION_DESCRIPTOR: 'a descriptor is malformed, or breaks a limit of the protocol',
  ONION_DECRYPT: 'a descriptor layer could not be decrypted with the keys given',
  ONION_KEY_FILE: 'a file is not the Tor key file that it should be',
  ONION_REVISION: 'a revision counter cannot be made: the epoch is out of range, or a later one has published',
  ONION_SIGNATURE: 'a signature does not verify',
  ONION_WRONG_SERVICE: 'a descriptor is genuine but belongs to another service or time period',
  // core/pipeline
  CYCLE_ANOTHER_PUBLISHER: 'an HSDir holds a descriptor of this address that this node has not made',
  CYCLE_BAD_MERGE: 'a merge policy returned something that may not be published',
  CYCLE_NEVER_ZERO: 'a plugin left no introduction point although some are known, and was overruled',
  CYCLE_NOT_ACCEPTED: 'no HSDir took the descriptor',
  CYCLE_NO_CANDIDATES: 'no head has an introduction point that could be published',
  CYCLE_STEP_LATE: 'a step of the publish cycle was not done within its deadline',
  CYCLE_UNANSWERED: 'a hook that needs an answer had none',
  STATE_FILE: 'a state file is damaged or cannot be written',
  // core/engine
  ENGINE_CONTRACT:
    'the plugins of a preset do not fit together: a contract is missing, given twice, or needed in a circle',
  ENGINE_LATE: 'a plugin registered something after the start, when hooks are frozen',
  ENGINE_PLUGIN: 'a plugin failed to start, or is not a plugin',
  ENGINE_STOPPED: 'the node is stopping and takes no further request',
  // plugins
  ADMIN_ANSWER: 'a node went away before it had answered, or its answer cannot be understood',
  ADMIN_COMMAND: 'a node has no such command, or its arguments are wrong',
  ADMIN_FAILED: 'a command failed inside the node',
  ADMIN_REQUEST: 'a request at the admin socket is malformed, too large, too slow, or one too many',
  ADMIN_SOCKET: 'the admin socket cannot be opened',
  ADMIN_TAKEN: 'another node answers at the admin socket already',
  ADMIN_UNREACHABLE: 'no running node answers at its admin socket',
  ATTACKER_FILE: 'an attacker of your own cannot be loaded, or is none',
  AUTHORIZED_CLIENTS: 'the list of authorized clients is empty, too long or malformed',
  ELECTION_EPOCH: 'a member names an epoch that no cluster can have reached, and is not believed',
  ELECTION_NO_SUCCESSOR: 'this node was asked to let another one publish, and none is ready to',
  EXPOSURE_OUTAGE: 'a rotation takes introduction points away faster than clients can follow',
  EXPOSURE_RELAYS: 'a rotation shows so many relays in a day that a hostile one is likely among them',
  HEADS_DIRECTORY: 'the directory of a head cannot be prepared or read',
  HEADS_REFUSED: 'tor refuses the onion service of a head',
  IDENTITY_EXISTS: 'a key file would be written over',
  IDENTITY_EXPOSED: 'others than its owner may read or write a file of this node’s own',
  IDENTITY_FILE: 'the node’s key or the cluster’s secret is damaged, or its file cannot be read or written',
  IDENTITY_KEY: 'another node’s public key is none that anything can be agreed with',
  IDENTITY_MISSING: 'the node’s key or the cluster’s secret is not there',
  MESH_CLOCK_SKEW: 'the wall clock of a member stands otherwise than this node’s',
  MESH_NODE_TAKEN: 'two nodes of a cluster have the same id',
  MESH_NO_ANSWER: 'a member did not answer a question, or refused',
  MESH_RECORD: 'a node wants to publish a record of a bad kind, or of too many kinds',
  MESH_REMOVED: 'a node was removed from the cluster: it publishes nothing, and cannot be admitted again',
  MESH_ROSTER: 'the roster of members is damaged, full, of another cluster, or not signed by members',
  MESH_TOO_LARGE: 'a message or record for the mesh is larger than it may be',
  SIEGE_METRICS_PORT: 'tor opens no MetricsPort for this node, or one that cannot be read',
  SEALED_REFUSED: 'a sealed message does not open',
  JOIN_ANSWER: 'what answers at an address is no member, or broke off',
  JOIN_INVITATION: 'a text is not an invitation',
  JOIN_LISTEN: 'the door for nodes that join cannot be opened',
  JOIN_REFUSED: 'a cluster does not let a node in',
  JOIN_TOO_MANY: 'a node has too many open invitations',
  PROXY_LISTEN: 'the proxy cannot listen where the heads should lead',
  PEER_UNKNOWN: 'no member of the cluster has that id, or several have',
  MASTER_KEY_UNREADABLE: 'the master key file is missing or may not be read',
  REDIS_CREDENTIALS: 'a file with a password, key or certificate for Redis cannot be read',
  REDIS_MISSING: 'the library for Redis is not installed',
  STRATEGY_FILE: 'a strategy of your own cannot be loaded, or is none',
  TRANSPORT_BIND: 'a transport cannot open its socket',
  REPAIR_COMMAND: 'the command that should restart a tor failed',
  VAULT_FILE: 'a sealed master key is missing, damaged or cannot be read',
  VAULT_LOCKED: 'the master key is asked for before it has come',
  VAULT_NO_SOURCE: 'nobody gives this node the master key: no peer could, and there is no passphrase',
  VAULT_ON_DISK: 'the master key would be written to a disk',
  VAULT_PASSPHRASE: 'a passphrase does not open the sealed master key',
  VAULT_REFUSED: 'a member does not get the master key, or gave another one',
  WIREGUARD_COMMAND: 'a command that makes the WireGuard interface failed',
  WIREGUARD_KEY: "the file of the node's WireGuard key is damaged, open to others, or cannot be read or written",
  WIREGUARD_MISSING: 'a program that WireGuard needs is not installed',
  WIREGUARD_TAKEN: 'an interface of that name exists and is not of this node',
  // core/config
  CONFIG_INVALID: 'a setting in the configuration is unknown or has a bad value',
  CONFIG_UNREADABLE: 'the configuration file is missing or cannot be parsed',
  // core/cli
  CLI_FILE: 'a file that the command line names cannot be read or written',
  CLI_USAGE: 'the options of a command do not go together, or a value has the wrong form',
  SETUP_EXISTS: 'a node has been set up in a directory already, or another one has begun to be',
  HTTP_ANSWER: 'what was asked over HTTP did not answer, or not in HTTP',
  // core/runtime
  SOCKS_CONNECT: 'no SOCKS port could be reached',
  SOCKS_TARGET: 'tor could not connect to a host or an onion service through its SOCKS port',
  // test/kit/network
  LAB_BOOTSTRAP: 'a tor of the private network did not bootstrap in time',
  LAB_NO_CONSENSUS: 'the authorities of the private network made no complete consensus in time',
  LAB_NOT_HELD: 'a claim that the lab checks did not hold',
  LAB_STOPPED: 'the private network has been stopped',
  LAB_TOR_EXITED: 'a tor of the private network, or a program that it needs, has ended by itself',
  LAB_TOR_MISSING: 'the system has no `tor` that could be started',
  LAB_TOR_SILENT: 'the control port of a tor of the private network does not answer',
  // plugins/tor
  TOR_AUTHENTICATION: 'a control port refused the authentication, or offers none that could be used',
  TOR_BOOTSTRAP: 'tor has not finished connecting to the network',
  TOR_BUSY: 'more requests wait for one tor than are kept',
  TOR_COMMAND: 'a control command cannot be sent as it is: a line break, a bad name, or too long',
  TOR_CONNECT: 'no tor could be reached at its control port',
  TOR_CONSENSUS: 'tor has no consensus that can be used, or gave one that cannot be read',
  TOR_COOKIE: 'the authentication cookie of a control port cannot be read',
  TOR_FETCH_FAILED: 'a descriptor could not be fetched from an HSDir',
  TOR_LOST: 'the connection to a control port ended while something waited for an answer',
  TOR_NOT_CONTROL_PORT: 'what listens at an address does not speak the control protocol',
  TOR_NOT_READY: 'a request came while there is no connection to tor',
  TOR_PERMISSION: 'the control socket may not be opened by this user',
  TOR_REFUSED: 'tor refused a control command',
  TOR_REPLY: 'tor gave an answer that does not fit the question',
  TOR_REPLY_TOO_LARGE: 'a line or a reply on a control port is larger than what is taken',
  TOR_TIMEOUT: 'tor did not answer in time',
  TOR_UNKNOWN_SERVER: 'tor does not know a relay that was named as an HSDir',
} as const satisfies Record<string, string>;

export type ErrorCode = keyof typeof errorCodes;

export interface ChimeraErrorOptions {
  /** What the reader can do about it, one imperative sentence. */
  readonly remedy?: string;
  readonly cause?: unknown;
  /** What a program may want to know of it, by name. */
  readonly details?: Readonly<Record<string, number>>;
}

/** The one error class of the project. `message` says what and where, `remedy` what to do. Never put a secret in either. */
export class ChimeraError extends Error {
  override readonly name = 'ChimeraError';
  readonly code: ErrorCode;
  readonly remedy: string | undefined;
  readonly details: Readonly<Record<string, number>>;

  constructor(code: ErrorCode, message: string, options: ChimeraErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.remedy = options.remedy;
    this.details = options.details ?? {};
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
