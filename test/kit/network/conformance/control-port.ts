/** The control port itself: authentication, refusals, the consensus. */
import { expect } from 'vitest';
import { socksTimeoutSeconds, unixTime } from './bench.ts';
import { RawControl } from './raw-control.ts';
import type { Cast } from './cast.ts';

export function checkControlPort(cast: Cast): void {
  cast.group('the control port', () => {
    cast.check('authenticates by safe cookie and by cookie, refuses anything else, and anything before', async () => {
      const { net, store } = cast.bench.subject.runtime;
      const open = (): Promise<RawControl> => cast.bench.within(RawControl.open(net, cast.client));
      const early = await open();
      expect((await cast.bench.within(early.send('GETINFO version'))).lines).toEqual(['514 Authentication required.']);
      const wrong = await open();
      expect((await cast.bench.within(wrong.send(`AUTHENTICATE ${'00'.repeat(32)}`))).lines).toEqual([
        '515 Authentication failed: Authentication cookie did not match expected value.',
      ]);
      const safe = await open();
      const info = await cast.bench.within(safe.send('PROTOCOLINFO 1'));
      expect(info.lines[0]).toBe('250-PROTOCOLINFO 1');
      expect(info.lines[1]).toMatch(/^250-AUTH METHODS=COOKIE,SAFECOOKIE COOKIEFILE="\/.*"$/);
      expect(info.lines[2]).toMatch(/^250-VERSION Tor="0\.4\.\d+\.\d+/);
      expect((await cast.bench.within(safe.authenticate(store, cast.client))).lines).toEqual(['250 OK']);
      const plain = await open();
      const cookie = await store.read(cast.client.cookiePath as string);
      const hex = Buffer.from(cookie as Uint8Array).toString('hex');
      expect((await cast.bench.within(plain.send(`AUTHENTICATE ${hex}`))).lines).toEqual(['250 OK']);
      for (const control of [early, wrong, safe, plain]) control.close();
    });

    for (const [command, answer] of [
      ['GETINFO nonsense', '552 Unrecognized key "nonsense"'],
      ['GETINFO hs/service/desc/id/abc', '551 Invalid address'],
      ['GETINFO hs/service/desc/id/25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkenl5sid', '551 Not found in cache'],
      ['GETINFO hs/client/desc/id/25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkenl5sid', '551 Not found in cache'],
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
    ] as const) {
      cast.check(`answers ${command} with ${answer}`, async () => {
        expect((await cast.bench.send(cast.client, command)).lines).toEqual([answer]);
      });
    }

    cast.check(
      'gives the consensus: times a voting interval apart, relays that are HSDirs with Ed25519 identities',
      async () => {
        const { network } = cast.bench.subject;
        const { times, hsdirs } = await cast.bench.consensus(cast.client);
        expect(times.freshUntil - times.validAfter).toBe(network.votingSeconds);
        expect(hsdirs).toHaveLength(network.hsdirCount);
        expect(await cast.bench.getInfo(cast.client, 'status/bootstrap-phase')).toBe(
          'NOTICE BOOTSTRAP PROGRESS=100 TAG=done SUMMARY="Done"',
        );
        expect(await cast.bench.getInfo(cast.client, 'status/circuit-established')).toBe('1');
        const text = await cast.bench.getInfo(cast.client, 'dir/status-vote/current/consensus-microdesc');
        expect(text).toMatch(/^network-status-version 3 microdesc\nvote-status consensus\n/);
      },
    );

    cast.slowCheck('tells of a new consensus', async () => {
      const before = await cast.bench.getInfo(cast.client, 'consensus/valid-after');
      const events = await cast.bench.listen(cast.client, 'NEWCONSENSUS', 'STATUS_CLIENT');
      const limitMs = cast.bench.subject.network.votingSeconds * 4000;
      await cast.bench.until(async () => {
        const arrived = events.some((event) => event.lines[0] === '650+NEWCONSENSUS');
        return arrived || undefined;
      }, limitMs);
      expect(events.map((event) => event.lines[0])).toContain('650 STATUS_CLIENT NOTICE CONSENSUS_ARRIVED');
      const consensus = events.find((event) => event.lines[0] === '650+NEWCONSENSUS');
      expect(consensus?.lines[1]).toMatch(/^r \S+ \S{27} \S{27} /);
      expect(unixTime(await cast.bench.getInfo(cast.client, 'consensus/valid-after'))).toBeGreaterThan(
        unixTime(before),
      );
    });
  });
}
