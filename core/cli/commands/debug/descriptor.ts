/** `chimera debug descriptor`: a descriptor from a file, verified and decrypted, or exactly what is wrong with it. */
import { ChimeraError } from '../../../errors.ts';
import { parseOnionAddress, type OnionAddress } from '../../../onion/index.ts';
import type { CommandContext, RegisterCommand } from '../../context.ts';
import { readClientKey, readInputFile } from '../../files.ts';
import {
  addConsensusOptions,
  addExample,
  consensusFrom,
  jsonOption,
  unixSeconds,
  wholeNumber,
  type ConsensusOptions,
} from '../../options.ts';
import { candidatePeriods, periodsOf } from './candidate-periods.ts';
import { showDiagnosis } from './descriptor-view.ts';
import { diagnose } from './diagnosis.ts';

interface Options extends ConsensusOptions {
  readonly address: OnionAddress;
  readonly clientKey?: string;
  readonly now?: number;
  readonly periodLength?: number;
  readonly json?: true;
}

/** The client's secret for `address`. Rejects with CLI_USAGE when the key says that it is for another service. */
export async function clientKeyFor(
  context: CommandContext,
  address: OnionAddress,
  value: string | undefined,
): Promise<Uint8Array | undefined> {
  if (value === undefined) return undefined;
  const key = await readClientKey(context, value);
  if (key.address !== undefined && key.address !== address) {
    throw new ChimeraError('CLI_USAGE', `the client key is for ${key.address}.onion, not for ${address}.onion`, {
      remedy: 'give the ".auth_private" file of this service',
    });
  }
  return key.secret;
}

async function run(context: CommandContext, file: string, options: Options): Promise<void> {
  const { address, periodLength } = options;
  const consensus = consensusFrom(options);
  if (consensus !== undefined && periodLength !== undefined) {
    throw new ChimeraError('CLI_USAGE', '--period-length and the times of a consensus say the same thing twice', {
      remedy: 'give one of them',
    });
  }
  const clientKey = await clientKeyFor(context, address, options.clientKey);
  const text = await readInputFile(context, file);
  const diagnosis = diagnose(text, {
    address,
    now: options.now ?? Math.floor(context.runtime.clock.now() / 1000),
    periods: (expiresAt) =>
      consensus === undefined ? candidatePeriods(expiresAt, periodLength) : periodsOf(consensus.times, consensus.rules),
    ...(clientKey === undefined ? {} : { clientKey }),
  });
  showDiagnosis(context.output, address, diagnosis, { json: options.json === true });
}

export const registerDescriptor: RegisterCommand = (group, context) => {
  const command = group
    .command('descriptor')
    .description('verify and decrypt a descriptor, or say exactly what is wrong with it')
    .argument('<file>', 'the text of the descriptor, as HSDirs keep it; - for standard input')
    .requiredOption('--address <address>', 'the .onion address that it should be of', parseOnionAddress)
    .option('--client-key <key>', 'for client authorization: an .auth_private file, or its key')
    .option('--now <unix>', 'the time at which certificates must be valid (default: now)', unixSeconds)
    .option('--period-length <minutes>', 'the length of a time period, when it is unusual', wholeNumber(1, 14_400))
    .addOption(jsonOption());
  addConsensusOptions(command, false);
  command.action((file: string, options: Options) => run(context, file, options));
  addExample(
    command,
    'chimera debug descriptor fetched.txt --address duckduckgogg42xjoc72x3sjasowoarfbgcmvfimaftt6twagswzczad.onion',
  );
};
