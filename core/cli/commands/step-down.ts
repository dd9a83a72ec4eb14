/** `chimera step-down`: a planned hand-over of the publisher's role. */
import type { Json } from '../../engine/index.ts';
import { addNodeOptions, nodeOf, type NodeOptions } from '../admin.ts';
import type { RegisterCommand } from '../context.ts';
import { addExample, jsonOption } from '../options.ts';
import { valueOf } from '../status-view.ts';

export const registerStepDown: RegisterCommand = (program, context) => {
  const command = addNodeOptions(
    program
      .command('step-down')
      .summary('let another node publish')
      .description(
        'Hands the publisher’s role to another node, without a gap: this one publishes until that one does.',
      ),
  ).addOption(jsonOption());
  addExample(command, 'chimera step-down --config /etc/chimera/chimera.toml');
  command.action(async ({ json, ...where }: NodeOptions & { readonly json?: true }) => {
    const ask = await nodeOf(context, where);
    const result = (await ask('step-down')) as { readonly [key: string]: Json };
    if (json) context.output.json(result);
    else if (result.steppedDown === true) context.output.line(`${valueOf('', result.publisher ?? null)} publishes now`);
    else context.output.line('this node does not publish; nothing was done');
  });
};
