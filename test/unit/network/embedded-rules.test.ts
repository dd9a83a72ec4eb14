import { createPublicKey, createPrivateKey } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  addressOfKey,
  introPointId,
  masterKeyFromSeed,
  openDescriptor,
  type Descriptor,
  type OnionAddress,
} from '../../../core/onion/index.ts';
import { encodeBase32 } from '../../../core/onion/bytes.ts';
import type { EmbeddedTor } from '../../kit/network/embedded/index.ts';
import { createWorld, type World } from './support.ts';

interface Stage extends World {
  readonly client: EmbeddedTor;
  readonly head: EmbeddedTor;
}

/** A client and a head that does not publish by itself. */
async function stage(seed: string, options: Parameters<typeof createWorld>[1] = {}): Promise<Stage> {
  const world = await createWorld(seed, options);
  const { bench } = world;
  const client = (await bench.addTor('client', { socks: true })) as EmbeddedTor;
  const head = (await bench.addTor('head', { config: { PublishHidServDescriptors: '0' } })) as EmbeddedTor;
  return { ...world, client, head };
}

const keysOf = (descriptor: Descriptor): string[] => descriptor.introPoints.map(introPointId).sort();

describe('a hidden service directory', () => {
  it('forgets a descriptor after its lifetime of three hours', async () => {
    const { bench, client, head, clock, network } = await stage('lifetime', {
      testingNetwork: false,
      votingSeconds: 3600,
    });
    const service = await bench.service(head, 'one', await bench.site('one'));
    const { introPoints } = await bench.serviceDescriptor(head, service);
    await bench.publish(client, masterKeyFromSeed(new Uint8Array(32).fill(7)), introPoints).catch(() => undefined);
    const stored = (): number => network.relays.filter((relay) => relay.hsdir.size > 0).length;
    expect(stored()).toBeGreaterThan(0);
    await clock.advance(3 * 3600_000);
    const answers = network.relays.map((relay) => relay.hsdir.fetch(new Uint8Array(32), clock.now() / 1000).status);
    expect(new Set(answers)).toEqual(new Set([404]));
  });

  it('refuses, denies, answers 503 and stays silent when told to', async () => {
    const { bench, client, head, network } = await stage('faults');
    const service = await bench.service(head, 'one', await bench.site('one'));
    const { introPoints } = await bench.serviceDescriptor(head, service);
    const master = masterKeyFromSeed(new Uint8Array(32).fill(9));
    const address = addressOfKey(master.publicKey);
    const view = await bench.consensus(client);
    const slot = view.slots[view.slots.clientUses];
    const servers = bench.responsible(view, slot, master);
    const faulty = (index: number): (typeof network.relays)[number]['hsdir']['faults'] => {
      const relay = network.relays.find((candidate) => candidate.fingerprint === servers[index]);
      if (relay === undefined) throw new Error('no such relay');
      return relay.hsdir.faults;
    };
    faulty(0).rejectsUploads = true;
    faulty(1).overloaded = true;
    faulty(2).silent = true;
    const events = await bench.listen(client, 'HS_DESC');
    const text = await bench.encode(master, slot, introPoints);
    await bench.expectOk(client, `+HSPOST ${servers.map((fp) => `SERVER=${fp}`).join(' ')} HSADDRESS=${address}`, text);
    await bench.subject.pass(5000);
    const outcomes = events
      .map((event) => event.lines[0] ?? '')
      .map((line) => [line.slice(0, 18), /REASON=\w+/.exec(line)?.[0]]);
    expect(outcomes.filter(([start]) => start === '650 HS_DESC UPLOAD')).toHaveLength(5);
    expect(new Set(outcomes.map(([, reason]) => reason))).toEqual(
      new Set([undefined, 'REASON=UNEXPECTED', 'REASON=UPLOAD_REJECTED']),
    );
  });
});

