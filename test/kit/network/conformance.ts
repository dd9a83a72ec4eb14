/**
 * What every Tor network of the kit must do, checked over control and SOCKS ports only: the embedded one and the one made of
 * real tors run the same suite, and where they differ the embedded one is wrong. Enter through `describeTorNetwork`.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  addressOfKey,
  introPointId,
  masterKeyFromSeed,
  parseOnionAddress,
  readOuter,
  type Descriptor,
  type OnionAddress,
} from '../../../core/onion/index.ts';
import { formatEndpoint } from '../../../core/runtime/index.ts';
import {
  Bench,
  features,
  hspost,
  socksTimeoutSeconds,
  tryOpen,
  unixTime,
  type ConformanceSubject,
} from './conformance-bench.ts';
import type { TorInstance } from './network.ts';
import { RawControl, type RawReply } from './raw-control.ts';

export type { ConformanceSubject } from './conformance-bench.ts';

export interface ConformanceOptions {
  /** Also what needs both halves of the network's day. Default true. */
  readonly wholeDay?: boolean;
  /** Without the checks that mostly wait. Default false. */
  readonly quick?: boolean;
  /** Upper limit of one check, milliseconds of real time. Default 30 s. */
  readonly limitMs?: number;
}

function linesAbout(events: readonly RawReply[], address: OnionAddress): string[] {
  return events.map((event) => event.lines[0] ?? '').filter((line) => line.includes(address));
}

