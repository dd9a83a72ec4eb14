/**
 * heads: what the two identity modes have in common. `headsPlugin` makes a plugin of a mode; see disposable/ and shared/.
 * A head that cannot be set up is reported and tried again: the others go on.
 */
import {
  definePlugin,
  headControlContract,
  headRegistryContract,
  masterContract,
  proxyContract,
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
    wants: [proxyContract],
    gives: [headControlContract],
    section: 'heads',
    options: headOptionsSchema,
    apply(host, options) {
      const running: { readonly name: string; readonly tor: TorClient; readonly head: Head }[] = [];
      /** Heads that somebody keeps from the registry. */
      const excluded = new Set<string>();
      let tell: () => void = () => undefined;
      const exclude = (head: string, out: boolean, why: string): void => {
        if (excluded.has(head) === out) return;
        if (out) excluded.add(head);
        else excluded.delete(head);
        host.log.info(out ? 'the head is left out' : 'the head is taken in again', { head, why });
        tell();
      };
      host.give(headControlContract, {
        heads: () =>
          running.map(({ name: head, tor, head: its }) => ({
            head,
            tor,
            address: its.report()?.address,
            excluded: excluded.has(head),
          })),
        exclude: (head, why) => exclude(head, true, why),
        include: (head, why) => exclude(head, false, why),
      });

      host.hooks.start.tap(name, () => {
        const tors = host.need(torContract);
        const proxy = host.want(proxyContract);
        const registry = host.need(headRegistryContract);
        const mode = definition.mode(host);
        const clients =
          options.controls.length === 0 ? [tors.primary] : options.controls.map((control) => tors.connect({ control }));
        tell = (): void => {
          registry.set(
            running.flatMap(({ name: head, head: its }) => (excluded.has(head) ? [] : (its.report() ?? []))),
            name,
          );
        };
        for (const [index, tor] of clients.entries()) {
          const head = `${host.node}/${index + 1}`;
          running.push({
            name: head,
            tor,
            head: createHead({
              node: host.node,
              head,
              tor,
              options,
              mode,
              runtime: host.runtime,
              log: host.log,
              ...(proxy === undefined ? {} : { front: (target: string) => proxy.front(head, target) }),
              changed: (why) => {
                host.log.info('the head changed', { head, why });
                tell();
              },
            }),
          });
        }
        for (const { head } of running) host.background((signal) => head.run(signal));
        host.defer(async () => {
          // The peers hear it before the introduction points are gone.
          if (!options.keep_on_exit) registry.set([], name);
          // One after the other in each tor: each reads and rewrites its tor's whole list of services.
          const removeFrom = async (tor: TorClient): Promise<void> => {
            for (const [index, { head }] of running.entries()) {
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