describe('a client', () => {
  it('silently drops a fetched descriptor whose revision is lower than the cached one', async () => {
    const { bench, client, head, network } = await stage('lower');
    const master = masterKeyFromSeed(new Uint8Array(32).fill(3));
    const address = addressOfKey(master.publicKey);
    const service = await bench.service(head, 'one', await bench.site('one'), [address]);
    const { introPoints } = await bench.serviceDescriptor(head, service);
    await bench.publish(client, master, introPoints.slice(0, 1));
    const older = network.relays.map((relay) => relay.hsdir);
    await bench.publish(client, master, introPoints);
    expect(await bench.visit(client, address, 'a')).toBe('one');
    const cached = await bench.getInfo(client, `hs/client/desc/id/${address}`);
    // The directories lose it and get the older one back, as after a restart of all of them.
    for (const hsdir of older) hsdir.forget();
    const view = await bench.consensus(client);
    const slot = view.slots[view.slots.clientUses];
    const servers = bench.responsible(view, slot, master);
    const text = await bench.encode(master, slot, introPoints.slice(0, 1), 1n);
    await bench.expectOk(client, `+HSPOST ${servers.map((fp) => `SERVER=${fp}`).join(' ')} HSADDRESS=${address}`, text);
    await bench.subject.pass(2000);
    const events = await bench.listen(client, 'HS_DESC');
    await bench.expectOk(client, `HSFETCH ${address} SERVER=${servers[0]}`);
    await bench.subject.pass(2000);
    expect(events.map((event) => event.lines[0] ?? '').join('\n')).toContain(' RECEIVED ');
    expect(await bench.getInfo(client, `hs/client/desc/id/${address}`)).toBe(cached);
  });

  it('asks each responsible directory once, then fails, and may ask again at the next try', async () => {
    const { bench, client } = await stage('not found');
    const address = addressOfKey(masterKeyFromSeed(new Uint8Array(32).fill(4)).publicKey);
    const events = await bench.listen(client, 'HS_DESC');
    expect(await bench.visit(client, address, 'a')).toBe(4);
    const asked = events.map((event) => event.lines[0] ?? '').filter((line) => line.includes(' REQUESTED '));
    expect(new Set(asked.map((line) => line.split(' ')[5])).size).toBe(6);
    expect(asked).toHaveLength(6);
    expect(await bench.visit(client, address, 'b')).toBe(4);
    expect(events.filter((event) => event.lines[0]?.includes(' REQUESTED '))).toHaveLength(12);
  });

  it('reads a restricted descriptor only with its key', async () => {
    const { bench, client, store } = await stage('authorization');
    const publisher = await bench.addTor('publisher');
    const secret = createPrivateKey({
      key: Buffer.concat([Buffer.from('302e020100300506032b656e04220420', 'hex'), Buffer.alloc(32, 5)]),
      format: 'der',
      type: 'pkcs8',
    });
    const publicKey = createPublicKey(secret).export({ format: 'der', type: 'spki' }).subarray(-32);
    const directory = `${publisher.dataDirectory}/secret/authorized_clients`;
    await store.makeDirectory(directory);
    await store.write(`${directory}/alice.auth`, `descriptor:x25519:${encodeBase32(publicKey).toUpperCase()}`);
    const events = await bench.listen(publisher, 'HS_DESC');
    const address = await bench.service(publisher, 'secret', await bench.site('secret'));
    await bench.until(
      async () => events.filter((event) => / UPLOADED /.test(event.lines[0] ?? '')).length >= 16 || undefined,
    );
    expect(await bench.visit(client, address, 'a')).toBe(1);
    const key = Buffer.alloc(32, 5).toString('base64');
    expect((await bench.send(client, `ONION_CLIENT_AUTH_ADD ${address} x25519:${key}`)).lines).toEqual(['250 OK']);
    expect(await bench.visit(client, address, 'b')).toBe('secret');
    expect((await bench.send(client, 'ONION_CLIENT_AUTH_VIEW')).lines).toEqual([
      '250-ONION_CLIENT_AUTH_VIEW',
      `250-CLIENT ${address} x25519:${key}`,
      '250 OK',
    ]);
  });

  it('uses a rendezvous again for streams of the same isolation, and a new one for others', async () => {
    const { bench, client } = await stage('isolation');
    const publisher = await bench.addTor('publisher');
    const events = await bench.listen(publisher, 'HS_DESC');
    const address = await bench.service(publisher, 'one', await bench.site('one'));
    await bench.until(
      async () => events.filter((event) => / UPLOADED /.test(event.lines[0] ?? '')).length >= 16 || undefined,
    );
    const rendezvous = async (): Promise<number> =>
      (await bench.circuits(publisher, 'HS_SERVICE_REND', 'HSSR_JOINED')).length;
    for (const isolation of ['same', 'same', 'same']) await bench.visit(client, address, isolation);
    expect(await rendezvous()).toBe(1);
    await bench.visit(client, address, 'other');
    expect(await rendezvous()).toBe(2);
  });
});

