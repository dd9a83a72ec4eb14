/**
 * The onion services of one tor as its control port knows them: read all, put ours beside the operator's own, take ours
 * out again. SETCONF replaces the whole list, so the others must be said again each time.
 */
import type { TorClient, TorSetting } from '../../core/engine/index.ts';

/** One onion service: HiddenServiceDir first, then its options. */
export type ServiceSettings = readonly (readonly [option: string, value: string])[];

export const directoryOf = (service: ServiceSettings): string => service[0]?.[1] ?? '';

/** Tors that heads have told to publish no descriptor: what was set before, and the directories of those heads. */
export const silenced = new WeakMap<TorClient, { readonly before: string; readonly heads: Set<string> }>();

/** Changes of a tor's list that are under way. */
const changes = new WeakMap<TorClient, Promise<unknown>>();

/** Runs `work`, which reads and rewrites the list, when every such work before it is over: two at once would undo each other. */
export function alone<T>(tor: TorClient, work: () => Promise<T>): Promise<T> {
  const done = (changes.get(tor) ?? Promise.resolve()).then(work, work);
  changes.set(
    tor,
    done.catch(() => undefined),
  );
  return done;
}

/** The services that tor runs now, in order. */
export async function readServices(tor: TorClient): Promise<ServiceSettings[]> {
  const services: [string, string][][] = [];
  for (const line of await tor.command('GETCONF HiddenServiceOptions')) {
    const match = /^(HiddenService\w+)=(.*)$/.exec(line);
    if (match === null) continue;
    const [, option = '', raw = ''] = match;
    const value = /^".*"$/.test(raw) ? raw.slice(1, -1).replace(/\\(.)/g, '$1') : raw;
    if (option === 'HiddenServiceDir') services.push([]);
    services.at(-1)?.push([option, value]);
  }
  return services;
}

/** Makes tor run exactly `services`, and sets `others` in the same step: all or nothing. */
export async function writeServices(
  tor: TorClient,
  services: readonly ServiceSettings[],
  others: readonly TorSetting[] = [],
): Promise<void> {
  const settings: TorSetting[] = services.flat();
  await tor.setConf([...others, ...(settings.length > 0 ? settings : [['HiddenServiceDir'] as const])]);
}
