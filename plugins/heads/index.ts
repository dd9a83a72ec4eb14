/**
 * heads: what the two identity modes have in common. `headsPlugin` makes a plugin of a mode; see disposable/ and shared/.
 * A head that cannot be set up is reported and tried again: the others go on.
 */
import {
  definePlugin,
  headRegistryContract,
  masterContract,
  torContract,
  type Contract,
  type Host,
  type Plugin,
  type TorClient,
} from '../../core/engine/index.ts';
import { createHead, type Head, type IdentityMode } from './head.ts';
import { headOptionsSchema, type HeadOptions } from './options.ts';

export type { IdentityMode } from './head.ts';
export type { HeadOptions } from './options.ts';

export function headsPlugin(definition: {
  readonly name: string;
  readonly summary: string;
  readonly needs?: readonly Contract<unknown>[];
  mode(host: Host): IdentityMode;
}): Plugin<HeadOptions> {
  const { name, summary } = definition;
  return definePlugin<HeadOptions>({
    name,
    summary,
    needs: [torContract, masterContract, headRegistryContract, ...(definition.needs ?? [])],
    section: 'heads',
    options: headOptionsSchema,
    apply(host, options) {
      host.hooks.start.tap(name, () => {
        const tors = host.need(torContract);
        const registry = host.need(headRegistryContract);
        const mode = definition.mode(host);
        const clients =
          options.controls.length === 0 ? [tors.primary] : options.controls.map((control) => tors.connect({ control }));
        const heads: Head[] = [];
        const changed = (): void => {
          registry.set(
            heads.flatMap((head) => head.report() ?? []),
            name,
          );
        };
        for (const [index, tor] of clients.entries()) {
          const head = `${host.node}/${index + 1}`;
          heads.push(
            createHead({
              node: host.node,
              head,
              tor,
              options,
              mode,
              runtime: host.runtime,
              log: host.log,
              changed: (why) => {
                host.log.info('the head changed', { head, why });
                changed();
              },
            }),
          );
        }
        for (const head of heads) host.background((signal) => head.run(signal));
        host.defer(async () => {
          // The peers hear it before the introduction points are gone.
          if (!options.keep_on_exit) registry.set([], name);
          // One after the other in each tor: each reads and rewrites its tor's whole list of services.
          const removeFrom = async (tor: TorClient): Promise<void> => {
            for (const [index, head] of heads.entries()) {
              if (clients[index] !== tor) continue;
              await head.remove().catch((error: unknown) => {
                host.log.warn('a head may still be in its tor', { head: `${host.node}/${index + 1}`, error });
              });
            }
          };
          await Promise.all([...new Set(clients)].map(removeFrom));
        });
      });
    },
  });
}