describe('a service', () => {
  it('changes its introduction points at the 4th loss of all, and has none after the 5th until its retries are over', async () => {
    const { bench, head } = await stage('rounds');
    const service = await bench.service(head, 'one', await bench.site('one'));
    const first = keysOf(await bench.serviceDescriptor(head, service));
    const round = async (waitMs: number): Promise<number> => {
      for (const id of await bench.circuits(head, 'HS_SERVICE_INTRO', 'HSSI_ESTABLISHED')) {
        await bench.expectOk(head, `CLOSECIRCUIT ${id}`);
      }
      await bench.subject.pass(waitMs);
      return (await bench.circuits(head, 'HS_SERVICE_INTRO', 'HSSI_ESTABLISHED')).length;
    };
    for (let count = 1; count <= 3; count++) {
      expect(await round(4000)).toBe(6);
      expect(keysOf(await bench.serviceDescriptor(head, service))).toEqual(first);
    }
    expect(await round(4000)).toBe(6);
    expect(keysOf(await bench.serviceDescriptor(head, service))).not.toEqual(first);
    expect(await round(80_000)).toBe(0);
    await bench.subject.pass(240_000);
    expect(await bench.circuits(head, 'HS_SERVICE_INTRO', 'HSSI_ESTABLISHED')).toHaveLength(6);
  });

  it('moves desc_next’s points into desc_current at a new shared random value, and closes the old circuits', async () => {
    const { bench, head, client } = await stage('rotation');
    const service = await bench.service(head, 'one', await bench.site('one'));
    const before = await bench.serviceDescriptor(head, service);
    const runs = async (): Promise<number> => (await bench.consensus(head)).slots.second.revisionStart;
    const start = await runs();
    await bench.until(async () => ((await runs()) !== start ? true : undefined), 600_000);
    await bench.subject.pass(5000);
    const after = await bench.serviceDescriptor(head, service);
    expect(after.period.number).toBe(before.period.number + 1);
    expect(keysOf(after).some((key) => keysOf(before).includes(key))).toBe(false);
    expect(await bench.circuits(head, 'HS_SERVICE_INTRO', 'HSSI_ESTABLISHED')).toHaveLength(6);
    expect((await bench.getInfo(client, 'sr/current')).length).toBe(44);
  });

  it('keeps stale subcredentials when it becomes an instance at run time, until the next descriptor is built', async () => {
    const { bench, head, client, store } = await stage('stale');
    const master = masterKeyFromSeed(new Uint8Array(32).fill(6));
    const address = addressOfKey(master.publicKey);
    const target = await bench.site('one');
    const service = await bench.service(head, 'one', target);
    const { introPoints } = await bench.serviceDescriptor(head, service);
    await store.write(`${head.dataDirectory}/one/ob_config`, `MasterOnionAddress ${address}.onion\n`);
    await bench.expectOk(
      head,
      `SETCONF HiddenServiceDir="${head.dataDirectory}/one" HiddenServicePort="80 ${target}" HiddenServiceOnionBalanceInstance=1`,
    );
    await bench.publish(client, master, introPoints);
    expect(await bench.visit(client, address, 'a', 200_000)).toBe(6);
    const runs = async (): Promise<number> => (await bench.consensus(head)).slots.second.revisionStart;
    const start = await runs();
    await bench.until(async () => ((await runs()) !== start ? true : undefined), 600_000);
    await bench.subject.pass(40_000);
    await bench.publish(client, master, (await bench.serviceDescriptor(head, service)).introPoints);
    await bench.expectOk(client, 'SIGNAL NEWNYM');
    expect(await bench.visit(client, address, 'b')).toBe('one');
  });

  it('opens an introduction through any of several masters, its own address among them', async () => {
    const { bench, head, client } = await stage('masters');
    const masters = [11, 12].map((byte) => masterKeyFromSeed(new Uint8Array(32).fill(byte)));
    const addresses = masters.map((master): OnionAddress => addressOfKey(master.publicKey));
    const service = await bench.service(head, 'one', await bench.site('one'), addresses);
    const { introPoints } = await bench.serviceDescriptor(head, service);
    for (const [index, master] of masters.entries()) {
      await bench.publish(client, master, introPoints);
      expect(await bench.visit(client, addresses[index] as OnionAddress, `m${index}`)).toBe('one');
    }
    const own = await bench.serviceKey(head, 'one');
    await bench.publish(client, own, introPoints);
    expect(await bench.visit(client, service, 'own')).toBe('one');
  });

  it('is lost with SIGHUP when only SETCONF knows it', async () => {
    const { bench, head } = await stage('hup');
    const service = await bench.service(head, 'one', await bench.site('one'));
    await bench.serviceDescriptor(head, service);
    await bench.expectOk(head, 'SIGNAL HUP');
    await bench.subject.pass(2000);
    expect((await bench.send(head, `GETINFO hs/service/desc/id/${service}`)).lines).toEqual(['551 Not found in cache']);
    expect((await bench.send(head, 'GETCONF HiddenServiceDir')).lines).toEqual(['250 HiddenServiceDir']);
    expect(await bench.circuits(head, 'HS_SERVICE_INTRO', 'HSSI_ESTABLISHED')).toEqual([]);
  });

  it('of ADD_ONION lives as long as its connection, unless detached', async () => {
    const { bench, client, network } = await stage('ephemeral');
    const publisher = await bench.addTor('publisher');
    const target = await bench.site('ephemeral');
    const attached = await bench.send(publisher, `ADD_ONION NEW:BEST Flags=DiscardPK Port=80,${target}`);
    const detached = await bench.send(publisher, `ADD_ONION NEW:ED25519-V3 Flags=Detach Port=80,${target}`);
    const idOf = (lines: readonly string[]): string => lines[0]?.replace('250-ServiceID=', '') ?? '';
    expect(attached.lines).toHaveLength(2);
    expect(detached.lines[1]).toMatch(/^250-PrivateKey=ED25519-V3:[A-Za-z0-9+/]{86}==$/);
    expect(await bench.getInfo(publisher, 'onions/current')).toBe(idOf(attached.lines));
    expect(await bench.getInfo(publisher, 'onions/detached')).toBe(idOf(detached.lines));
    (await bench.control(publisher)).close();
    await bench.subject.pass(10_000);
    expect((await bench.send(publisher, `GETINFO hs/service/desc/id/${idOf(attached.lines)}`)).code).toBe(551);
    const text = `${(await bench.getInfo(publisher, `hs/service/desc/id/${idOf(detached.lines)}`)).trimEnd()}\n`;
    const { slots } = await bench.consensus(publisher);
    const opened = openDescriptor(text, {
      address: idOf(detached.lines) as OnionAddress,
      periods: [slots.first.period],
      now: bench.now(),
    });
    expect(opened.introPoints).toHaveLength(3);
    expect(await bench.visit(client, idOf(detached.lines) as OnionAddress, 'a')).toBe('ephemeral');
    await bench.expectOk(publisher, `DEL_ONION ${idOf(detached.lines)}`);
    expect(network.tors).toHaveLength(3);
  });
});

