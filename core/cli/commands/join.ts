/** `chimera join`: makes this machine a member of a cluster, by an invitation. It starts nothing: `chimera run` does. */
import { keepEpoch, termPath } from '../../../plugins/election/index.ts';
import { writeClusterSecrets } from '../../../plugins/identity/index.ts';
import { joinCluster, parseInvitation, type Joined, type Where } from '../../../plugins/join/index.ts';
import { endpointsIn, keepRoster } from '../../../plugins/mesh/index.ts';
import { readTunnelEndpoint } from '../../../plugins/transport/wireguard/index.ts';
import type { NodeIdentity } from '../../engine/index.ts';
import { ChimeraError } from '../../errors.ts';
import { parseOnionAddress } from '../../onion/index.ts';
import type { Endpoint } from '../../runtime/index.ts';
import type { CommandContext, RegisterCommand } from '../context.ts';
import { readInputFile } from '../files.ts';
import { addExample, endpoint, jsonOption, wholeNumber } from '../options.ts';
import { addSetupOptions, settingsFrom, type SetupOptions } from '../setup-options.ts';
import { configText, nodeKeyIn, placeOf, prepare, tunnelIn, writeConfig, writing, type Place } from '../setup.ts';
import { parseTarget } from './debug/connect.ts';
import { endpointOrDefault } from './debug/control.ts';

interface Options extends SetupOptions {
  readonly json?: true;
  readonly socks?: Endpoint;
  readonly attempts: number;
}

/** Throws CLI_USAGE or ONION_ADDRESS. */
async function whereOf(context: CommandContext, text: string, socks: Endpoint | undefined): Promise<Where> {
  if (/^invite-/i.test(text)) {
    throw new ChimeraError('CLI_USAGE', 'the first argument is an invitation, not an address', {
      remedy: 'give the address first, then the invitation',
    });
  }
  const { host, port } = parseTarget(text);
  if (!host.endsWith('.onion')) return { kind: 'direct', endpoint: { host, port } };
  return { kind: 'onion', host, port, socks: await endpointOrDefault(context.runtime, socks, 'socks', 9050) };
}

/** The service's address, by the member or by the operator, who must agree. Throws JOIN_ANSWER. */
function addressIn(joined: Joined, where: Where): string {
  const typed = where.kind === 'onion' ? `${parseOnionAddress(where.host)}.onion` : undefined;
  const address = joined.address ?? typed;
  if (address !== undefined && (typed === undefined || typed === address)) return `${parseOnionAddress(address)}.onion`;
  throw new ChimeraError(
    'JOIN_ANSWER',
    address === undefined
      ? 'the member does not know the service’s address'
      : `the cluster’s service is ${address}, not ${typed}`,
    { remedy: 'give the address of the service itself, or join through another member' },
  );
}

/** Refuses a directory that `chimera init` has begun to set up: its keys are another cluster's. */
async function refuseFounder({ runtime }: CommandContext, { state }: Place): Promise<void> {
  for (const name of ['master.sealed', 'hs_ed25519_secret_key']) {
    if ((await runtime.store.mode(`${state}/${name}`)) === undefined) continue;
    throw new ChimeraError('SETUP_EXISTS', `${state}/${name}: "chimera init" has begun to set up a cluster here`, {
      remedy: 'name another directory',
    });
  }
}

/** An admission is for good: one of an earlier try, without --wireguard or with another key, lets the others' tunnels know nothing. */
function refuseUnreachable(joined: Joined, { node }: NodeIdentity, tunnel: string): void {
  const key = readTunnelEndpoint(tunnel)?.key;
  const admitted = endpointsIn(joined.roster, node);
  if (admitted.some((endpoint) => readTunnelEndpoint(endpoint)?.key === key)) return;
  throw new ChimeraError('SETUP_EXISTS', `the cluster has admitted ${node} already, without this WireGuard key`, {
    remedy: 'name another directory, and join with a fresh invitation: an admission cannot be changed',
  });
}

async function join(
  context: CommandContext,
  address: string,
  text: string,
  directory: string,
  options: Options,
): Promise<void> {
  const { output, runtime } = context;
  const where = await whereOf(context, address, options.socks);
  const given = text === '-' ? Buffer.from(await readInputFile(context, '-')).toString('latin1') : text;
  const invitation = parseInvitation(given);
  const settings = await settingsFrom(context, options);
  const place = placeOf(directory);
  await prepare(context, place);
  await refuseFounder(context, place);
  // On disk before the invitation is used: asked again with the same key, the cluster answers again.
  const identity = await nodeKeyIn(context, place);
  const tunnel = await tunnelIn(context, place, settings);
  const known = tunnel ?? (settings.advertise === undefined ? undefined : `udp:${settings.advertise}`);
  const endpoints = known === undefined ? [] : [known];
  const say = (progress: string): void => output.note(progress);
  const { attempts } = options;
  const joined = await joinCluster(runtime, { where, invitation, identity, endpoints, attempts, say });
  const service = addressIn(joined, where);
  if (tunnel !== undefined) refuseUnreachable(joined, identity, tunnel);
  await writeClusterSecrets(runtime.store, `${place.state}/cluster_secrets`, joined.secrets);
  await writing(`${place.state}/roster`, () => keepRoster(runtime.store, place.state, joined.roster));
  await writing(termPath(place.state), () => keepEpoch(runtime.store, place.state, identity.node, joined.epoch));
  const lines = [
    '# The service’s key comes from the other nodes, and is kept in memory alone.',
    '[vault]',
    `onion_address = "${service}"`,
  ];
  await writeConfig(context, place, configText('chimera join', place, identity, { lines }, settings));

  const start = `chimera run --config ${place.config}`;
  if (options.json) {
    const { node } = identity;
    const endpoint = tunnel === undefined ? {} : { endpoint: tunnel };
    output.json({ address: service, node, ...endpoint, cluster: joined.cluster, config: place.config, start });
    return;
  }
  output.fields([
    ['address', service],
    ['this node', identity.node],
    ...(tunnel === undefined ? [] : [['endpoint', tunnel] as const]),
    ['cluster', `founded by ${joined.cluster}`],
    ['configuration', place.config],
  ]);
  output.line();
  output.heading('Start this node');
  output.line(`  ${start}`);
}

export const registerJoin: RegisterCommand = (program, context) => {
  const command = addSetupOptions(
    program
      .command('join')
      .summary('make this machine a node of a cluster')
      .description(
        'Knocks at the service’s address through tor, shows the invitation’s knowledge without sending it, and keeps what the ' +
          'cluster gives: secrets, members, configuration. Asked again after an interruption, it goes on where it ended.',
      )
      .argument(
        '<address>',
        'the service’s onion address, with a port unless it is 80; or host:port of a member’s join.listen',
      )
      .argument('<invitation>', 'as `chimera peer invite` printed it; - reads it from standard input')
      .argument('[directory]', 'where the node is to live', '.'),
  )
    .option(
      '--socks <endpoint>',
      'tor’s SOCKS port (default: unix:/run/tor/socks if it exists, else 127.0.0.1:9050)',
      endpoint,
    )
    .option('--attempts <number>', 'how often to try', wholeNumber(1, 1_000), 5)
    .addOption(jsonOption());
  addExample(
    command,
    'chimera join q7yb4tpajt3nueyz5njldpz4qabz3goppud5aa5rfznercrody5so5qd.onion invite-… /etc/chimera',
  );
  command.action((address: string, invitation: string, directory: string, options: Options) =>
    join(context, address, invitation, directory, options),
  );
};
