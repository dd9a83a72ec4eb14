/** `chimera panic on|off|status`: rotate everything, by hand, for a bounded time. */
import { Argument, InvalidArgumentError } from 'commander';
import { ChimeraError } from '../../errors.ts';
import { addNodeOptions, nodeOf, type NodeOptions } from '../admin.ts';
import type { RegisterCommand } from '../context.ts';
import { addExample, jsonOption } from '../options.ts';

const warning =
  'Panic mode puts another set of heads into the descriptor every few minutes. Clients wait longer to connect, some fail, and\n' +
  'an attacker who reads the descriptor often follows every turn. It is for a cluster that is being overwhelmed.';

function seconds(text: string): number {
  const [, count, unit = 's'] = /^(\d{1,6})([smh]?)$/.exec(text) ?? [];
  const value = Number(count) * (unit === 'h' ? 3_600 : unit === 'm' ? 60 : 1);
  if (!(value >= 1)) throw new InvalidArgumentError('It must be a time as 30m or 6h.');
  return value;
}

export const registerPanic: RegisterCommand = (program, context) => {
  const command = addNodeOptions(
    program
      .command('panic')
      .summary('rotate all heads while the cluster is being overwhelmed')
      .description(
        `Turns panic mode on or off in the whole cluster, or says what it is; it ends by itself.\n${warning}`,
      )
      .addArgument(new Argument('<state>').choices(['on', 'off', 'status']))
      .option(
        '--for <time>',
        'ends by itself after this, as 30m or 6h; at most, and by default, roulette.limit_secs',
        seconds,
      )
      .option('--yes', 'do not ask'),
  ).addOption(jsonOption());
  addExample(command, 'chimera panic on --for 2h --config /etc/chimera/chimera.toml');
  interface PanicAnswer {
    readonly on: boolean;
    readonly leftSecs: number;
    readonly everySecs: number;
  }
  interface PanicStatus {
    readonly on: boolean;
    readonly leftSecs: number;
    /** What this node last decided, while it publishes. */
    readonly turn: string | null;
  }
  interface Options extends NodeOptions {
    readonly json?: true;
    readonly yes?: true;
    readonly for?: number;
  }
  command.action(async (state: 'on' | 'off' | 'status', { json, yes, for: forSecs, ...where }: Options) => {
    const ask = await nodeOf(context, where);
    if (state === 'status') {
      const { panic } = (await ask('status')) as { readonly panic?: PanicStatus };
      if (panic === undefined) {
        throw new ChimeraError('CLI_USAGE', 'this node has no panic mode: its preset has no plugin roulette', {
          remedy: 'give every node preset = "roulette": docs/guides/under-attack.md says how in a cluster',
        });
      }
      if (json) context.output.json({ ...panic });
      else if (panic.on) {
        const turn = panic.turn === null ? '' : `; ${panic.turn}`;
        context.output.line(`panic mode is on for ${panic.leftSecs} s more${turn}`);
      } else context.output.line('panic mode is off');
      return;
    }
    if (state === 'on' && !yes && !(await context.terminal.confirm(`${warning}\nTurn it on?`))) {
      throw new ChimeraError('CLI_USAGE', 'panic mode was not turned on: nobody confirmed it', {
        remedy: 'answer y, or add --yes where nobody is there to answer',
      });
    }
    const args = { on: state === 'on', ...(forSecs === undefined ? {} : { forSecs }) };
    const result = (await ask('panic', args)) as unknown as PanicAnswer;
    if (json) context.output.json(result);
    else if (result.on) {
      context.output.line(`panic mode is on for ${result.leftSecs} s, a turn every ${result.everySecs} s`);
    } else context.output.line('panic mode is off');
  });
};
