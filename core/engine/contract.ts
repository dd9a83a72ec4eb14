/** Typed tokens: a service that exactly one plugin gives and others need. The type parameter is the service's interface. */

export interface Contract<Service> {
  readonly name: string;
  /** True when any number of plugins may give it; `host.all` has every one. Else there is one giver. */
  readonly several?: boolean;
  /** Type only; never set. */
  readonly __service?: Service;
}

/** Declares a contract. Declare each once, beside the interface it stands for. */
export function contract<Service>(name: string): Contract<Service> {
  return { name };
}

/** Declares a contract that any number of plugins may give. */
export function severalContract<Service>(name: string): Contract<Service> {
  return { name, several: true };
}
