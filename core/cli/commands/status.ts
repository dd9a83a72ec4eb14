/** `chimera status`: what a running node knows of itself and of its cluster. */
import { isChimeraError } from '../../errors.ts';
import { addNodeOptions, nodeOf, type NodeOptions } from '../admin.ts';
import type { RegisterCommand } from '../context.ts';
import { addExample, jsonOption, secondsAsMs } from '../options.ts';
import { printStatus } from '../status-view.ts';

interface Options extends NodeOptions {
  readonly json?: true;
  /** Milliseconds, or true for the default. */
  readonly watch?: number | true;
}

const defaultWatchMs = 2_000;
const clearScreen = '\u001b[H\u001b[2J';

export const registerStatus: RegisterCommand = (program, context) => {
  const command = addNodeOptions(
    program
      .command('status')
      .summary('show what a running node knows')
      .description(
        'Shows who publishes and in which epoch, the members with state and silence, the heads, the last publish cycle with ' +
          'its reason, and what the fetch-back confirmed.',
      ),
  )
    .addOption(jsonOption())
    .option('-w, --watch [seconds]', 'again every so many seconds (2), until Ctrl-C', secondsAsMs);
  addExample(command, 'chimera status --config /etc/chimera/chimera.toml', 'chimera status --json | jq .election');
  command.action(async ({ json, watch, ...where }: Options) => {
    const { output, runtime, terminal } = context;
    const ask = await nodeOf(context, where);
    const show = async (): Promise<void> => {
      const status = await ask('status');
      if (watch !== undefined && terminal.screen && !json) terminal.write(clearScreen);
      // One line each, for programs that read them as they come.
      if (json && watch !== undefined) terminal.write(`${JSON.stringify(status)}\n`);
      else if (json) output.json(status);
      else printStatus(output, status);
    };
    await show();
    if (watch === undefined) return;
    for (;;) {
      await runtime.clock.sleep(watch === true ? defaultWatchMs : watch);
      if (!terminal.screen && !json) output.line();
      try {
        await show();
      } catch (error) {
        // It may come back: whoever watches wants to see that, too.
        if (!isChimeraError(error)) throw error;
        output.note(`${error.code}: ${error.message}`);
      }
    }
  });
};
