/**
 * admin: the operator's door. Other plugins put commands and sections of the status behind it; a unix socket in the state
 * directory opens it to the user that runs the node, and to nobody else.
 *
 *   protocol.ts what goes over the socket · server.ts the socket · client.ts the other end, for `chimera`
 */
import * as v from 'valibot';
import { nonEmpty } from '../../core/config/schema.ts';
import { adminContract, definePlugin, type AdminCommand, type Json } from '../../core/engine/index.ts';
import { ChimeraError, isChimeraError } from '../../core/errors.ts';
import { openAdminServer } from './server.ts';

export { askNode, type AskOptions } from './client.ts';
export type { AdminRequest } from './protocol.ts';

const options = v.strictObject({
  /** Where the socket is; `admin.sock` in the state directory when absent. */
  socket: v.optional(nonEmpty),
});
export type AdminOptions = v.InferOutput<typeof options>;

const name = 'admin';

/** Where a node's admin socket is; undefined when neither the option nor a state directory says so. */
export function adminSocketPath({ socket }: AdminOptions, stateDirectory: string | undefined): string | undefined {
  return socket ?? (stateDirectory === undefined ? undefined : `${stateDirectory}/admin.sock`);
}

export const admin = definePlugin<AdminOptions>({
  name,
  summary: 'Answers the operator’s commands at a unix socket.',
  gives: [adminContract],
  section: name,
  options,
  apply(host, settings) {
    const commands = new Map<string, AdminCommand>();
    const sections = new Map<string, () => Json>();
    const add = <T>(map: Map<string, T>, what: string, key: string, value: T): void => {
      if (map.has(key))
        throw new ChimeraError('ENGINE_CONTRACT', `two plugins give the ${what} ${key} to the operator`);
      map.set(key, value);
    };
    const command = (one: AdminCommand): void => add(commands, 'command', one.name, one);

    command({
      name: 'status',
      summary: 'What the node knows of itself.',
      run: async () => {
        const status: Record<string, Json> = {};
        for (const [section, read] of sections) {
          try {
            status[section] = read();
          } catch (error) {
            host.log.warn('a section of the status failed', { section, error });
            // The text of an error without a code stays in the log: nobody has checked what it says.
            status[section] = { error: isChimeraError(error) ? error.message : 'it failed; see the log' };
          }
        }
        return status;
      },
    });
    command({
      name: 'commands',
      summary: 'The commands of this node.',
      run: async () => [...commands.values()].map((one) => ({ name: one.name, summary: one.summary })),
    });
    host.give(adminContract, { command, status: (section, read) => add(sections, 'status section', section, read) });

    host.hooks.start.tapPromise(name, async () => {
      const path = adminSocketPath(settings, host.stateDirectory);
      if (path === undefined) {
        host.log.debug('there is no admin socket: the node has no state directory');
        return;
      }
      const find = (wanted: string): AdminCommand | undefined => commands.get(wanted);
      const listener = await openAdminServer({ runtime: host.runtime, log: host.log, path, find });
      host.defer(() => listener.close());
      host.log.debug('the admin socket is open', { path });
    });
  },
});
export default admin;
