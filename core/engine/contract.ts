/** Typed tokens: a service that exactly one plugin gives and others need. The type parameter is the service's interface. */

export interface Contract<Service> {
  readonly name: string;
  /** Type only; never set. */
  readonly __service?: Service;
}

/** Declares a contract. Declare each once, beside the interface it stands for. */
export function contract<Service>(name: string): Contract<Service> {
  return { name };
}
