/**
 * The conformance suite of Tor networks notices mistakes: each of these is an embedded network that is wrong in one thing, and
 * the check that must say so. The mistakes are planted in the classes of the embedded network, in memory, on a virtual clock.
 */
import { afterEach, expect, test, vi } from 'vitest';
import { torNetworkChecks, type ConformanceSubject } from '../../kit/network/conformance/index.ts';
import { Circuit, CircuitTable } from '../../kit/network/embedded/circuits.ts';
import { ClientCache } from '../../kit/network/embedded/client-cache.ts';
import { Configuration } from '../../kit/network/embedded/configuration.ts';
import { ControlAuthentication } from '../../kit/network/embedded/control-auth.ts';
import { EventBus } from '../../kit/network/embedded/event-bus.ts';
import { startEmbeddedNetwork, type EmbeddedNetwork, type EmbeddedTor } from '../../kit/network/embedded/index.ts';
import type { Introduction, IntroductionCircuit } from '../../kit/network/embedded/introduction.ts';
import { OnionServices } from '../../kit/network/embedded/onion-services.ts';
import { OnionService } from '../../kit/network/embedded/service.ts';
import type { ServiceConfig } from '../../kit/network/embedded/service-config.ts';
import { ServiceDescriptor, ServiceIntroPoint } from '../../kit/network/embedded/service-descriptor.ts';
import { SimulatedProcess } from '../../kit/network/embedded/simulated-process.ts';
import type { TorInstance } from '../../kit/network/network.ts';
import { RequestHistory } from '../../kit/network/rules/client.ts';
import { DescriptorShelf } from '../../kit/network/rules/hsdir.ts';
import { IntroductionBucket } from '../../kit/network/rules/intro-point.ts';
import { createMemoryNet } from '../../kit/sim/memory-net.ts';
import { createMemoryStore, type MemoryStore } from '../../kit/sim/memory-store.ts';
import { createSeededRandom } from '../../kit/sim/seeded-random.ts';
import { createVirtualClock, type VirtualClock } from '../../kit/sim/virtual-clock.ts';

interface World {
  readonly clock: VirtualClock;
  readonly store: MemoryStore;
  readonly network: EmbeddedNetwork;
}
type Plant = (world: World) => void;

afterEach(() => vi.restoreAllMocks());

/** A network before it has tors, with the mistake in it. */
async function subject(plant: Plant): Promise<ConformanceSubject> {
  const clock = createVirtualClock(Date.UTC(2026, 0, 1, 0, 2));
  const store = createMemoryStore();
  const runtime = {
    clock,
    random: createSeededRandom('wrong'),
    net: createMemoryNet({ clock, latencyMs: 1 }),
    store,
  };
  const network = await startEmbeddedNetwork(runtime);
  plant({ clock, store, network });
  return {
    network,
    runtime,
    within: (promise, limitMs) => clock.runFor(promise, limitMs),
    pass: (durationMs) => clock.advance(durationMs),
  };
}

/** Replaces a method; the new one gets the old one, and whose it is. */
function change<Made extends object>(
  of: { readonly prototype: Made },
  name: keyof Made,
  wrong: (own: Made, right: (...all: never[]) => unknown, ...all: never[]) => unknown,
): void {
  const { prototype } = of;
  const right = prototype[name] as (...all: never[]) => unknown;
  vi.spyOn(prototype as Record<string, (...all: never[]) => unknown>, name as string).mockImplementation(function (
    this: Made,
    ...all: never[]
  ) {
    return wrong(this, (...given) => right.apply(this, given), ...all);
  });
}

const servicesOf = (tor: TorInstance): OnionService[] => [...((tor as EmbeddedTor).run?.services.all() ?? [])];

/** No controller hears of events with this in them. */
const unheard =
  (text: RegExp): Plant =>
  () =>
    change(EventBus, 'emit', (_bus, emit, name: never, format: never) => {
      const formatted = (format as () => string | readonly string[])();
      return text.test([formatted].flat().join('\n')) ? undefined : emit(name, (() => formatted) as never);
    });

/** Every service is configured otherwise than it was told. */
const misconfigured =
  (wrong: Partial<ServiceConfig>): Plant =>
  () =>
    change(OnionServices, 'configure', async (services, configure, lines: never) => {
      const configured = await configure(lines);
      for (const service of services.all()) service.config = { ...service.config, ...wrong };
      return configured;
    });

