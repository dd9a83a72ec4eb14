/** `chimera debug fetch`: a descriptor as a client would get it from an HSDir, verified and shown. */
import { parseOnionAddress, type OnionAddress } from '../../../onion/index.ts';
import type { CommandContext, RegisterCommand } from '../../context.ts';
import { addExample, jsonOption } from '../../options.ts';
import { periodsOf } from './candidate-periods.ts';
import { addControlOptions, withTor, type ControlOptions } from './control.ts';
import { clientKeyFor } from './descriptor.ts';
import { showDiagnosis } from './descriptor-view.ts';
import { diagnose } from './diagnosis.ts';

interface Options extends ControlOptions {
  readonly server?: string;
  readonly clientKey?: string;
  readonly raw?: true;
  readonly json?: true;
}

async function run(context: CommandContext, address: OnionAddress, options: Options): Promise<void> {
  const { server, raw, json, timeout: timeoutMs } = options;
  const { output, runtime } = context;
  const clientKey = await clientKeyFor(context, address, options.clientKey);
  const { consensus, fetched } = await withTor(context, options, async (tor) => ({
    consensus: await tor.consensus(),
    fetched: await tor.fetchDescriptor(address, { timeoutMs, ...(server === undefined ? {} : { server }) }),
  }));
  const diagnosis = diagnose(fetched.text, {
    address,
    now: Math.floor(runtime.clock.now() / 1000),
    periods: () => periodsOf(consensus.times, consensus.rules),
    ...(clientKey === undefined ? {} : { clientKey }),
  });
  if (raw) {
    output.raw(fetched.text);
    for (const problem of diagnosis.problems) output.error(problem);
    return;
  }
  showDiagnosis(output, address, diagnosis, { json: json === true, extra: { hsdir: fetched.fingerprint } });
}

export const registerFetch: RegisterCommand = (group, context) => {
  const command = group
    .command('fetch')
    .description('fetch a descriptor through tor, as a client would, and verify it')
    .argument('<address>', 'the .onion address', parseOnionAddress)
    .option('--server <fingerprint>', 'ask this HSDir (default: one that tor chooses)')
    .option('--client-key <key>', 'for client authorization: an .auth_private file, or its key')
    .option('--raw', 'print the text of the descriptor, whether or not it verifies')
    .addOption(jsonOption().conflicts('raw'));
  addControlOptions(command, 60);
  command.action((address: OnionAddress, options: Options) => run(context, address, options));
  addExample(command, 'chimera debug fetch duckduckgogg42xjoc72x3sjasowoarfbgcmvfimaftt6twagswzczad.onion');
};
