/** A tor that is killed, started again, stopped and continued. */
import { expect } from 'vitest';
import { introPointId, parseOnionAddress } from '../../../../core/onion/index.ts';
import { RawControl } from './raw-control.ts';
import type { Cast } from './cast.ts';

export function checkLifetime(cast: Cast): void {
  const { limitMs } = cast;
  cast.group('a tor that dies', () => {
    cast.check(
      'drops its connections, and comes back on the same ports with its torrc’s services',
      async () => {
        const target = await cast.bench.site('survivor');
        const directory = `${cast.head.dataDirectory}-survivor`;
        const tor = await cast.bench.addTor('survivor', {
          config: { HiddenServiceDir: directory, HiddenServicePort: `80 ${target}` },
        });
        const address = parseOnionAddress(
          Buffer.from(await cast.bench.until(() => cast.bench.subject.runtime.store.read(`${directory}/hostname`)))
            .toString('utf8')
            .trim(),
        );
        const before = (await cast.bench.serviceDescriptor(tor, address)).introPoints.map(introPointId);
        const control = await cast.bench.control(tor);
        const { control: endpoint } = tor;
        await cast.bench.within(tor.kill());
        await cast.bench.until(async () => control.closed || undefined);
        expect(tor.running).toBe(false);
        await expect(cast.bench.within(RawControl.open(cast.bench.net, tor))).rejects.toMatchObject({
          code: 'ECONNREFUSED',
        });
        await cast.bench.within(tor.restart());
        expect(tor.control).toEqual(endpoint);
        const events = await cast.bench.listen(tor, 'HS_DESC');
        await cast.bench.within(tor.bootstrapped(), 120_000);
        // The service's key is on disk; those of its introduction points were in memory.
        const after = (await cast.bench.serviceDescriptor(tor, address)).introPoints.map(introPointId);
        expect(after.filter((point) => before.includes(point))).toEqual([]);
        // A client that still finds the dead tor's descriptor keeps it: the relays of its introduction points may take what they
        // cannot deliver, for the circuits of a killed tor are not always torn down. So all HSDirs have the new one first.
        await cast.bench.until(async () => {
          const told = (event: string): number => events.filter((got) => got.lines[0]?.includes(` ${event} `)).length;
          return (told('CREATED') >= 2 && told('UPLOADED') === told('UPLOAD')) || undefined;
        });
        await cast.bench.until(async () => {
          const said = await cast.bench.visit(cast.client, address, 'survivor');
          return said === 'survivor' || undefined;
        });
        expect(events.every((event) => event.code === 650)).toBe(true);
      },
      limitMs * 3,
    );

    cast.check(
      'answers without its network, and is reached by the same introduction points as soon as it has it again',
      async () => {
        const tor = await cast.bench.addTor('offline', { socks: true });
        const address = await cast.bench.service(tor, 'offline', await cast.bench.site('offline'));
        /** The relays of its introduction points, once all have their circuits. */
        const points = (): Promise<string[]> =>
          cast.bench.until(async () => {
            const lines = (await cast.bench.getInfo(tor, 'circuit-status')).split('\n');
            const theirs = lines.filter((line) =>
              line.includes(' PURPOSE=HS_SERVICE_INTRO HS_STATE=HSSI_ESTABLISHED '),
            );
            if (theirs.length < 6) return undefined;
            return theirs.map((line) => line.split(' ')[2]?.split(',').at(-1) ?? '').toSorted();
          });
        // Half of them change by themselves with a new shared random value.
        await cast.bench.halfStands(tor, 30);
        const before = await points();
        const visited = (isolation: string): Promise<true> =>
          cast.bench.until(
            async () => (await cast.bench.visit(cast.client, address, isolation)) === 'offline' || undefined,
          );
        await visited('online');
        const events = await cast.bench.listen(tor, 'CIRC', 'HS_DESC', 'STATUS_CLIENT');
        const told = (part: string): string[] =>
          events.flatMap(({ lines: [line = ''] }) => (line.includes(part) ? [line] : []));
        await cast.bench.expectOk(tor, 'SETCONF DisableNetwork=1');
        await cast.bench.until(async () => (await cast.bench.getInfo(tor, 'circuit-status')) === '' || undefined);
        // Told on another connection than the one that asks.
        const closed = await cast.bench.until(async () => {
          const lines = told(' PURPOSE=HS_SERVICE_INTRO HS_STATE=HSSI_ESTABLISHED ');
          const theirs = lines.filter((line) => line.includes(' CLOSED '));
          return theirs.length < 6 ? undefined : theirs;
        });
        expect(closed.filter((line) => !line.endsWith(' REASON=DESTROYED REMOTE_REASON=CHANNEL_CLOSED'))).toEqual([]);
        for (const key of ['status/circuit-established', 'status/enough-dir-info'])
          expect(await cast.bench.getInfo(tor, key)).toBe('0');
        expect(await cast.bench.getInfo(tor, 'status/bootstrap-phase')).toContain(' PROGRESS=100 ');
        expect(await cast.bench.getInfo(tor, 'net/listeners/socks')).toBe('');
        await expect(cast.bench.visit(tor, address, 'closed')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
        await cast.bench.expectOk(tor, `HSFETCH ${address}`);
        await cast.bench.subject.pass(3_000);
        expect(told(' RECEIVED ')).toEqual([]);

        await cast.bench.expectOk(tor, 'SETCONF DisableNetwork=0');
        expect(await points()).toEqual(before);
        for (const part of [' CIRCUIT_ESTABLISHED', ' RECEIVED '])
          await cast.bench.until(async () => told(part).length > 0 || undefined);
        await visited('again');
        expect(await cast.bench.visit(tor, address, 'opened')).toBe('offline');
      },
      limitMs * 3,
    );

    cast.check('answers nothing while it is stopped, and everything after', async () => {
      const control = await cast.bench.control(cast.other);
      await cast.bench.within(cast.other.kill('SIGSTOP'));
      let answered = false;
      const reply = control.send('GETINFO version').then((got) => {
        answered = true;
        return got;
      });
      await cast.bench.subject.pass(1500);
      expect(answered).toBe(false);
      await cast.bench.within(cast.other.kill('SIGCONT'));
      expect((await cast.bench.within(reply)).code).toBe(250);
    });
  });
}
