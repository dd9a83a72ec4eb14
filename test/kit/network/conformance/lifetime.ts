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