/** Runs the suite against the network that `make` starts. */
export function describeTorNetwork(
  name: string,
  make: () => Promise<ConformanceSubject>,
  options: ConformanceOptions = {},
): void {
  const { quick = false, wholeDay = !quick, limitMs = 30_000 } = options;

  describe(`Tor network: ${name}`, { timeout: limitMs }, () => {
    let bench: Bench;
    let made: Bench | undefined;
    let client: TorInstance;
    let head: TorInstance;
    let other: TorInstance;
    const hidden = { PublishHidServDescriptors: '0' };

    beforeAll(async () => {
      made = new Bench(await make());
      bench = made;
      const config = { SocksTimeout: String(socksTimeoutSeconds) };
      const adding = [
        bench.subject.network.addTor({ name: 'client', socks: true, config }),
        bench.subject.network.addTor({ name: 'head' }),
        bench.subject.network.addTor({ name: 'other' }),
      ];
      [client, head, other] = (await bench.within(Promise.all(adding))) as [TorInstance, TorInstance, TorInstance];
      await bench.within(bench.subject.network.ready(), 240_000);
    }, 300_000);

    afterAll(async () => {
      await made?.close();
    }, 60_000);

    describe('the control port', () => {
      it('authenticates by safe cookie and by cookie, refuses anything else, and anything before', async () => {
        const { net, store } = bench.subject.runtime;
        const open = (): Promise<RawControl> => bench.within(RawControl.open(net, client));
        const early = await open();
        expect((await bench.within(early.send('GETINFO version'))).lines).toEqual(['514 Authentication required.']);
        const wrong = await open();
        expect((await bench.within(wrong.send(`AUTHENTICATE ${'00'.repeat(32)}`))).lines).toEqual([
          '515 Authentication failed: Authentication cookie did not match expected value.',
        ]);
        const safe = await open();
        const info = await bench.within(safe.send('PROTOCOLINFO 1'));
        expect(info.lines[0]).toBe('250-PROTOCOLINFO 1');
        expect(info.lines[1]).toMatch(/^250-AUTH METHODS=COOKIE,SAFECOOKIE COOKIEFILE="\/.*"$/);
        expect(info.lines[2]).toMatch(/^250-VERSION Tor="0\.4\.\d+\.\d+/);
        expect((await bench.within(safe.authenticate(store, client))).lines).toEqual(['250 OK']);
        const plain = await open();
        const cookie = await store.read(client.cookiePath as string);
        const hex = Buffer.from(cookie as Uint8Array).toString('hex');
        expect((await bench.within(plain.send(`AUTHENTICATE ${hex}`))).lines).toEqual(['250 OK']);
        for (const control of [early, wrong, safe, plain]) control.close();
      });

      it.each([
        ['GETINFO nonsense', '552 Unrecognized key "nonsense"'],
        ['GETINFO hs/service/desc/id/abc', '551 Invalid address'],
        [
          'GETINFO hs/service/desc/id/25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkenl5sid',
          '551 Not found in cache',
        ],
        [
          'GETINFO hs/client/desc/id/25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkenl5sid',
          '551 Not found in cache',
        ],
        ['GETINFO', '250 OK'],
        ['GETCONF nonsense', '552 Unrecognized configuration key "nonsense"'],
        ['GETCONF TestingTorNetwork', '250 TestingTorNetwork=1'],
        ['GETCONF SocksTimeout', `250 SocksTimeout=${socksTimeoutSeconds}`],
        ['GETCONF HiddenServiceDir', '250 HiddenServiceDir'],
        ['GETCONF HiddenServiceOptions', '250 HiddenServiceOptions'],
        ['SETCONF nonsense=1', "552 Unrecognized option: Unknown option 'nonsense'.  Failing."],
        [
          'SETCONF SocksTimeout=abc',
          '513 Unacceptable option value: Could not parse SocksTimeout: Provided value is malformed or out of bounds: Unable to parse abc as a number',
        ],
        [
          'SETCONF HiddenServicePort=80',
          '513 Unacceptable option value: Failed to configure rendezvous options. See logs for details.',
        ],
        ['SETEVENTS CIRC NONSENSE', '552 Unrecognized event "NONSENSE"'],
        ['SIGNAL NONSENSE', '552 Unrecognized signal code "NONSENSE"'],
        ['CLOSECIRCUIT 99999', '552 Unknown circuit "99999"'],
        ['HSFETCH', '512 Bad arguments to HSFETCH: Need at least 1 argument(s)'],
        ['HSFETCH abc', '513 Invalid argument "abc"'],
        [
          'HSFETCH 25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkenl5sid NONSENSE=1',
          '512 Bad arguments to HSFETCH: Unrecognized keyword argument "NONSENSE"',
        ],
        [
          `HSFETCH 25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkenl5sid SERVER=${'0'.repeat(40)}`,
          `552 Server "${'0'.repeat(40)}" not found`,
        ],
        ['ADD_ONION NEW:BEST', "512 Missing 'Port' argument"],
        ['ADD_ONION NEW:NONSENSE Port=80', '513 Invalid key type'],
        ['DEL_ONION abc', '512 Malformed Onion Service id'],
        ['DEL_ONION 25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkenl5sid', '552 Unknown Onion Service id'],
        ['NONSENSE x', '510 Unrecognized command "NONSENSE"'],
      ])('answers %s with %s', async (command, answer) => {
        expect((await bench.send(client, command)).lines).toEqual([answer]);
      });

      it('gives the consensus: times a voting interval apart, relays that are HSDirs with Ed25519 identities', async () => {
        const { network } = bench.subject;
        const { times, hsdirs } = await bench.consensus(client);
        expect(times.freshUntil - times.validAfter).toBe(network.votingSeconds);
        expect(hsdirs).toHaveLength(network.hsdirCount);
        expect(await bench.getInfo(client, 'status/bootstrap-phase')).toBe(
          'NOTICE BOOTSTRAP PROGRESS=100 TAG=done SUMMARY="Done"',
        );
        expect(await bench.getInfo(client, 'status/circuit-established')).toBe('1');
        const text = await bench.getInfo(client, 'dir/status-vote/current/consensus-microdesc');
        expect(text).toMatch(/^network-status-version 3 microdesc\nvote-status consensus\n/);
      });

      it.skipIf(quick)('tells of a new consensus', async () => {
        const before = await bench.getInfo(client, 'consensus/valid-after');
        const events = await bench.listen(client, 'NEWCONSENSUS', 'STATUS_CLIENT');
        const limitMs = bench.subject.network.votingSeconds * 4000;
        await bench.until(async () => {
          const arrived = events.some((event) => event.lines[0] === '650+NEWCONSENSUS');
          return arrived || undefined;
        }, limitMs);
        expect(events.map((event) => event.lines[0])).toContain('650 STATUS_CLIENT NOTICE CONSENSUS_ARRIVED');
        const consensus = events.find((event) => event.lines[0] === '650+NEWCONSENSUS');
        expect(consensus?.lines[1]).toMatch(/^r \S+ \S{27} \S{27} /);
        expect(unixTime(await bench.getInfo(client, 'consensus/valid-after'))).toBeGreaterThan(unixTime(before));
      });
    });

    describe('a service that publishes by itself', () => {
      let address: OnionAddress;

      beforeAll(async () => {
        const events = await bench.listen(head, 'HS_DESC');
        address = await bench.service(head, 'native', await bench.site('native'));
        const { length } = bench.responsible(
          await bench.consensus(head),
          (await bench.consensus(head)).slots.first,
          await bench.serviceKey(head, 'native'),
        );
        await bench.until(async () => {
          const uploaded = events.filter((event) => event.lines[0]?.startsWith('650 HS_DESC UPLOADED')).length;
          return uploaded >= 2 * length || undefined;
        });
        const lines = events.map((event) => event.lines[0] ?? '');
        expect(lines.filter((line) => line.includes(' CREATED '))).toHaveLength(2);
        expect(lines[0]).toMatch(new RegExp(`^650 HS_DESC CREATED ${address} UNKNOWN UNKNOWN [A-Za-z0-9+/]{43}$`));
        expect(lines.find((line) => line.includes(' UPLOAD '))).toMatch(
          new RegExp(
            `^650 HS_DESC UPLOAD ${address} UNKNOWN \\$[0-9A-F]{40}~\\w+ [A-Za-z0-9+/]{43} HSDIR_INDEX=[0-9A-F]{64}$`,
          ),
        );
        expect(lines.find((line) => line.includes(' UPLOADED '))).toMatch(
          new RegExp(`^650 HS_DESC UPLOADED ${address} UNKNOWN \\$[0-9A-F]{40}~\\w+$`),
        );
      }, limitMs * 2);

      it('gives desc_current with three introduction points at relays of the consensus', async () => {
        const descriptor = await bench.serviceDescriptor(head, address);
        const { slots } = await bench.consensus(head);
        expect(descriptor.introPoints).toHaveLength(3);
        expect(descriptor.period).toEqual(slots.first.period);
        expect(descriptor.features).toEqual(features);
      });

      it('shows its circuits, and tells of them as tor does', async () => {
        expect(await bench.circuits(head, 'HS_SERVICE_INTRO', 'HSSI_ESTABLISHED')).toHaveLength(6);
        const events = await bench.listen(head, 'CIRC', 'CIRC_MINOR');
        expect(await bench.visit(client, address, 'circuits')).toBe('native');
        const lines = events.map((event) => event.lines[0] ?? '');
        const launched = lines.find((line) => line.includes('LAUNCHED') && line.includes('HS_SERVICE_REND'));
        expect(launched).toMatch(
          /^650 CIRC \d+ LAUNCHED BUILD_FLAGS=\S+ PURPOSE=HS_SERVICE_REND HS_STATE=HSSR_CONNECTING TIME_CREATED=\S+$/,
        );
        const id = launched?.split(' ')[2] ?? '';
        expect(lines.find((line) => line.startsWith(`650 CIRC ${id} BUILT `))).toMatch(
          new RegExp(` PURPOSE=HS_SERVICE_REND HS_STATE=HSSR_CONNECTING REND_QUERY=${address} TIME_CREATED=`),
        );
        const joined = lines.find((line) => line.startsWith(`650 CIRC_MINOR ${id} PURPOSE_CHANGED `));
        expect(joined).toMatch(
          / HS_STATE=HSSR_JOINED REND_QUERY=\S+ TIME_CREATED=\S+ OLD_PURPOSE=HS_SERVICE_REND OLD_HS_STATE=HSSR_CONNECTING$/,
        );
      });

      it('is fetched by HSFETCH: the slot that clients use, from a named HSDir and from one of tor’s choice', async () => {
        const view = await bench.consensus(client);
        const slot = view.slots[view.slots.clientUses];
        const [server] = bench.responsible(view, slot, await bench.serviceKey(head, 'native'));
        for (const suffix of [` SERVER=${server}`, '']) {
          const events = await bench.listen(client, 'HS_DESC', 'HS_DESC_CONTENT');
          await bench.expectOk(client, `HSFETCH ${address}${suffix}`);
          const content = await bench.until(async () =>
            events.find((event) => event.lines[0]?.startsWith(`650+HS_DESC_CONTENT ${address} `)),
          );
          const text = `${content.lines.slice(1, -1).join('\n')}\n`;
          expect(tryOpen(text, address, [slot.period], bench.now())?.introPoints).toHaveLength(3);
          const lines = events.map((event) => event.lines[0] ?? '');
          expect(lines.find((line) => line.includes(' REQUESTED '))).toMatch(
            new RegExp(
              `^650 HS_DESC REQUESTED ${address} NO_AUTH \\$[0-9A-F]{40}~\\w+ [A-Za-z0-9+/]{43} HSDIR_INDEX=[0-9A-F]{64}$`,
            ),
          );
          expect(lines.find((line) => line.includes(' RECEIVED '))).toMatch(
            new RegExp(`^650 HS_DESC RECEIVED ${address} NO_AUTH \\$[0-9A-F]{40}~\\w+ [A-Za-z0-9+/]{43}$`),
          );
        }
        expect((await bench.send(client, `GETINFO hs/client/desc/id/${address}`)).code).toBe(250);
      });

      it('says NOT_FOUND, with an empty content, where a descriptor is not', async () => {
        const stranger = addressOfKey(masterKeyFromSeed(bench.subject.runtime.random.bytes(32)).publicKey);
        const events = await bench.listen(client, 'HS_DESC', 'HS_DESC_CONTENT');
        const { hsdirs } = await bench.consensus(client);
        await bench.expectOk(client, `HSFETCH ${stranger} SERVER=${hsdirs[0]?.fingerprint}`);
        const content = await bench.until(async () =>
          events.find((event) => event.lines[0]?.startsWith(`650+HS_DESC_CONTENT ${stranger} `)),
        );
        expect(content.lines.slice(1, -1).join('')).toBe('');
        expect(events.map((event) => event.lines[0] ?? '').find((line) => line.includes(' FAILED '))).toMatch(
          new RegExp(
            `^650 HS_DESC FAILED ${stranger} NO_AUTH \\$[0-9A-F]{40}~\\w+ [A-Za-z0-9+/]{43} REASON=NOT_FOUND$`,
          ),
        );
      });

      it('lets a client use its cache until NEWNYM', async () => {
        expect(await bench.visit(client, address, 'cache-1')).toBe('native');
        const events = await bench.listen(client, 'HS_DESC');
        const aboutIt = (): string[] => linesAbout(events, address);
        expect(await bench.visit(client, address, 'cache-2')).toBe('native');
        expect(aboutIt()).toEqual([]);
        await bench.expectOk(client, 'SIGNAL NEWNYM');
        await bench.subject.pass(1000);
        expect((await bench.send(client, `GETINFO hs/client/desc/id/${address}`)).lines).toEqual([
          '551 Not found in cache',
        ]);
        expect(await bench.visit(client, address, 'cache-3')).toBe('native');
        expect(aboutIt().join('\n')).toContain(` REQUESTED ${address} `);
      });

      it('loses one client when its rendezvous circuit is closed, and no other', async () => {
        const first = await bench.open(client, address, 'cut-1');
        const before = await bench.circuits(head, 'HS_SERVICE_REND', 'HSSR_JOINED');
        const second = await bench.open(client, address, 'cut-2');
        expect([first.code, second.code]).toEqual([0, 0]);
        const after = await bench.circuits(head, 'HS_SERVICE_REND', 'HSSR_JOINED');
        const fresh = after.filter((id) => !before.includes(id));
        expect(fresh).toHaveLength(1);
        let firstClosed = false;
        const secondClosed = new Promise((resolve) => {
          second.stream.once('close', resolve);
        });
        first.stream.once('close', () => (firstClosed = true));
        first.stream.resume();
        second.stream.resume();
        await bench.expectOk(head, `CLOSECIRCUIT ${fresh[0]}`);
        await bench.within(secondClosed, 5000);
        await bench.subject.pass(500);
        expect(firstClosed).toBe(false);
        first.stream.destroy();
      });

      it('builds its introduction circuits again with the same keys', async () => {
        const keys = (descriptor: Descriptor): string[] => descriptor.introPoints.map(introPointId).sort();
        const before = keys(await bench.serviceDescriptor(head, address));
        const closed = await bench.circuits(head, 'HS_SERVICE_INTRO', 'HSSI_ESTABLISHED');
        for (const id of closed) await bench.expectOk(head, `CLOSECIRCUIT ${id}`);
        await bench.until(async () => {
          const open = await bench.circuits(head, 'HS_SERVICE_INTRO', 'HSSI_ESTABLISHED');
          return (open.length === closed.length && open.every((id) => !closed.includes(id))) || undefined;
        });
        expect(keys(await bench.serviceDescriptor(head, address))).toEqual(before);
        expect(await bench.visit(client, address, 'rebuilt')).toBe('native');
      });

      it('is found again by a client whose introduction points are all dead', async () => {
        expect(await bench.visit(client, address, 'dead-1')).toBe('native');
        await bench.expectOk(head, 'SETCONF HiddenServiceDir');
        const events = await bench.listen(head, 'HS_DESC');
        expect(await bench.service(head, 'native', await bench.site('again'))).toBe(address);
        await bench.until(
          async () => events.filter((event) => / UPLOADED /.test(event.lines[0] ?? '')).length >= 8 || undefined,
        );
        await bench.subject.pass(3000);
        // Relays may still acknowledge an introduction for the dead circuit; then the client waits out its SocksTimeout.
        const said = await bench.visit(client, address, 'dead-2');
        expect(['again', 6]).toContain(said);
      });

      it.skipIf(quick)('exports the circuit’s id to its target, when asked to', async () => {
        const lines: string[] = [];
        const listener = await bench.net.listen({ host: '127.0.0.1', port: 0 }, (stream) => {
          stream.on('error', () => undefined);
          stream.once('data', (chunk) => {
            lines.push(String(chunk).split('\r\n')[0] ?? '');
            stream.write('seen\n');
          });
        });
        await bench.expectOk(
          head,
          `SETCONF HiddenServiceDir="${head.dataDirectory}/native" HiddenServicePort="80 ${formatEndpoint(listener.endpoint)}" HiddenServiceExportCircuitID=haproxy`,
        );
        await bench.expectOk(client, 'SIGNAL NEWNYM');
        await bench.subject.pass(11_000);
        const { stream, code } = await bench.open(client, address, 'exported');
        expect(code).toBe(0);
        stream.write('x');
        await bench.until(async () => lines[0]);
        const joined = await bench.circuits(head, 'HS_SERVICE_REND', 'HSSR_JOINED');
        const hex = /^PROXY TCP6 fc00:dead:beef:4dad::([0-9a-f]+):([0-9a-f]+) ::1 (\d+) 80$/.exec(lines[0] ?? '');
        const id = parseInt(hex?.[1] ?? '', 16) * 65_536 + parseInt(hex?.[2] ?? '', 16);
        expect(joined).toContain(String(id));
        stream.destroy();
        await listener.close();
        await bench.expectOk(head, 'SETCONF HiddenServiceDir');
      });
    });

    describe('HSPOST', () => {
      it('wants named servers one by one, an address, and a descriptor', async () => {
        const master = masterKeyFromSeed(bench.subject.runtime.random.bytes(32));
        const address = addressOfKey(master.publicKey);
        const view = await bench.consensus(other);
        const slot = view.slots[view.slots.clientUses];
        const servers = bench.responsible(view, slot, master);
        const helper = await bench.service(other, 'points', await bench.site('points'));
        const { introPoints } = await bench.serviceDescriptor(other, helper);
        const text = await bench.encode(master, slot, introPoints);
        const unknown = 'F'.repeat(40);
        expect((await bench.send(other, hspost(address, [unknown]), text)).lines).toEqual([
          `552 Server "${unknown}" not found`,
        ]);
        const list = servers.join(',');
        expect((await bench.send(other, hspost(address, [list]), text)).lines).toEqual([
          `552 Server "${list}" not found`,
        ]);
        expect((await bench.send(other, hspost('abc', servers), text)).lines).toEqual(['512 Malformed onion address']);
        expect((await bench.send(other, hspost(address, servers), 'nonsense\n')).lines).toEqual([
          '554 Invalid descriptor',
        ]);
        expect((await bench.send(other, `+HSPOST NONSENSE=1 HSADDRESS=${address}`, text)).code).toBe(512);

        // Without an address tor says nothing: the next reply belongs to the next command.
        const control = await bench.control(other);
        control.sendOnly(`+HSPOST SERVER=${servers[0]}`, text);
        expect((await bench.within(control.send('GETINFO version'))).lines[0]).toMatch(/^250-version=/);

        const events = await bench.listen(other, 'HS_DESC');
        await bench.expectOk(other, hspost(address, servers), text);
        await bench.until(async () => linesAbout(events, address).length >= servers.length || undefined);
        expect(new Set(linesAbout(events, address).map((line) => line.replace(/~\w+$/, '')))).toEqual(
          new Set(servers.map((server) => `650 HS_DESC UPLOADED ${address} UNKNOWN $${server}`)),
        );

        // The same revision again is refused.
        events.length = 0;
        await bench.expectOk(other, hspost(address, servers.slice(0, 1)), text);
        const refused = await bench.until(async () => linesAbout(events, address)[0]);
        const blinded = Buffer.from(readOuter(text).blindedKey).toString('base64').replace('=', '');
        expect(refused.replace(/~\w+ /, ' ')).toBe(
          `650 HS_DESC FAILED ${address} NO_AUTH $${servers[0]} ${blinded} REASON=UPLOAD_REJECTED`,
        );
        await bench.expectOk(other, 'SETCONF HiddenServiceDir');
      });
    });

    describe('OnionBalance instances and plain services behind a merged descriptor', () => {
      let backend: TorInstance;

      beforeAll(async () => {
        backend = await bench.addTor('backend', { config: hidden });
      }, limitMs * 2);

      it('refuses an instance without ob_config, and keeps what there was', async () => {
        const { lines } = await bench.send(
          backend,
          `SETCONF HiddenServiceDir="${backend.dataDirectory}/nothing" HiddenServicePort=80 HiddenServiceOnionBalanceInstance=1`,
        );
        expect(lines).toEqual([
          '513 Unacceptable option value: Failed to configure rendezvous options. See logs for details.',
        ]);
        expect((await bench.send(backend, 'GETCONF HiddenServiceDir')).lines).toEqual(['250 HiddenServiceDir']);
      });

      it(
        'opens an instance through a master’s descriptor, and republishing does not make a client fetch',
        async () => {
          const master = masterKeyFromSeed(bench.subject.runtime.random.bytes(32));
          const address = addressOfKey(master.publicKey);
          const instance = await bench.service(backend, 'instance', await bench.site('instance'), [address]);
          const { introPoints } = await bench.serviceDescriptor(backend, instance);
          await bench.publish(client, master, introPoints);
          expect(await bench.visit(client, address, 'merged-1')).toBe('instance');
          await bench.publish(client, master, introPoints.slice(0, 2));
          const events = await bench.listen(client, 'HS_DESC');
          expect(await bench.visit(client, address, 'merged-2')).toBe('instance');
          expect(events).toEqual([]);
          if (!wholeDay) return;

          const { clientUses } = (await bench.consensus(client)).slots;
          const dayMs = bench.subject.network.votingSeconds * 24_000;
          await bench.until(
            async () => ((await bench.consensus(client)).slots.clientUses !== clientUses ? true : undefined),
            dayMs,
          );
          const later = await bench.serviceDescriptor(backend, instance);
          await bench.publish(client, master, later.introPoints);
          expect(await bench.visit(client, address, 'merged-3')).toBe('instance');
        },
        limitMs + (wholeDay ? 300_000 : 0),
      );

      it.skipIf(quick)(
        'is silent for an introduction that a plain service cannot read: the client waits until SocksTimeout',
        async () => {
          const master = masterKeyFromSeed(bench.subject.runtime.random.bytes(32));
          const plain = await bench.service(backend, 'plain', await bench.site('plain'));
          const { introPoints } = await bench.serviceDescriptor(backend, plain);
          await bench.publish(client, master, introPoints);
          const started = bench.subject.runtime.clock.monotonic();
          expect(await bench.visit(client, addressOfKey(master.publicKey), 'unreadable')).toBe(6);
          expect(bench.subject.runtime.clock.monotonic() - started).toBeGreaterThan((socksTimeoutSeconds - 2) * 1000);
        },
      );

      it(
        'reads, as a plain service, only what is for the descriptor that owns the introduction point',
        async () => {
          const plain = await bench.service(backend, 'halves', await bench.site('halves'));
          const master = await bench.serviceKey(backend, 'halves');
          const outcomes = new Map<string, string | number>();
          const tryNow = async (): Promise<void> => {
            const descriptor = await bench.serviceDescriptor(backend, plain);
            const { clientUses, first } = (await bench.consensus(client)).slots;
            if (descriptor.period.number !== first.period.number) return;
            await bench.publish(client, master, descriptor.introPoints);
            await bench.expectOk(client, 'SIGNAL NEWNYM');
            await bench.subject.pass(11_000);
            const said = await bench.visit(client, plain, `half-${clientUses}`);
            const after = (await bench.consensus(client)).slots.clientUses;
            if (after === clientUses) outcomes.set(clientUses, said);
          };
          const wanted = wholeDay ? 2 : 1;
          await bench.until(async () => {
            await tryNow();
            return outcomes.size >= wanted || undefined;
          }, bench.subject.network.votingSeconds * 30_000);
          for (const [half, said] of outcomes) expect([half, said]).toEqual([half, half === 'first' ? 'halves' : 6]);
        },
        limitMs + (wholeDay ? 400_000 : 60_000),
      );
    });

    describe('a tor that dies', () => {
      it(
        'drops its connections, and comes back on the same ports with its torrc’s services',
        async () => {
          const target = await bench.site('survivor');
          const directory = `${head.dataDirectory}-survivor`;
          const tor = await bench.addTor('survivor', {
            config: { HiddenServiceDir: directory, HiddenServicePort: `80 ${target}` },
          });
          const address = parseOnionAddress(
            Buffer.from(await bench.until(() => bench.subject.runtime.store.read(`${directory}/hostname`)))
              .toString('utf8')
              .trim(),
          );
          await bench.serviceDescriptor(tor, address);
          const control = await bench.control(tor);
          const { control: endpoint } = tor;
          await bench.within(tor.kill());
          await bench.until(async () => control.closed || undefined);
          expect(tor.running).toBe(false);
          await expect(bench.within(RawControl.open(bench.net, tor))).rejects.toMatchObject({ code: 'ECONNREFUSED' });
          await bench.within(tor.restart());
          expect(tor.control).toEqual(endpoint);
          await bench.within(tor.bootstrapped(), 120_000);
          await bench.serviceDescriptor(tor, address);
          const events = await bench.listen(tor, 'HS_DESC');
          await bench.until(async () => {
            const said = await bench.visit(client, address, 'survivor');
            return said === 'survivor' || undefined;
          });
          expect(events.every((event) => event.code === 650)).toBe(true);
        },
        limitMs * 3,
      );

      it('answers nothing while it is stopped, and everything after', async () => {
        const control = await bench.control(other);
        await bench.within(other.kill('SIGSTOP'));
        let answered = false;
        const reply = control.send('GETINFO version').then((got) => {
          answered = true;
          return got;
        });
        await bench.subject.pass(1500);
        expect(answered).toBe(false);
        await bench.within(other.kill('SIGCONT'));
        expect((await bench.within(reply)).code).toBe(250);
      });
    });
  });
}
