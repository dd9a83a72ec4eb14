/** A service that publishes by itself, its clients, its circuits and the events about them. */
import { expect } from 'vitest';
import {
  addressOfKey,
  introPointId,
  masterKeyFromSeed,
  type Descriptor,
  type OnionAddress,
} from '../../../../core/onion/index.ts';
import { formatEndpoint } from '../../../../core/runtime/index.ts';
import { features, linesAbout, tryOpen } from './bench.ts';
import type { Cast } from './cast.ts';

/** In which both ways of a fetch are seen. */
const fetchSeconds = 5;

export function checkNativeService(cast: Cast): void {
  const { limitMs } = cast;
  cast.group('a service that publishes by itself', () => {
    let address: OnionAddress;

    cast.before(async () => {
      const events = await cast.bench.listen(cast.head, 'HS_DESC');
      address = await cast.bench.service(cast.head, 'native', await cast.bench.site('native'));
      const { length } = cast.bench.responsible(
        await cast.bench.consensus(cast.head),
        (await cast.bench.consensus(cast.head)).slots.first,
        await cast.bench.serviceKey(cast.head, 'native'),
      );
      await cast.bench.until(async () => {
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

    cast.check('gives desc_current with three introduction points at relays of the consensus', async () => {
      const descriptor = await cast.bench.serviceDescriptor(cast.head, address);
      const { slots } = await cast.bench.consensus(cast.head);
      expect(descriptor.introPoints).toHaveLength(3);
      expect(descriptor.period).toEqual(slots.first.period);
      expect(descriptor.features).toEqual(features);
    });

    cast.check('shows its circuits, and tells of them as tor does', async () => {
      expect(await cast.bench.circuits(cast.head, 'HS_SERVICE_INTRO', 'HSSI_ESTABLISHED')).toHaveLength(6);
      const events = await cast.bench.listen(cast.head, 'CIRC', 'CIRC_MINOR');
      expect(await cast.bench.visit(cast.client, address, 'circuits')).toBe('native');
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

    /** From a named HSDir, and from one of tor's choice. */
    const fetches = async (): Promise<void> => {
      const view = await cast.bench.consensus(cast.client);
      const slot = view.slots[view.slots.clientUses];
      const [server] = cast.bench.responsible(view, slot, await cast.bench.serviceKey(cast.head, 'native'));
      for (const suffix of [` SERVER=${server}`, '']) {
        const events = await cast.bench.listen(cast.client, 'HS_DESC', 'HS_DESC_CONTENT');
        await cast.bench.expectOk(cast.client, `HSFETCH ${address}${suffix}`);
        const content = await cast.bench.until(async () =>
          events.find((event) => event.lines[0]?.startsWith(`650+HS_DESC_CONTENT ${address} `)),
        );
        const text = `${content.lines.slice(1, -1).join('\n')}\n`;
        const lines = events.map((event) => event.lines[0] ?? '');
        const opened = tryOpen(text, address, [slot.period], cast.bench.now());
        expect(opened?.introPoints.length, `what came: ${lines.join('\n')}`).toBe(3);
        expect(lines.find((line) => line.includes(' REQUESTED '))).toMatch(
          new RegExp(
            `^650 HS_DESC REQUESTED ${address} NO_AUTH \\$[0-9A-F]{40}~\\w+ [A-Za-z0-9+/]{43} HSDIR_INDEX=[0-9A-F]{64}$`,
          ),
        );
        expect(lines.find((line) => line.includes(' RECEIVED '))).toMatch(
          new RegExp(`^650 HS_DESC RECEIVED ${address} NO_AUTH \\$[0-9A-F]{40}~\\w+ [A-Za-z0-9+/]{43}$`),
        );
      }
    };

    cast.check(
      'is fetched by HSFETCH: the slot that clients use, from a named HSDir and from one of tor’s choice',
      async () => {
        await cast.bench.withinOneHalf(cast.client, fetchSeconds, fetches);
        expect((await cast.bench.send(cast.client, `GETINFO hs/client/desc/id/${address}`)).code).toBe(250);
      },
    );

    cast.check('says NOT_FOUND, with an empty content, where a descriptor is not', async () => {
      const stranger = addressOfKey(masterKeyFromSeed(cast.bench.subject.runtime.random.bytes(32)).publicKey);
      const events = await cast.bench.listen(cast.client, 'HS_DESC', 'HS_DESC_CONTENT');
      const { hsdirs } = await cast.bench.consensus(cast.client);
      await cast.bench.expectOk(cast.client, `HSFETCH ${stranger} SERVER=${hsdirs[0]?.fingerprint}`);
      const content = await cast.bench.until(async () =>
        events.find((event) => event.lines[0]?.startsWith(`650+HS_DESC_CONTENT ${stranger} `)),
      );
      expect(content.lines.slice(1, -1).join('')).toBe('');
      expect(events.map((event) => event.lines[0] ?? '').find((line) => line.includes(' FAILED '))).toMatch(
        new RegExp(`^650 HS_DESC FAILED ${stranger} NO_AUTH \\$[0-9A-F]{40}~\\w+ [A-Za-z0-9+/]{43} REASON=NOT_FOUND$`),
      );
    });

    cast.check('lets a client use its cache until NEWNYM', async () => {
      expect(await cast.bench.visit(cast.client, address, 'cache-1')).toBe('native');
      const events = await cast.bench.listen(cast.client, 'HS_DESC');
      const aboutIt = (): string[] => linesAbout(events, address);
      expect(await cast.bench.visit(cast.client, address, 'cache-2')).toBe('native');
      expect(aboutIt()).toEqual([]);
      await cast.bench.expectOk(cast.client, 'SIGNAL NEWNYM');
      await cast.bench.subject.pass(1000);
      expect((await cast.bench.send(cast.client, `GETINFO hs/client/desc/id/${address}`)).lines).toEqual([
        '551 Not found in cache',
      ]);
      expect(await cast.bench.visit(cast.client, address, 'cache-3')).toBe('native');
      expect(aboutIt().join('\n')).toContain(` REQUESTED ${address} `);
    });

    cast.check(
      'refuses as tor does: a wrong address, an unknown one, a port that the service does not have',
      async () => {
        const open = async (host: string, port: number): Promise<number> => {
          const result = await cast.bench.openHost(cast.client, host, port, `refused-${port}`);
          result.stream.destroy();
          return result.code;
        };
        expect(await open('abc.onion', 80)).toBe(1);
        expect(await open(`${'a'.repeat(56)}.onion`, 80)).toBe(1);
        expect(await open('25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkenl5sid.onion', 81)).toBe(4);
        expect(await open(`${address}.onion`, 99)).toBe(5);
      },
    );

    cast.check('loses one client when its rendezvous circuit is closed, and no other', async () => {
      const first = await cast.bench.open(cast.client, address, 'cut-1');
      const before = await cast.bench.circuits(cast.head, 'HS_SERVICE_REND', 'HSSR_JOINED');
      const second = await cast.bench.open(cast.client, address, 'cut-2');
      expect([first.code, second.code]).toEqual([0, 0]);
      const after = await cast.bench.circuits(cast.head, 'HS_SERVICE_REND', 'HSSR_JOINED');
      const fresh = after.filter((id) => !before.includes(id));
      expect(fresh).toHaveLength(1);
      let firstClosed = false;
      const secondClosed = new Promise((resolve) => {
        second.stream.once('close', resolve);
      });
      first.stream.once('close', () => (firstClosed = true));
      first.stream.resume();
      second.stream.resume();
      await cast.bench.expectOk(cast.head, `CLOSECIRCUIT ${fresh[0]}`);
      await cast.bench.within(secondClosed, 5000);
      await cast.bench.subject.pass(500);
      expect(firstClosed).toBe(false);
      first.stream.destroy();
    });

    cast.check('builds its introduction circuits again with the same keys', async () => {
      const keys = (descriptor: Descriptor): string[] => descriptor.introPoints.map(introPointId).sort();
      const before = keys(await cast.bench.serviceDescriptor(cast.head, address));
      const closed = await cast.bench.circuits(cast.head, 'HS_SERVICE_INTRO', 'HSSI_ESTABLISHED');
      for (const id of closed) await cast.bench.expectOk(cast.head, `CLOSECIRCUIT ${id}`);
      await cast.bench.until(async () => {
        const open = await cast.bench.circuits(cast.head, 'HS_SERVICE_INTRO', 'HSSI_ESTABLISHED');
        return (open.length === closed.length && open.every((id) => !closed.includes(id))) || undefined;
      });
      expect(keys(await cast.bench.serviceDescriptor(cast.head, address))).toEqual(before);
      expect(await cast.bench.visit(cast.client, address, 'rebuilt')).toBe('native');
    });

    cast.check('is found again by a client whose introduction points are all dead', async () => {
      expect(await cast.bench.visit(cast.client, address, 'dead-1')).toBe('native');
      await cast.bench.expectOk(cast.head, 'SETCONF HiddenServiceDir');
      const events = await cast.bench.listen(cast.head, 'HS_DESC');
      expect(await cast.bench.service(cast.head, 'native', await cast.bench.site('again'))).toBe(address);
      await cast.bench.until(
        async () => events.filter((event) => / UPLOADED /.test(event.lines[0] ?? '')).length >= 8 || undefined,
      );
      await cast.bench.subject.pass(3000);
      // Relays may still acknowledge an introduction for the dead circuit; then the client waits out its SocksTimeout.
      const said = await cast.bench.visit(cast.client, address, 'dead-2');
      expect(['again', 6]).toContain(said);
    });

    cast.slowCheck('exports the circuit’s id to its target, when asked to', async () => {
      const lines: string[] = [];
      const listener = await cast.bench.net.listen({ host: '127.0.0.1', port: 0 }, (stream) => {
        stream.on('error', () => undefined);
        stream.once('data', (chunk) => {
          lines.push(String(chunk).split('\r\n')[0] ?? '');
          stream.write('seen\n');
        });
      });
      await cast.bench.expectOk(
        cast.head,
        `SETCONF HiddenServiceDir="${cast.head.dataDirectory}/native" HiddenServicePort="80 ${formatEndpoint(listener.endpoint)}" HiddenServiceExportCircuitID=haproxy`,
      );
      await cast.bench.expectOk(cast.client, 'SIGNAL NEWNYM');
      await cast.bench.subject.pass(11_000);
      const { stream, code } = await cast.bench.open(cast.client, address, 'exported');
      expect(code).toBe(0);
      stream.write('x');
      await cast.bench.until(async () => lines[0]);
      const joined = await cast.bench.circuits(cast.head, 'HS_SERVICE_REND', 'HSSR_JOINED');
      const hex = /^PROXY TCP6 fc00:dead:beef:4dad::([0-9a-f]+):([0-9a-f]+) ::1 (\d+) 80$/.exec(lines[0] ?? '');
      const id = parseInt(hex?.[1] ?? '', 16) * 65_536 + parseInt(hex?.[2] ?? '', 16);
      expect(joined).toContain(String(id));
      stream.destroy();
      await listener.close();
      await cast.bench.expectOk(cast.head, 'SETCONF HiddenServiceDir');
    });
  });
}
