/** The group `chimera debug`: what an operator needs when something does not work, each tool alone. */
import type { RegisterCommand } from '../../context.ts';
import { registerDescriptor } from './descriptor.ts';
import { registerMerge } from './merge.ts';
import { registerShowOnion } from './show-onion.ts';

const commands: readonly RegisterCommand[] = [registerShowOnion, registerDescriptor, registerMerge];

export const registerDebug: RegisterCommand = (program, context) => {
  const group = program.command('debug').description('look into keys, descriptors, HSDirs and tor');
  for (const register of commands) register(group, context);
};
