/**
 * What every tor must show to the client of the tor plugin, whichever network it belongs to. Checks are functions that throw; a test
 * file gives each a test of its own. Enter at `createTorClientSite`, then run `torClientChecks` in their order.
 */
import assert from 'node:assert/strict';
import type { TorClient } from '../../../core/engine/contracts/tor.ts';
import { isChimeraError, type ErrorCode } from '../../../core/errors.ts';
import {
  addressOfKey,
  blindedKey,
  descriptorSlots,
  introPointId,
  masterKeyFromSeed,
  openDescriptor,
  parseOnionAddress,
  revisionKey,
  signBlinded,
  type Descriptor,
  type OnionAddress,
  type TimePeriod,
} from '../../../core/onion/index.ts';
import {
  createSealer,
  volatileRevisions,
  type Candidate,
  type Placement,
  type Sealed,
  type SealedDescriptor,
} from '../../../core/pipeline/index.ts';
import type { Runtime } from '../../../core/runtime/index.ts';
import { createTorClient } from '../../../plugins/tor/index.ts';
import type { TorInstance, TorNetwork } from '../network/network.ts';

export interface TorClientSite {
  readonly runtime: Runtime;
  readonly network: TorNetwork;
  /** The tor that publishes; it has no service. */
  readonly tor: TorInstance;
  readonly client: TorClient;
  /** The client of a tor that hosts one service and does not publish it. */
  readonly head: TorClient;
  readonly service: OnionAddress;
  close(): Promise<void>;
}

export interface TorClientCheck {
  readonly name: string;
  readonly run: (site: TorClientSite) => Promise<void>;
}

const commandTimeoutMs = 3_000;

