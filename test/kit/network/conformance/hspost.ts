/** HSPOST: the forms that it takes, what HSDirs answer. */
import { expect } from 'vitest';
import { addressOfKey, masterKeyFromSeed, readOuter } from '../../../../core/onion/index.ts';
import { hspost, linesAbout } from './bench.ts';
import type { Cast } from './cast.ts';

export function checkHspost(cast: Cast): void {
  cast.group('HSPOST', () => {
    cast.check('wants named servers one by one, an address, and a descriptor', async () => {
      const master = masterKeyFromSeed(cast.bench.subject.runtime.random.bytes(32));
      const address = addressOfKey(master.publicKey);
      const view = await cast.bench.consensus(cast.other);
      const slot = view.slots[view.slots.clientUses];
      const servers = cast.bench.responsible(view, slot, master);
      const helper = await cast.bench.service(cast.other, 'points', await cast.bench.site('points'));
      const { introPoints } = await cast.bench.serviceDescriptor(cast.other, helper);
      const text = await cast.bench.encode(master, slot, introPoints);
      const unknown = 'F'.repeat(40);
      expect((await cast.bench.send(cast.other, hspost(address, [unknown]), text)).lines).toEqual([
        `552 Server "${unknown}" not found`,
      ]);
      const list = servers.join(',');
      expect((await cast.bench.send(cast.other, hspost(address, [list]), text)).lines).toEqual([
        `552 Server "${list}" not found`,
      ]);
      expect((await cast.bench.send(cast.other, hspost('abc', servers), text)).lines).toEqual([
        '512 Malformed onion address',
      ]);
      expect((await cast.bench.send(cast.other, hspost(address, servers), 'nonsense\n')).lines).toEqual([
        '554 Invalid descriptor',
      ]);
      expect((await cast.bench.send(cast.other, `+HSPOST NONSENSE=1 HSADDRESS=${address}`, text)).code).toBe(512);

      // Without an address tor says nothing: the next reply belongs to the next command.
      const control = await cast.bench.control(cast.other);
      control.sendOnly(`+HSPOST SERVER=${servers[0]}`, text);
      expect((await cast.bench.within(control.send('GETINFO version'))).lines[0]).toMatch(/^250-version=/);

      const events = await cast.bench.listen(cast.other, 'HS_DESC');
      await cast.bench.expectOk(cast.other, hspost(address, servers), text);
      await cast.bench.until(async () => linesAbout(events, address).length >= servers.length || undefined);
      expect(new Set(linesAbout(events, address).map((line) => line.replace(/~\w+$/, '')))).toEqual(
        new Set(servers.map((server) => `650 HS_DESC UPLOADED ${address} UNKNOWN $${server}`)),
      );

      // The same revision again is refused.
      events.length = 0;
      await cast.bench.expectOk(cast.other, hspost(address, servers.slice(0, 1)), text);
      const refused = await cast.bench.until(async () => linesAbout(events, address)[0]);
      const blinded = Buffer.from(readOuter(text).blindedKey).toString('base64').replace('=', '');
      expect(refused.replace(/~\w+ /, ' ')).toBe(
        `650 HS_DESC FAILED ${address} NO_AUTH $${servers[0]} ${blinded} REASON=UPLOAD_REJECTED`,
      );
      await cast.bench.expectOk(cast.other, 'SETCONF HiddenServiceDir');
    });
  });
}
