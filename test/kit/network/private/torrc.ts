/** The torrc of each kind of tor in a private network. Pure texts; docs/lab.md says why each unusual line is there. */
import { formatEndpoint, type Endpoint } from '../../../../core/runtime/index.ts';
import type { TorrcOptions } from '../network.ts';

export interface AuthorityFacts {
  readonly name: string;
  /** IPv4. */
  readonly address: string;
  readonly orPort: number;
  readonly dirPort: number;
  /** Of the authority's certificate, 40 hex characters. */
  readonly v3Identity: string;
  /** Of its relay identity, 40 hex characters. */
  readonly fingerprint: string;
}

/** OnionBalance's `--is-testnet` takes this interval for granted: a network with another is none for it. */
export const votingSeconds = 20;

/**
 * The interval until there is a first consensus. Half an hour, the longest that tor takes, keeps the authorities from
 * voting; when all relays have published, the launcher opens the voting with the shortest.
 */
export const initialVoting = { closedSeconds: 1800, openSeconds: 5 };

/** What every tor of the network has. */
export function commonOptions(
  dataDirectory: string,
  control: Endpoint,
  authorities: readonly AuthorityFacts[],
  owner: number,
): TorrcOptions {
  return {
    TestingTorNetwork: '1',
    DirAuthority: authorities.map(
      ({ name, address, orPort, dirPort, v3Identity, fingerprint }) =>
        `${name} orport=${orPort} no-v2 v3ident=${v3Identity} ${address}:${dirPort} ${fingerprint}`,
    ),
    DataDirectory: dataDirectory,
    ControlPort: formatEndpoint(control),
    CookieAuthentication: '1',
    SocksPort: '0',
    __OwningControllerProcess: String(owner),
    PathsNeededToBuildCircuits: '0.67',
    AddressDisableIPv6: '1',
    ShutdownWaitLength: '0',
    GeoIPFile: '/dev/null',
    GeoIPv6File: '/dev/null',
    NumCPUs: '1',
    Log: ['notice stdout', `notice file ${dataDirectory}/tor.log`],
    SafeLogging: '0',
  };
}

/** What a relay has beside, an authority included. */
export function relayOptions(nickname: string, address: string, orPort: number): TorrcOptions {
  return {
    Nickname: nickname,
    ContactInfo: 'none',
    Address: address,
    ORPort: `${address}:${orPort} IPv4Only`,
    AssumeReachable: '1',
    PublishServerDescriptor: '1',
    ServerDNSAllowBrokenConfig: '1',
    ServerDNSDetectHijacking: '0',
    DoSCircuitCreationEnabled: '0',
    DoSConnectionEnabled: '0',
  };
}

/** What an authority has beside that. */
export function authorityOptions(address: string, dirPort: number): TorrcOptions {
  return {
    DirPort: `${address}:${dirPort}`,
    AuthoritativeDirectory: '1',
    V3AuthoritativeDirectory: '1',
    V3AuthVotingInterval: `${votingSeconds} seconds`,
    V3AuthVoteDelay: '4 seconds',
    V3AuthDistDelay: '4 seconds',
    V3AuthNIntervalsValid: '3',
    TestingV3AuthInitialVotingInterval: `${initialVoting.closedSeconds} seconds`,
    TestingV3AuthInitialVoteDelay: '2 seconds',
    TestingV3AuthInitialDistDelay: '2 seconds',
    AuthDirTestReachability: '0',
    TestingDirAuthVoteExit: '*',
    TestingDirAuthVoteHSDir: '*',
    TestingDirAuthVoteGuard: '*',
    TestingMinExitFlagThreshold: '0',
    MinUptimeHidServDirectoryV2: '0 minutes',
  };
}

/** A torrc file's text: options of the later sets replace those of the earlier. */
export function torrcText(...sets: readonly TorrcOptions[]): string {
  const lines = Object.entries(Object.assign({}, ...sets) as TorrcOptions).flatMap(([name, value]) =>
    (typeof value === 'string' ? [value] : value).map((item) => `${name} ${item}`),
  );
  return `${lines.join('\n')}\n`;
}
