/** The group `chimera debug`: what an operator needs when something does not work, each tool alone. */
import type { RegisterCommand } from '../../context.ts';
import { registerConnect } from './connect.ts';
import { registerDescriptor } from './descriptor.ts';
import { registerFetch } from './fetch.ts';
import { registerHsdirs } from './hsdirs.ts';
import { registerMerge } from './merge.ts';
import { registerShowOnion } from './show-onion.ts';
import { registerTor } from './tor.ts';

const commands: readonly RegisterCommand[] = [
  registerShowOnion,
  registerDescriptor,
  registerMerge,
  registerTor,
  registerHsdirs,
  registerFetch,
  registerConnect,
];

export const registerDebug: RegisterCommand = (program, context) => {
  const group = program.command('debug').description('look into keys, descriptors, HSDirs and tor');
  for (const register of commands) register(group, context);
};
