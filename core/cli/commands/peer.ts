/** `chimera peer …`: the members of the cluster, as a running node knows them. */
import { InvalidArgumentError } from 'commander';
import { readTunnelEndpoint } from '../../../plugins/transport/wireguard/index.ts';
import type { Json } from '../../engine/index.ts';
import { ChimeraError } from '../../errors.ts';
import { addNodeOptions, nodeOf, type NodeOptions } from '../admin.ts';
import type { CommandContext, RegisterCommand } from '../context.ts';
import { addExample, jsonOption } from '../options.ts';
import { durationOf, valueOf } from '../status-view.ts';

interface Options extends NodeOptions {
  readonly json?: true;
}

interface PeerRow {
  readonly node: string;
  readonly self: boolean;
  readonly state: string | null;
  readonly silentMs: number | null;
  readonly endpoints: readonly string[];
  readonly admittedBy: string;
}

interface Removal {
  readonly removed: string;
  /** Of the cluster's secret, where it was replaced. */
  readonly generation?: number;
  readonly confirmed?: readonly string[];
  readonly waiting?: readonly string[];
}

async function list(context: CommandContext, { json, ...where }: Options): Promise<void> {
  const { output } = context;
  const answer = await (await nodeOf(context, where))('peer-list');
  if (json) {
    output.json(answer);
    return;
  }
  const { members } = answer as unknown as { readonly members: readonly PeerRow[] };
  for (const { node, self, state, silentMs, endpoints, admittedBy } of members) {
    const seen = self ? 'this node' : (state ?? 'not heard yet');
    const silence = self || silentMs === null ? '' : `, silent for ${durationOf(silentMs)}`;
    output.line(`${node}  ${seen}${silence}`);
    output.line(
      output.dim(`  at ${valueOf('', endpoints as Json)}; admitted by ${admittedBy === node ? 'itself' : admittedBy}`),
    );
  }
}

async function remove(
  context: CommandContext,
  node: string,
  { json, yes, why, ...where }: Options & { readonly yes?: true; readonly why?: string },
): Promise<void> {
  const { output, terminal } = context;
  const ask = await nodeOf(context, where);
  const { members } = (await ask('peer-list')) as unknown as { readonly members: readonly PeerRow[] };
  const named = members.filter((member) => node.length >= 4 && member.node.startsWith(node.toLowerCase()));
  // The node itself says what is wrong with a name that is none, or not one alone.
  const one = named.length === 1 ? named[0] : undefined;
  if (one !== undefined && !yes) {
    const agreed = await terminal.confirm(
      `Remove ${one.node} (${one.state ?? 'not heard'}) for good? It can come back only with new keys and a new invitation.`,
    );
    if (!agreed) {
      throw new ChimeraError('CLI_USAGE', `${one.node} was not removed: nobody confirmed it`, {
        remedy: 'answer y, or add --yes where nobody is there to answer',
      });
    }
  }
  const result = await ask('peer-remove', { node: one?.node ?? node, ...(why === undefined ? {} : { why }) });
  if (json) {
    output.json(result);
    return;
  }
  const { removed, generation, confirmed = [], waiting = [] } = result as unknown as Removal;
  output.line(`${removed} is no member any more`);
  if (generation !== undefined) {
    output.line(`the cluster’s secret is generation ${generation} now; ${confirmed.length} other members have it`);
    for (const id of waiting) output.line(output.dim(`  ${id} is away, and asks for it when it is back`));
  }
  output.note(
    'What it has seen cannot be taken back. If it held the master key, the address may not be yours alone any more:\n' +
      'see "Who gets the key" in docs/guides/vault.md.',
  );
}

async function invite(
  context: CommandContext,
  { json, expires, ...where }: Options & { readonly expires?: number },
): Promise<void> {
  const { output } = context;
  const ask = await nodeOf(context, where);
  const answer = (await ask('invite', expires === undefined ? {} : { expiresSecs: expires })) as unknown as {
    readonly invitation: string;
    readonly address: string | null;
    readonly expiresSecs: number;
    /** Of the node that was asked. */
    readonly endpoints?: readonly string[];
  };
  if (json) {
    output.json(answer);
    return;
  }
  const { endpoints = [] } = answer;
  const tunnelOnly = endpoints.length > 0 && endpoints.every((text) => readTunnelEndpoint(text) !== undefined);
  const how = tunnelOnly ? ' --wireguard' : '';
  output.line(`chimera join ${answer.address ?? '<address>'} ${answer.invitation}${how}`);
  output.note(
    `For one machine, within ${durationOf(answer.expiresSecs * 1_000)} that this node runs. Keep it as you would a password.`,
  );
}

/** `90m`, `24h`, `7d`, or seconds. */
function lifetime(text: string): number {
  const [, count, unit = 's'] = /^(\d{1,7})([smhd])?$/.exec(text) ?? [];
  const secs = Number(count) * ({ s: 1, m: 60, h: 3_600, d: 86_400 }[unit] ?? 1);
  if (secs >= 60 && secs <= 2_592_000) return secs;
  throw new InvalidArgumentError('It must be a time from 60s to 30d, such as 90m, 24h or 7d.');
}

export const registerPeer: RegisterCommand = (program, context) => {
  const group = program.command('peer').summary('invite, list and remove members of the cluster');
  const inviting = addNodeOptions(group.command('invite').description('make an invitation for one more node'))
    .option('--expires <time>', 'how long it is good, as 90m, 24h or 7d (default: join.expires_secs)', lifetime)
    .addOption(jsonOption());
  addExample(inviting, 'chimera peer invite --expires 2h');
  inviting.action((options: Options) => invite(context, options));

  const listing = addNodeOptions(group.command('list').description('list the members, with state and endpoints'));
  listing.addOption(jsonOption());
  addExample(listing, 'chimera peer list');
  listing.action((options: Options) => list(context, options));

  const removing = addNodeOptions(
    group
      .command('remove')
      .description('remove a member for good; it can come back only with new keys and a new invitation')
      .argument('<node>', 'its id, or the first characters of it'),
  )
    .option('-y, --yes', 'do not ask')
    .option('--why <text>', 'the reason, for the log')
    .addOption(jsonOption());
  addExample(removing, 'chimera peer remove k3qv --why "stolen machine"');
  removing.action((node: string, options: Options) => remove(context, node, options));
};
