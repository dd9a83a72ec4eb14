/**
 * Deliberate bugs, to see that the checkers notice: each puts something wrong in the place of a shipped plugin, for a
 * simulation only. A checker that lets one pass checks nothing.
 */
import {
  electionContract,
  meshContract,
  signerContract,
  torContract,
  transportContract,
  type ClusterRecord,
  type Mesh,
} from '../../../../core/engine/index.ts';
import { createMaterial, encodeDescriptor, subcredential } from '../../../../core/onion/index.ts';
import type { Candidate } from '../../../../core/pipeline/index.ts';
import { electionPlugin, type ElectionOrder } from '../../../../plugins/election/index.ts';
import { Book, parseJson } from '../../../../plugins/mesh/book.ts';
import { ReplayWindow } from '../../../../plugins/mesh/session/window.ts';
import type { Broken } from './checkers/index.ts';
import { noFaults } from './faults.ts';
import { secretMutations } from './mutations-secrets.ts';
import { membershipMutations } from './mutations-membership.ts';
import { beside, often, patched, type Mutation } from './mutation.ts';
import { simulate } from './simulate.ts';
import { over, replaced, withHost, withService } from './wrap.ts';

const election = 'election/uptime';

/** A mesh that knows these records. */
const recalling = (mesh: Mesh, records: Mesh['records']): Mesh =>
  over(mesh, { records, record: (kind, node) => records(kind).find((record) => record.node === node) });

/** Each node thinks that it comes first itself. */
const selfish = (node: string): ElectionOrder<null> => ({
  read: () => null,
  own: () => null,
  compare: (a, b) => Number(b.node === node) - Number(a.node === node),
});

