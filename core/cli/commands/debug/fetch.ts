/** `chimera debug fetch`: a descriptor as a client would get it from an HSDir, verified and shown. */
import { Option } from 'commander';
import { parseOnionAddress, type OnionAddress } from '../../../onion/index.ts';
import type { Consensus } from '../../../pipeline/index.ts';
import type { CommandContext, RegisterCommand } from '../../context.ts';
import { addExample, jsonOption } from '../../options.ts';
import { periodsOf } from './candidate-periods.ts';
import { addControlOptions, withTor, type ControlOptions } from './control.ts';
import { clientKeyFor } from './descriptor.ts';
import { showDiagnosis } from './descriptor-view.ts';
import { diagnose, type Diagnosis } from './diagnosis.ts';
import { fetchFromAll, showHoldings } from './fetch-all.ts';

interface Options extends ControlOptions {
  readonly server?: string;
  readonly clientKey?: string;
  readonly all?: true;
  readonly raw?: true;
  readonly json?: true;
}

async function run(context: CommandContext, address: OnionAddress, options: Options): Promise<void> {
  const { server, all, raw, json = false, timeout: timeoutMs } = options;
  const { output, runtime } = context;
  const clientKey = await clientKeyFor(context, address, options.clientKey);
  const examine = (text: string, { times, rules }: Consensus): Diagnosis =>
    diagnose(text, {
      address,
      now: Math.floor(runtime.clock.now() / 1000),
      periods: () => periodsOf(times, rules),
      ...(clientKey === undefined ? {} : { clientKey }),
    });

  await withTor(context, options, async (tor) => {
    const consensus = await tor.consensus();
    if (all) {
      const holdings = await fetchFromAll(tor, address, { timeoutMs, examine: (text) => examine(text, consensus) });
      showHoldings(output, address, holdings, json);
      return;
    }
    const named = server === undefined ? {} : { server };
    const { text, fingerprint } = await tor.fetchDescriptor(address, { timeoutMs, ...named });
    const diagnosis = examine(text, consensus);
    if (raw) {
      output.raw(text);
      for (const problem of diagnosis.problems) output.error(problem);
    } else showDiagnosis(output, address, diagnosis, { json, hsdir: fingerprint });
  });
}

export const registerFetch: RegisterCommand = (group, context) => {
  const command = group
    .command('fetch')
    .description('fetch a descriptor through tor, as a client would, and verify it')
    .argument('<address>', 'the .onion address', parseOnionAddress)
    .option('--server <fingerprint>', 'ask this HSDir (default: one that tor chooses)')
    .option('--client-key <key>', 'for client authorization: an .auth_private file, or its key')
    .addOption(new Option('--all', 'ask every responsible HSDir, and show what each has').conflicts(['server', 'raw']))
    .option('--raw', 'print the text of the descriptor, whether or not it verifies')
    .addOption(jsonOption().conflicts('raw'));
  addControlOptions(command, 60);
  command.action((address: OnionAddress, options: Options) => run(context, address, options));
  addExample(command, 'chimera debug fetch duckduckgogg42xjoc72x3sjasowoarfbgcmvfimaftt6twagswzczad.onion');
};