/** What relays hand on to services is something else. */
const delivered =
  (
    wrong: (deliver: (one: Introduction) => void, one: Introduction, owner: ServiceDescriptor | undefined) => void,
  ): Plant =>
  ({ network }) => {
    const owner = (authKeyHex: string): ServiceDescriptor | undefined =>
      network.tors
        .flatMap((tor) => servicesOf(tor))
        .flatMap(({ current, next }) => [current, next])
        .find((descriptor) => descriptor?.points.some((point) => point.authKeyHex === authKeyHex));
    for (const { introductions } of network.relays) {
      const set = introductions.set.bind(introductions);
      introductions.set = (key, circuit) => {
        const other: IntroductionCircuit = {
          ...circuit,
          deliver: (one) => wrong(circuit.deliver.bind(circuit), one, owner(key)),
        };
        return set(key, other);
      };
    }
  };

const readsAnything = delivered((deliver, one, owner) =>
  deliver({ ...one, subcredential: owner?.subcredential ?? one.subcredential }),
);

const mistakes: readonly (readonly [what: string, check: string, plant: Plant])[] = [
  [
    'a control port that takes any cookie',
    'authenticates by safe cookie',
    () => change(ControlAuthentication, 'authenticate', () => ({ line: '250 OK', close: false, authenticated: true })),
  ],
  [
    'a tor that takes options which it does not know',
    'answers SETCONF nonsense=1',
    () =>
      change(Configuration, 'after', (_own, after, changes: never) => {
        const lines = after(changes);
        return Array.isArray(lines) ? lines : [];
      }),
  ],
  [
    'a relay without an Ed25519 identity',
    'gives the consensus',
    ({ network }) => {
      const relay = network.relays[0] as { microdescriptor: string };
      relay.microdescriptor = relay.microdescriptor.replace(/id ed25519 .*\n/, '');
    },
  ],
  ['a tor that keeps a new consensus to itself', 'tells of a new consensus', unheard(/NEWCONSENSUS/)],
  [
    'a tor that gives desc_next for desc_current',
    'gives desc_current',
    () =>
      change(OnionService, 'describe', (service, describe) => {
        const { current } = service;
        service.current = service.next;
        const text = describe();
        service.current = current;
        return text;
      }),
  ],
  ['a tor that does not tell when a rendezvous is joined', 'shows its circuits', unheard(/HSSR_JOINED/)],
  ['a tor that does not say that a descriptor has come', 'is fetched by HSFETCH', unheard(/HS_DESC RECEIVED/)],
  ['a tor that is silent about what was not found', 'says NOT_FOUND', unheard(/NOT_FOUND/)],
  [
    'a client that fetches for every visit',
    'lets a client use its cache',
    ({ clock }) =>
      change(ClientCache, 'store', (cache, store, address: never, fresh: never) => {
        store(address, fresh);
        clock.after(10, () => cache.remove(address));
      }),
  ],
  [
    'a client that keeps its cache through NEWNYM',
    'lets a client use its cache',
    () => change(ClientCache, 'purge', () => undefined),
  ],
  ['a service that takes any port', 'refuses as tor does', misconfigured({ allowUnknownPorts: true })],
  [
    'CLOSECIRCUIT that does nothing',
    'loses one client',
    () =>
      change(Circuit, 'close', (_circuit, close, reason: never, remote: never) =>
        reason === 'REQUESTED' ? undefined : close(reason, remote),
      ),
  ],
  [
    'CLOSECIRCUIT that closes whatever is of the same kind',
    'loses one client',
    () =>
      change(CircuitTable, 'close', (table, close, circuit: never, reason: never, remote: never) => {
        close(circuit, reason, remote);
        const { purpose } = circuit as Circuit;
        if (reason !== 'REQUESTED') return;
        for (const other of table.list()) if (other.purpose === purpose) close(other as never, reason, remote);
      }),
  ],
  [
    'a service that takes new introduction points when a circuit breaks',
    'builds its introduction circuits again',
    ({ network }) =>
      change(CircuitTable, 'close', (_table, close, circuit: never, reason: never, remote: never) => {
        for (const tor of network.tors) {
          for (const { current } of servicesOf(tor)) {
            for (const point of current?.points ?? []) if (point.circuit === circuit) point.launches = 99;
          }
        }
        close(circuit, reason, remote);
      }),
  ],
  [
    'a client that fetches a descriptor once and never again',
    'is found again',
    () => {
      const asked = new Set<string>();
      change(RequestHistory, 'mayAsk', (_own, _right, _hsdir: never, key: never) => {
        return !asked.has(key) && Boolean(asked.add(key));
      });
    },
  ],
  ['a service that exports no circuit ids', 'exports the circuit’s id', misconfigured({ exportCircuitId: false })],
  [
    'an HSDir that takes a revision which it has',
    'wants named servers',
    () =>
      change(DescriptorShelf, 'store', (shelf, store, key: never, item: never, now: never) => {
        const old = shelf.get(key, now);
        return store(
          key,
          (old === undefined ? item : { ...(item as object), revision: BigInt(old.revision) + 1n }) as never,
          now,
        );
      }),
  ],
  [
    'a service that makes two rendezvous of one introduction',
    'reads a cell for each',
    delivered((deliver, one) => {
      deliver(one);
      deliver(one);
    }),
  ],
  [
    'a tor that does not count what comes over its introduction circuits',
    'reads a cell for each',
    () =>
      change(Circuit, 'carried', (_circuit, carried, way: never, cell: never) =>
        cell === 'introduce2' ? undefined : carried(way, cell),
      ),
  ],
  ['relays that keep to no limit', 'is dropped by the relays', () => change(IntroductionBucket, 'take', () => true)],
  [
    'relays that let nothing through',
    'is dropped by the relays',
    () => change(IntroductionBucket, 'take', () => false),
  ],
  [
    'an instance that needs no ob_config',
    'refuses an instance without',
    ({ store }) => {
      const read = store.read.bind(store);
      store.read = async (path, ...rest) =>
        (await read(path, ...rest)) ?? (path.endsWith('/nothing/ob_config') ? Buffer.from('\n') : undefined);
    },
  ],
  [
    'an instance that reads only what is for its own descriptors',
    'opens an instance through',
    delivered((deliver, one, owner) => {
      if (owner === undefined || Buffer.compare(owner.subcredential, one.subcredential) === 0) deliver(one);
    }),
  ],
  [
    'a client that keeps a descriptor through the change of period',
    'opens an instance through',
    () => change(ClientCache, 'lookup', (_cache, lookup, address: never) => lookup(address, 0 as never)),
  ],
  ['a service that reads introductions by any subcredential', 'is silent for an introduction', readsAnything],
  ['the same, in both halves of the day', 'reads, as a plain service', readsAnything],
  [
    'a tor that finds its introduction points again after its death',
    'drops its connections',
    () => {
      const lives = new Map<string, ServiceDescriptor>();
      const build = ServiceDescriptor.build.bind(ServiceDescriptor);
      vi.spyOn(ServiceDescriptor, 'build').mockImplementation(async (...all) => {
        const made = await build(...all);
        for (const point of lives.get(made.id)?.points ?? []) {
          const again = Object.create(ServiceIntroPoint.prototype) as ServiceIntroPoint;
          const fresh = { circuit: undefined, opened: false, established: false, launches: 0 };
          made.points.push(Object.assign(again, point, fresh));
        }
        lives.set(made.id, made);
        return made;
      });
    },
  ],
  [
    'a tor that SIGSTOP does not stop',
    'answers nothing while it is stopped',
    () => change(SimulatedProcess, 'freeze', () => undefined),
  ],
  [
    'a tor whose circuits outlive its network',
    'answers without its network',
    () => change(CircuitTable, 'uplinkLost', () => undefined),
  ],
  [
    'a tor that takes other introduction points once its network is back',
    'answers without its network',
    () =>
      change(OnionService, 'uplinkBack', (service, back) => {
        for (const descriptor of [service.current, service.next]) descriptor?.points.splice(0);
        back();
      }),
  ],
];

const checks = torNetworkChecks();
const meant = (check: string): (typeof checks)[number] => {
  const found = checks.filter(({ name }) => name.startsWith(check));
  expect(found.map(({ name }) => name)).toHaveLength(1);
  return found[0] as (typeof checks)[number];
};
/** What went wrong inside of the check itself would be no verdict. */
const verdict = /^(?!.*(?:TypeError|ReferenceError|is not a function|is not up))/s;

test.each(mistakes)('%s', async (_what, check, plant) => {
  await expect(meant(check).run(() => subject(plant))).rejects.toThrow(verdict);
});

const used = [...new Set(mistakes.map(([, check]) => check))];
test.each(used)('alone, on a right network, holds: %s', async (check) => {
  await expect(meant(check).run(() => subject(() => undefined))).resolves.toBeUndefined();
});

test('every check is broken by some mistake; of the refusals at the control port one', () => {
  const unbroken = checks.filter(({ name }) => !used.some((check) => name.startsWith(check)));
  expect(unbroken.map(({ name }) => name).filter((name) => !/^answers [A-Z]/.test(name))).toEqual([]);
});