export const mutations: readonly Mutation[] = [
  ...secretMutations,
  ...membershipMutations,
  {
    name: 'a publisher that stood still sends what it had begun',
    breaks: ['I3'],
    mutate: (plugins) =>
      replaced(plugins, 'publish', (plugin) =>
        withHost(plugin, (host) => ({
          ...host,
          hooks: {
            ...host.hooks,
            upload: over(host.hooks.upload, {
              tapPromise: (name, answer) =>
                host.hooks.upload.tapPromise(name, (context) => answer({ ...context, current: () => true })),
            }),
          },
        })),
      ),
    faults: { pauseEverySecs: 40, pauseSecs: 20, crashEverySecs: 60 },
  },
  {
    name: 'no epoch in what is published',
    breaks: ['I3', 'I10'],
    mutate: (plugins) =>
      replaced(plugins, election, (plugin) =>
        withService(plugin, electionContract, (service) => over(service, { epoch: 0 })),
      ),
    faults: { partitionEverySecs: 60, partitionSecs: 30 },
  },
  {
    name: 'second-hand liveness is taken for first-hand',
    // Nobody takes over from the dead; or two do, who hear of each other by others only.
    breaks: ['I10', 'I2'],
    mutate: (plugins) =>
      replaced(plugins, 'mesh', (plugin) =>
        withService(plugin, meshContract, (mesh, host) => {
          // Everybody tells everybody else that all are well.
          const known = new Map<string, ClusterRecord>();
          return over(
            recalling(mesh, (kind) => {
              for (const record of mesh.records(kind)) known.set(`${kind} ${record.node}`, record);
              return [...known].flatMap(([key, record]) => (key.startsWith(`${kind} `) ? [record] : []));
            }),
            {
              members: () =>
                mesh.members().map((member) => {
                  const heardAtMs = host.runtime.clock.monotonic();
                  return { ...member, state: 'alive' as const, heardAtMs };
                }),
            },
          );
        }),
      ),
    faults: { powerEverySecs: 60, powerSecs: 60 },
  },
  {
    name: 'each node comes first in its own order',
    breaks: ['I2', 'I1'],
    mutate: (plugins, node) =>
      replaced(plugins, election, () =>
        electionPlugin({ name: election, summary: 'Wrong.', entries: {}, order: () => selfish(node) }),
      ),
    faults: { outageEverySecs: 40, outageSecs: 15 },
  },
  {
    name: 'a publisher stays for ever',
    breaks: ['I2', 'I1'],
    mutate: (plugins) =>
      replaced(plugins, election, (plugin) =>
        withService(plugin, electionContract, (service) => {
          let once = false;
          return {
            get publisher() {
              return service.publisher;
            },
            get epoch() {
              return service.epoch;
            },
            get elected() {
              once ||= service.elected;
              return once;
            },
          };
        }),
      ),
    faults: { partitionEverySecs: 60 },
  },
  {
    name: 'the heads of a silent node are given up at once',
    breaks: ['I4'],
    settings: { mesh: { hold_ms: 0 } },
    faults: { ...often, crashSecs: 40 },
  },
  {
    name: 'suspicion alone takes heads out',
    breaks: ['I4'],
    mutate: beside(
      (host) => {
        const mesh = host.need(meshContract);
        host.hooks.sift.tap('mistake', (heads) => {
          const alive = new Set(mesh.members().flatMap(({ node, state }) => (state === 'alive' ? [node] : [])));
          return heads.filter(({ node }) => alive.has(node));
        });
        mesh.onChange((change) => {
          if (change.what === 'state') host.signal('peerChanged', { node: change.node, why: 'suspicion' });
        });
      },
      { needs: [meshContract] },
    ),
    faults: { ...often, crashSecs: 40 },
  },
  {
    name: 'a descriptor that no client can open',
    breaks: ['I4'],
    mutate: (plugins) =>
      replaced(plugins, 'publish', (plugin) =>
        withHost({ ...plugin, needs: [...(plugin.needs ?? []), signerContract] }, (host) => {
          let merged: readonly Candidate[] = [];
          host.hooks.review.tap(plugin.name, (context) => {
            merged = context.merged.sets.flat();
            return undefined;
          });
          return {
            ...host,
            hooks: {
              ...host.hooks,
              upload: over(host.hooks.upload, {
                tapPromise: (name, answer) =>
                  host.hooks.upload.tapPromise(name, async (context) => {
                    const signer = host.need(signerContract);
                    const { random, clock } = host.runtime;
                    const points = merged.map(({ introPoint }) => introPoint);
                    const now = Math.floor(clock.now() / 1_000);
                    const descriptors = await Promise.all(
                      context.sealed.descriptors.map(async (descriptor) => {
                        const { blindedKey, period, revision } = descriptor;
                        const sign = (body: Uint8Array): Promise<Uint8Array> => signer.sign(period, body);
                        const material = await createMaterial({ random, blindedPublicKey: blindedKey, now, sign });
                        const text = encodeDescriptor(material, {
                          subcredential: subcredential(random.bytes(32), blindedKey),
                          revision,
                          introPoints: points,
                          features: { singleOnionService: false },
                          clients: [],
                          now,
                          random,
                        });
                        return { ...descriptor, texts: descriptor.texts.map(() => text) };
                      }),
                    );
                    return answer({ ...context, sealed: { ...context.sealed, descriptors } });
                  }),
              }),
            },
          };
        }),
      ),
    faults: often,
  },
  {
    name: 'a publisher that takes in its own heads only',
    breaks: ['I4', 'I10'],
    mutate: (plugins, node) =>
      beside((host) => {
        host.hooks.sift.tap('mistake', (heads) => heads.filter((head) => head.node === node));
      })(plugins),
    faults: often,
  },
  {
    name: 'the epoch is forgotten at a restart',
    breaks: ['I1'],
    mutate: (plugins) =>
      replaced(plugins, election, (plugin) =>
        withHost(plugin, (host) => ({
          ...host,
          runtime: {
            ...host.runtime,
            store: over(host.runtime.store, { read: () => Promise.resolve(undefined) }),
          },
        })),
      ),
    // A node that has the master key from others has the epoch from them, too.
    faults: { ...often, blackoutEverySecs: 120 },
  },
  {
    name: 'a record is believed as nobody said it',
    breaks: ['I6'],
    mutate: (plugins, node) =>
      replaced(plugins, 'mesh', (plugin) =>
        withService(plugin, meshContract, (mesh) =>
          recalling(mesh, (kind) =>
            mesh
              .records(kind)
              .map((record) =>
                kind === 'election' && record.node > node
                  ? { ...record, value: { ...(record.value as object), published: 1_000_000 } }
                  : record,
              ),
          ),
        ),
      ),
    faults: often,
  },
  {
    name: 'a datagram from anybody is a sign of life',
    breaks: ['I5'],
    mutate: (plugins) => {
      let heardAtMs = 0;
      const listening = replaced(plugins, 'transport/simulated', (plugin) =>
        withService(plugin, transportContract, (transport, host) =>
          over(transport, {
            onMessage: (listener) =>
              transport.onMessage((from, bytes) => {
                heardAtMs = host.runtime.clock.monotonic();
                listener(from, bytes);
              }),
          }),
        ),
      );
      return replaced(listening, 'mesh', (plugin) =>
        withService(plugin, meshContract, (mesh) =>
          over(mesh, { members: () => mesh.members().map((member) => ({ ...member, heardAtMs })) }),
        ),
      );
    },
    faults: { forgeryEverySecs: 20 },
  },
  {
    name: 'the replay window is off',
    breaks: ['I5'],
    install: () => patched(ReplayWindow.prototype, { fresh: () => true, take: () => true }),
    faults: { forgeryEverySecs: 20 },
  },
  {
    name: 'a record counts without its signature',
    breaks: ['I6'],
    install: () => {
      const before = Object.getOwnPropertyDescriptor(Book.prototype, 'take')?.value as Book['take'];
      return patched(Book.prototype, {
        take(this: Book, record, value, nowMs, changes) {
          const taken = before.call(this, record, value, nowMs, changes);
          const json = value === undefined ? undefined : parseJson(value);
          if (taken !== 'refused' || value === undefined || json === undefined || record.node === this.self)
            return taken;
          const { node, kind, incarnation, version } = record;
          this.entries.put({ node, kind, incarnation, version, record, bytes: value, value: json });
          changes.push({ node, what: 'record', kind });
          return 'new';
        },
      });
    },
    faults: { hostileMemberEverySecs: 60 },
  },
  {
    name: 'a publication ends the streams of clients',
    breaks: ['I8'],
    mutate: beside(
      (host) => {
        const tor = host.need(torContract).primary;
        host.hooks.settled.tapPromise('mistake', async () => {
          const status = await tor.getInfo('circuit-status').catch(() => '');
          const rendezvous = status.split('\n').filter((line) => line.includes('HS_SERVICE_REND'));
          for (const line of rendezvous) await tor.closeCircuit(line.split(' ', 1)[0] ?? '').catch(() => undefined);
        });
      },
      { needs: [torContract] },
    ),
    faults: { ...often, operatorEverySecs: 60 },
  },
  {
    name: 'a timer for each datagram',
    breaks: ['I9'],
    mutate: (plugins) =>
      replaced(plugins, 'transport/simulated', (plugin) =>
        withService(plugin, transportContract, (transport, host) =>
          over(transport, {
            onMessage: (listener) =>
              transport.onMessage((from, bytes) => {
                host.runtime.clock.after(600_000, () => undefined);
                listener(from, bytes);
              }),
          }),
        ),
      ),
    faults: often,
  },
  {
    name: 'a lease of two minutes',
    breaks: ['I10'],
    settings: { election: { lease_ms: 120_000 } },
    faults: { powerEverySecs: 60, powerSecs: 60 },
  },
];

/** Runs one mutation until a checker notices it: what it noticed, or undefined when none did in all seeds. */
export async function caught(mutation: Mutation, { seeds = 4, hours = 0.3 } = {}): Promise<Broken | undefined> {
  const uninstall = mutation.install?.();
  try {
    return await firstBroken(mutation, seeds, hours);
  } finally {
    uninstall?.();
  }
}

async function firstBroken(
  { mutate, settings, faults, nodes = 4 }: Mutation,
  seeds: number,
  hours: number,
): Promise<Broken | undefined> {
  for (let seed = 1; seed <= seeds; seed++) {
    const { broken } = await simulate({
      seed: `mutation ${seed}`,
      nodes,
      hours,
      faults: { ...noFaults, ...faults },
      election,
      stopAtFirst: true,
      ...(mutate === undefined ? {} : { mutate }),
      ...(settings === undefined ? {} : { settings }),
    });
    if (broken[0] !== undefined) return broken[0];
  }
  return undefined;
}