describe('the network', () => {
  it('has no shared random value at first, then one, then two, a run apart', async () => {
    const { bench, client, clock } = await stage('values');
    const values = async (): Promise<string[]> => [
      await bench.getInfo(client, 'sr/current'),
      await bench.getInfo(client, 'sr/previous'),
    ];
    expect(await values()).toEqual(['', '']);
    await clock.advance(480_000);
    const [first = '', none] = await values();
    expect([first.length, none]).toEqual([44, '']);
    await clock.advance(480_000);
    const [second, previous] = await values();
    expect(previous).toBe(first);
    expect(second).not.toBe(first);
  });

  it('lets tors disagree about the consensus for a while, never for long', async () => {
    const { bench, client, head, clock } = await stage('lag');
    const other = await bench.addTor('other');
    const newest = (): number => Math.floor(clock.now() / 20_000) * 20;
    const lags = new Set<number>();
    for (let step = 0; step < 60; step++) {
      await clock.advance(3000);
      for (const tor of [client, head, other]) {
        const { times } = await bench.consensus(tor);
        lags.add((newest() - times.validAfter) / 20);
      }
    }
    expect(Math.max(...lags)).toBeLessThanOrEqual(2);
    expect(lags.size).toBeGreaterThan(1);
  });

  it('loses what went through a relay that stops: circuits, descriptors, and its place in the next consensus', async () => {
    const { bench, head, network } = await stage('relay');
    const service = await bench.service(head, 'one', await bench.site('one'));
    const before = keysOf(await bench.serviceDescriptor(head, service));
    const { introPoints } = await bench.serviceDescriptor(head, service);
    const victim = Buffer.from(introPoints[0]?.linkSpecifiers.find(({ type }) => type === 2)?.data ?? []);
    network.stopRelay(victim.toString('hex').toUpperCase());
    await bench.subject.pass(120_000);
    expect((await bench.consensus(head)).hsdirs).toHaveLength(19);
    const after = keysOf(await bench.serviceDescriptor(head, service));
    expect(after.filter((key) => before.includes(key))).toHaveLength(2);
    expect(after).toHaveLength(3);
  });

  it('answers for a dead service for a while, when told to, and leaves its clients waiting', async () => {
    const { bench, client, network } = await stage('lingering');
    const publisher = await bench.addTor('publisher');
    const events = await bench.listen(publisher, 'HS_DESC');
    const address = await bench.service(publisher, 'one', await bench.site('one'));
    await bench.until(
      async () => events.filter((event) => / UPLOADED /.test(event.lines[0] ?? '')).length >= 16 || undefined,
    );
    expect(await bench.visit(client, address, 'a')).toBe('one');
    network.faults.lingeringIntroductions = 1;
    network.faults.lingeringMs = 3600_000;
    await bench.within(publisher.kill());
    expect(await bench.visit(client, address, 'b', 200_000)).toBe(6);
  });

  it('replays a run from its seed, to the byte', async () => {
    const run = async (seed: string): Promise<string> => {
      const { bench, client } = await stage(seed);
      const publisher = await bench.addTor('publisher');
      const names = ['CIRC', 'CIRC_MINOR', 'HS_DESC', 'HS_DESC_CONTENT', 'NEWCONSENSUS'];
      const events = [await bench.listen(publisher, ...names), await bench.listen(client, ...names)];
      const address = await bench.service(publisher, 'one', await bench.site('one'));
      await bench.subject.pass(60_000);
      await bench.visit(client, address, 'a');
      await bench.subject.pass(600_000);
      return events
        .flat()
        .flatMap((event) => event.lines)
        .join('\n');
    };
    const first = await run('replay');
    expect(first.length).toBeGreaterThan(10_000);
    expect(await run('replay')).toBe(first);
    expect(await run('another')).not.toBe(first);
  });
});

it('a network that comes back to a life that is over is none of the next one; another setting does not bring it back', async () => {
  const { bench, client, clock } = await stage('offline');
  const { run } = client;
  await clock.runFor(run?.setOnline(false) ?? Promise.resolve(), 1_000);
  await bench.expectOk(client, 'SETCONF SocksTimeout=20');
  expect(run?.online).toBe(false);
  await clock.runFor(client.restart(), 1_000);
  await clock.runFor(run?.setOnline(true) ?? Promise.resolve(), 1_000);
  expect([run?.online, client.run?.online]).toEqual([false, true]);
  expect(client.run?.listeners.socks).toHaveLength(1);
});
