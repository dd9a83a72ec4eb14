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
import { alone } from './settings.ts';

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
      interface Running {
        readonly name: string;
        readonly tor: TorClient;
        readonly head: Head;
        /** Of one that has grown: ends its work. */
        readonly end?: AbortController;
      }
      const running: Running[] = [];
      /** Heads that somebody keeps from the registry. */
      const excluded = new Set<string>();
      let tell: () => void = () => undefined;
      let add: ((tor: TorClient, end?: AbortController) => Running) | undefined;
      let clients: readonly TorClient[] = [];
      /** Never used twice: a head that is gone leaves its name. */
      let made = 0;
      const exclude = (head: string, out: boolean, why: string): void => {
        if (excluded.has(head) === out) return;
        if (out) excluded.add(head);
        else excluded.delete(head);
        host.log.info(out ? 'the head is left out' : 'the head is taken in again', { head, why });
        tell();
      };
      const remove = ({ name: head, head: its }: Running): Promise<void> =>
        its.remove().catch((error: unknown) => {
          host.log.warn('a head may still be in its tor', { head, error });
        });
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
        grow: (why) => {
          if (add === undefined || running.filter(({ end }) => end !== undefined).length >= options.grow)
            return undefined;
          const load = (tor: TorClient): number => running.filter((one) => one.tor === tor).length;
          const [tor] = clients.filter(({ state }) => state === 'ready').sort((a, b) => load(a) - load(b));
          if (tor === undefined) return undefined;
          const { name: head } = add(tor, new AbortController());
          host.log.info('a head grows', { head, why });
          return head;
        },
        shrink: async (head, why) => {
          const index = running.findIndex((one) => one.name === head && one.end !== undefined);
          const [one] = index < 0 ? [] : running.splice(index, 1);
          if (one === undefined) return;
          host.log.info('a head that had grown ends', { head, why });
          one.end?.abort(new Error(why));
          excluded.delete(head);
          tell();
          await alone(one.tor, () => remove(one));
          await host.want(proxyContract)?.retire(head);
        },
      });

      host.hooks.start.tap(name, () => {
        const tors = host.need(torContract);
        const proxy = host.want(proxyContract);
        const registry = host.need(headRegistryContract);
        const mode = definition.mode(host);
        clients =
          options.controls.length === 0 ? [tors.primary] : options.controls.map((control) => tors.connect({ control }));
        tell = (): void => {
          registry.set(
            running.flatMap(({ name: head, head: its }) => (excluded.has(head) ? [] : (its.report() ?? []))),
            name,
          );
        };
        add = (tor, end) => {
          const head = `${host.node}/${++made}`;
          const changed = (why: string): void => {
            host.log.info('the head changed', { head, why });
            tell();
          };
          const { runtime, log, node } = host;
          const front = proxy && ((target: string) => proxy.front(head, target));
          const its = createHead({ node, head, tor, options, mode, runtime, log, changed, ...(front && { front }) });
          const one: Running = { name: head, tor, head: its, ...(end === undefined ? {} : { end }) };
          running.push(one);
          host.background((signal) => its.run(end === undefined ? signal : AbortSignal.any([signal, end.signal])));
          return one;
        };
        for (const tor of clients) add(tor);
        host.defer(async () => {
          // The peers hear it before the introduction points are gone.
          if (options.keep_on_exit) return;
          registry.set([], name);
          // One after the other in each tor: each reads and rewrites its tor's whole list of services.
          const removeFrom = async (tor: TorClient): Promise<void> => {
            for (const one of running) if (one.tor === tor) await remove(one);
          };
          await Promise.all([...new Set(clients)].map(removeFrom));
        });
      });
    },
  });
}
