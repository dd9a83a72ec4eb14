/** A plugin that gives, taps or hears something else than it would: for simulations with a mistake in them. */
import type { AnyPlugin, Contract, Host } from '../../../../core/engine/index.ts';

/** The plugin with another host. */
export function withHost(plugin: AnyPlugin, change: (host: Host) => Host): AnyPlugin {
  return { ...plugin, apply: (host, options) => plugin.apply(change(host), options) };
}

/** The plugin called `name` changed, the others as they are. */
export function replaced(
  plugins: readonly AnyPlugin[],
  name: string,
  change: (plugin: AnyPlugin) => AnyPlugin,
): readonly AnyPlugin[] {
  return plugins.map((plugin) => (plugin.name === name ? change(plugin) : plugin));
}

/** What the plugin gives of one contract, changed. */
export function withService<Service>(
  plugin: AnyPlugin,
  contract: Contract<Service>,
  change: (service: Service, host: Host) => Service,
): AnyPlugin {
  return withHost(plugin, (host) => ({
    ...host,
    give: (given, service) => {
      const own = given.name === contract.name;
      host.give(given, own ? (change(service as unknown as Service, host) as unknown as typeof service) : service);
    },
  }));
}

/** An object that answers as `target` does, but for what `own` has. */
export function over<T extends object>(target: T, own: Partial<T>): T {
  return new Proxy(target, {
    get: (from, key) => {
      const source = Object.hasOwn(own, key) ? own : from;
      const value: unknown = Reflect.get(source, key, source);
      return typeof value === 'function' ? (value as (...values: unknown[]) => unknown).bind(source) : value;
    },
  });
}
