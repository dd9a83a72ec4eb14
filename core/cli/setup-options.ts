/** The options that `chimera init` and `chimera join` share: what a node's configuration says of its machine. */
import type { Command } from 'commander';
import { InvalidArgumentError, Option } from 'commander';
import { readInternetEndpoint } from '../../plugins/transport/common.ts';
import { parseEndpoint, type Endpoint } from '../runtime/index.ts';
import type { CommandContext } from './context.ts';
import { endpointOrDefault } from './commands/debug/control.ts';
import { collect, endpoint, wholeNumber } from './options.ts';
import type { NodeSettings } from './setup.ts';

export interface SetupOptions {
  readonly tor?: Endpoint;
  readonly target: string;
  readonly virtualPort: number;
  readonly bind?: readonly string[];
  readonly advertise?: string;
  readonly wireguard?: true;
}

function target(text: string): string {
  if (/^\d{1,5}$/.test(text) || parseEndpoint(text) !== undefined) return text;
  throw new InvalidArgumentError('It must be a port, host:port or unix:/path.');
}

function internet(text: string): string {
  const parsed = parseEndpoint(text);
  if (parsed !== undefined && 'port' in parsed && parsed.port > 0) return text;
  throw new InvalidArgumentError('It must be an IP address and a port.');
}

/** Stricter than where to listen: what others are told must be one machine’s. */
function reachable(text: string): string {
  if (readInternetEndpoint(text) !== undefined) return text;
  throw new InvalidArgumentError(
    'It must be the IP address and port that others reach, as 192.0.2.1:7411 or [2001:db8::1]:7411.',
  );
}

export function addSetupOptions(command: Command): Command {
  return command
    .option(
      '--tor <endpoint>',
      'tor’s control port (default: unix:/run/tor/control if it exists, else 127.0.0.1:9051)',
      endpoint,
    )
    .option(
      '--target <target>',
      'where your service listens: a port, host:port or unix:/path',
      target,
      '127.0.0.1:8080',
    )
    .option('--virtual-port <port>', 'the port that clients ask for', wholeNumber(1, 65_535), 80)
    .option(
      '--bind <address>',
      'UDP address for the other nodes; may be repeated (default: 0.0.0.0:7411 and [::]:7411)',
      (text: string, earlier?: readonly string[]) => collect(internet(text), earlier),
    )
    .option(
      '--advertise <address>',
      'the address that the others reach, where this machine does not have it: behind NAT',
      reachable,
    )
    .addOption(
      new Option(
        '--wireguard',
        'meet the other nodes through a WireGuard tunnel instead of UDP; on all nodes of a cluster, or on none. ' +
          'Its port is that of --advertise, or 51820',
      ).conflicts('bind'),
    );
}

export async function settingsFrom({ runtime }: CommandContext, options: SetupOptions): Promise<NodeSettings> {
  const { target: to, virtualPort, bind, advertise, wireguard = false } = options;
  return {
    tor: await endpointOrDefault(runtime, options.tor, 'control', 9051),
    target: to,
    virtualPort,
    wireguard,
    ...(bind === undefined ? {} : { bind }),
    ...(advertise === undefined ? {} : { advertise }),
  };
}