/** Adds a publisher and a head with one service to the network, and waits until all is up. The network stays the caller's. */
export async function createTorClientSite(runtime: Runtime, network: TorNetwork): Promise<TorClientSite> {
  const tor = await network.addTor({ name: 'publisher' });
  const headTor = await network.addTor({ name: 'head', config: { PublishHidServDescriptors: '0' } });
  await network.ready();
  const client = createTorClient(runtime, { control: tor.control, name: 'publisher', commandTimeoutMs });
  const head = createTorClient(runtime, { control: headTor.control, name: 'head' });
  const close = async (): Promise<void> => {
    await Promise.all([client.close(), head.close()]);
  };
  try {
    await Promise.all([client.ready(10_000), head.ready(10_000)]);
    const directory = `${headTor.dataDirectory}/service`;
    await head.setConf([
      ['HiddenServiceDir', directory],
      ['HiddenServicePort', '80 127.0.0.1:9'],
    ]);
    const hostname = await runtime.store.read(`${directory}/hostname`);
    assert(hostname !== undefined, 'tor wrote no hostname file');
    const service = parseOnionAddress(Buffer.from(hostname).toString('utf8').trim());
    return { runtime, network, tor, client, head, service, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function rejects(work: Promise<unknown>, code: ErrorCode, pattern = /(?:)/): Promise<void> {
  await assert.rejects(work, (error: unknown) => isChimeraError(error, code) && pattern.test(error.message));
}

async function poll<T>({ runtime }: TorClientSite, limitMs: number, ask: () => Promise<T | undefined>): Promise<T> {
  const end = runtime.clock.monotonic() + limitMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    assert(runtime.clock.monotonic() < end, `nothing came within ${limitMs} ms`);
    await runtime.clock.sleep(100);
  }
}

/**
 * The introduction points of the head's service, read from its tor. That one goes over to the next descriptor up to a consensus
 * later than the network: until then what it shows is of a period that is over.
 */
async function introPoints(site: TorClientSite): Promise<readonly Candidate[]> {
  return poll(site, 60_000, async () => {
    const { times, rules } = await site.head.consensus();
    const slots = descriptorSlots(times, rules, {});
    const text = await site.head.serviceDescriptor(site.service);
    const descriptor =
      text === undefined ? undefined : ofPeriods(site, text, [slots.first.period, slots.second.period]);
    if (descriptor === undefined || descriptor.introPoints.length === 0) return undefined;
    return descriptor.introPoints.map((introPoint) => ({
      id: introPointId(introPoint),
      head: 'one/head',
      node: 'one',
      provenance: 'service',
      introPoint,
      features: descriptor.features,
    }));
  });
}

/** The service's descriptor, opened; undefined where it is of none of these periods. */
function ofPeriods(
  { service, runtime }: TorClientSite,
  text: string,
  periods: readonly TimePeriod[],
): Descriptor | undefined {
  try {
    return openDescriptor(text, { address: service, periods, now: runtime.clock.now() / 1000 });
  } catch (error) {
    if (isChimeraError(error, 'ONION_WRONG_SERVICE')) return undefined;
    throw error;
  }
}

interface Master {
  readonly address: OnionAddress;
  readonly placement: Placement;
  readonly sealed: Sealed;
  readonly used: SealedDescriptor;
}

/** A new master service, sealed over the head's introduction points. */
async function seal(site: TorClientSite): Promise<Master> {
  const { runtime, client } = site;
  const master = masterKeyFromSeed(runtime.random.bytes(32));
  const sealer = createSealer({
    signer: {
      publicKey: master.publicKey,
      sign: (period, message) => Promise.resolve(signBlinded(blindedKey(master, period), message)),
      revisionKey: (period) => Promise.resolve(revisionKey(blindedKey(master, period))),
    },
    revisions: volatileRevisions(),
    random: runtime.random,
  });
  const merged = { sets: [await introPoints(site)] };
  const consensus = await client.consensus();
  const placement = sealer.place(consensus, 1);
  const now = Math.floor(runtime.clock.now() / 1000);
  const { sealed } = await sealer.seal({ merged, placement, consensus, epoch: 0, now, clients: [] });
  const used = sealed.descriptors.find(({ slot }) => slot === placement.slots.clientUses);
  assert(used !== undefined);
  return { address: addressOfKey(master.publicKey), placement, sealed, used };
}

const serversOf = (descriptor: SealedDescriptor): string[] => descriptor.targets.map(({ relay }) => relay.fingerprint);
const textOf = (descriptor: SealedDescriptor): string => descriptor.texts[0] as string;

/** Posts a new master's descriptors to all their HSDirs and checks that all took them. */
async function publish(site: TorClientSite): Promise<Master> {
  const master = await seal(site);
  const uploads = await Promise.all(
    master.sealed.descriptors.map((descriptor) =>
      site.client.postDescriptor(master.address, textOf(descriptor), serversOf(descriptor)),
    ),
  );
  for (const [index, results] of uploads.entries()) {
    assert.deepEqual(
      results,
      serversOf(master.sealed.descriptors[index] as SealedDescriptor).map((fingerprint) => ({
        fingerprint,
        accepted: true,
      })),
    );
  }
  return master;
}

/** Runs `work` again when the network has come to another period or shared random value meanwhile. */
async function steady(site: TorClientSite, work: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const before = await slotsText(site);
    try {
      await work();
      return;
    } catch (error) {
      if (attempt === 3 || (await slotsText(site)) === before) throw error;
    }
  }
}

async function slotsText({ client }: TorClientSite): Promise<string> {
  const { times, rules, sharedRandom } = await client.consensus();
  const { first, second, clientUses } = descriptorSlots(times, rules, sharedRandom);
  return (
    [first, second].map(({ period, srv }) => `${period.number} ${Buffer.from(srv).toString('hex')}`).join() + clientUses
  );
}

/** Fetches the descriptor that clients use now from every HSDir that a client may ask. */
async function fetchBack({ client }: TorClientSite, { address, used }: Master): Promise<void> {
  const asked = used.targets.filter(({ fetched }) => fetched).map(({ relay }) => relay.fingerprint);
  const fetched = await Promise.all(asked.map((server) => client.fetchDescriptor(address, { server })));
  assert.deepEqual(
    fetched,
    asked.map((fingerprint) => ({ fingerprint, text: textOf(used) })),
  );
}

/** In an order: the later ones kill and stop the tor. */
export const torClientChecks: readonly TorClientCheck[] = [
  {
    name: 'the consensus agrees with what tor says of it, and is one object while it is the same',
    run: async ({ client, network }) => {
      for (;;) {
        const consensus = await client.consensus();
        const [freshUntil, current, previous] = await Promise.all(
          ['consensus/fresh-until', 'sr/current', 'sr/previous'].map((key) => client.getInfo(key)),
        );
        // A consensus that came in between is no disagreement.
        if ((await client.consensus()) !== consensus) continue;
        assert.equal(consensus.times.freshUntil, Date.parse(`${freshUntil?.replace(' ', 'T')}Z`) / 1000);
        const base64 = (value: Uint8Array | undefined): string => Buffer.from(value ?? []).toString('base64');
        assert.equal(base64(consensus.sharedRandom.current), current);
        assert.equal(base64(consensus.sharedRandom.previous), previous);
        assert.equal(consensus.hsdirs.length, network.hsdirCount);
        assert.equal(new Set(consensus.hsdirs.map(({ fingerprint }) => fingerprint)).size, network.hsdirCount);
        assert.equal(consensus.rules.testingNetwork, (await client.getConf('TestingTorNetwork'))[0] === '1');
        return;
      }
    },
  },
  {
    name: 'a listener hears of the next consensus',
    run: async (site) => {
      const { client, network } = site;
      const first = await client.consensus();
      let heard = first;
      const stop = client.onConsensus((consensus) => {
        heard = consensus;
      });
      await poll(site, network.votingSeconds * 4_000, () =>
        Promise.resolve(heard.times.validAfter > first.times.validAfter ? heard : undefined),
      );
      stop();
    },
  },
  {
    name: "the service's descriptor is the one that its tor made, and an address without service has none",
    run: async (site) => {
      assert.ok((await introPoints(site)).length > 0);
      assert.equal(await site.head.serviceDescriptor(addressOfKey(new Uint8Array(32).fill(3))), undefined);
    },
  },
  {
    name: 'both descriptors are taken by every HSDir named, and each gives back what it got',
    run: (site) => steady(site, async () => fetchBack(site, await publish(site))),
  },
  {
    name: 'a fetch without a server finds it too, and a service that nobody published is NOT_FOUND',
    run: (site) =>
      steady(site, async () => {
        const { address, used } = await publish(site);
        assert.equal((await site.client.fetchDescriptor(address)).text, textOf(used));
        const nobody = addressOfKey(masterKeyFromSeed(site.runtime.random.bytes(32)).publicKey);
        const [server = ''] = serversOf(used);
        await rejects(site.client.fetchDescriptor(nobody, { server }), 'TOR_FETCH_FAILED', /: NOT_FOUND$/);
        await rejects(site.client.fetchDescriptor(nobody), 'TOR_FETCH_FAILED', /: NOT_FOUND$/);
      }),
  },
  {
    name: 'a revision that is not higher is UPLOAD_REJECTED, and the HSDir keeps what it has',
    run: (site) =>
      steady(site, async () => {
        const master = await publish(site);
        const results = await site.client.postDescriptor(master.address, textOf(master.used), serversOf(master.used));
        assert.deepEqual(
          results,
          serversOf(master.used).map((fingerprint) => ({ fingerprint, accepted: false, reason: 'UPLOAD_REJECTED' })),
        );
        await fetchBack(site, master);
      }),
  },
  {
    name: 'both descriptors posted at once to the same HSDirs are each answered',
    run: async (site) => {
      const { address, sealed } = await seal(site);
      const servers = (await site.client.consensus()).hsdirs.slice(0, 6).map(({ fingerprint }) => fingerprint);
      const results = await Promise.all(
        sealed.descriptors.map((descriptor) => site.client.postDescriptor(address, textOf(descriptor), servers)),
      );
      assert.deepEqual(
        results.flat().map(({ accepted }) => accepted),
        Array.from({ length: 2 * servers.length }, () => true),
      );
    },
  },
  {
    name: 'an unknown server is told and harms no other; a text that is no descriptor is refused',
    run: async (site) => {
      const { address, used } = await seal(site);
      const unknown = 'F'.repeat(40);
      const [server = ''] = serversOf(used);
      assert.deepEqual(await site.client.postDescriptor(address, textOf(used), [unknown, server]), [
        { fingerprint: unknown, accepted: false, reason: 'UNKNOWN_SERVER' },
        { fingerprint: server, accepted: true },
      ]);
      await rejects(site.client.fetchDescriptor(address, { server: unknown }), 'TOR_UNKNOWN_SERVER');
      await rejects(site.client.postDescriptor(address, 'hs-descriptor 3\n', [server]), 'TOR_REFUSED', /HSPOST: 554/);
    },
  },
  {
    name: 'a tor that hangs is given up at the deadline, and met again when it goes on',
    run: async ({ client, tor }) => {
      await tor.kill('SIGSTOP');
      try {
        await rejects(client.getInfo('version'), 'TOR_TIMEOUT', /GETINFO within 3000 ms/);
      } finally {
        await tor.kill('SIGCONT');
      }
      await client.ready(20_000);
      assert.match(await client.getInfo('version'), /^\d/);
    },
  },
  {
    name: 'a tor that is killed and started again is met again, with its new cookie and its events',
    run: async (site) => {
      const { client, tor } = site;
      const states: string[] = [];
      const stop = client.onState((state) => states.push(state));
      await tor.kill('SIGKILL');
      await poll(site, 5_000, () => Promise.resolve(client.state === 'connecting' ? true : undefined));
      await rejects(client.getInfo('version'), 'TOR_NOT_READY');
      await tor.restart();
      await client.ready(20_000);
      assert.deepEqual(states, ['connecting', 'ready']);
      stop();
      await tor.bootstrapped();
      await steady(site, async () => fetchBack(site, await publish(site)));
    },
  },
];
