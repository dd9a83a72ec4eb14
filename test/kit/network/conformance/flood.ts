/** What a flood of introductions does to a service, and to one whose relays keep to a limit. */
import { expect } from 'vitest';
import type { OnionAddress } from '../../../../core/onion/index.ts';
import { introductionCircuits } from '../../../../plugins/tor/index.ts';
import { socksTimeoutSeconds } from './bench.ts';
import type { RawReply } from './raw-control.ts';
import type { Cast } from './cast.ts';

const points = 3;
const visits = { unlimited: 12, limited: 30 };
const limit = { perSecond: 1, burst: 2 };
/** Of a rendezvous that fails each side tries another, which takes longer than visits have elsewhere. */
const patienceSeconds = 60;

const tries = 3;
/** A flood seldom takes longer. */
const undisturbedSeconds = 20;

/** What tor counts of a cell that comes in over a circuit of its own. */
const cellPayloadBytes = 509;

/** Bytes that CIRC_BW says these circuits have read. */
function bytesRead(events: readonly RawReply[], circuits: readonly string[]): number {
  const told = events.flatMap(({ lines: [line = ''] }) => {
    const [, id = '', read] = /^650 CIRC_BW ID=(\d+) READ=(\d+) WRITTEN=\d+(?: [A-Z_]+=\S+)*$/.exec(line) ?? [];
    return circuits.includes(id) ? [Number(read)] : [];
  });
  return told.reduce((sum, bytes) => sum + bytes, 0);
}

/** Ids of the circuits of a purpose that have this status in one of the events. */
function circuitsOf(events: readonly RawReply[], status: string, purpose: string): Set<string> {
  const ids = events
    .map(({ lines: [line = ''] }) => line.split(' '))
    .filter(([, event, , word]) => event === 'CIRC' && word === status)
    .filter((words) => words.includes(`PURPOSE=${purpose}`))
    .map(([, , id = '']) => id);
  return new Set(ids);
}

interface Flooded {
  /** Visits that were answered. */
  readonly served: number;
  /** Cells that the service's introduction circuits have read. */
  readonly introductions: number;
  /** Circuits to rendezvous points that its tor has launched. */
  readonly rendezvous: number;
}

export function checkFlood(cast: Cast): void {
  cast.group('a flood of introductions', () => {
    let open: OnionAddress;
    let limited: OnionAddress;
    let floods = 0;

    cast.before(async () => {
      const events = await cast.bench.listen(cast.other, 'HS_DESC');
      open = await cast.bench.service(cast.other, 'flooded', await cast.bench.site('flooded'));
      limited = await cast.bench.service(cast.other, 'limited', await cast.bench.site('limited'), [], {
        keep: true,
        options:
          'HiddenServiceEnableIntroDoSDefense=1 ' +
          `HiddenServiceEnableIntroDoSRatePerSec=${limit.perSecond} ` +
          `HiddenServiceEnableIntroDoSBurstPerSec=${limit.burst}`,
      });
      const told = (address: OnionAddress, event: string): number =>
        events.filter(({ lines: [line = ''] }) => line.includes(` ${event} ${address} `)).length;
      await cast.bench.until(async () => {
        const all = [open, limited].every(
          (address) => told(address, 'UPLOAD') > 0 && told(address, 'UPLOADED') === told(address, 'UPLOAD'),
        );
        const enough = [open, limited].every((address) => told(address, 'CREATED') === 2);
        return (all && enough) || undefined;
      });
      for (const address of [open, limited]) await cast.bench.serviceDescriptor(cast.other, address, points);
    }, cast.limitMs * 2);

    /** A flood of visits that have tor's own patience: the introductions that the service's tor tells of, and what it makes of them. */
    const served = async (): Promise<Flooded> => {
      // What circuits have read so far is told within a second.
      await cast.bench.subject.pass(1_500);
      const status = await cast.bench.getInfo(cast.other, 'circuit-status');
      const circuits = introductionCircuits(status).flatMap(({ id, address }) => (address === open ? [id] : []));
      const events = await cast.bench.listen(cast.other, 'CIRC CIRC_BW');
      await cast.bench.expectOk(cast.client, `SETCONF SocksTimeout=${patienceSeconds}`);
      const flood = cast.bench.flood(cast.client, open, visits.unlimited, `flood-${floods++}`);
      await cast.bench.until(async () => flood.codes.length === visits.unlimited || undefined, patienceSeconds * 1_500);
      await cast.bench.expectOk(cast.client, `SETCONF SocksTimeout=${socksTimeoutSeconds}`);
      await cast.bench.subject.pass(2_500);
      flood.end();
      const read = bytesRead(events, circuits);
      expect(read % cellPayloadBytes).toBe(0);
      expect(circuitsOf(events, 'CLOSED', 'HS_SERVICE_INTRO').size).toBe(0);
      return {
        served: flood.codes.filter((code) => code === 0).length,
        introductions: read / cellPayloadBytes,
        rendezvous: circuitsOf(events, 'LAUNCHED', 'HS_SERVICE_REND').size,
      };
    };

    /** How many rendezvous circuits the limited service has made of a flood, and in how many seconds. */
    const letThrough = async (): Promise<{ readonly rendezvous: number; readonly seconds: number }> => {
      const { clock } = cast.bench.subject.runtime;
      const events = await cast.bench.listen(cast.other, 'CIRC');
      const startedAtMs = clock.monotonic();
      const flood = cast.bench.flood(cast.client, limited, visits.limited, `flood-${floods++}`);
      await cast.bench.until(async () => circuitsOf(events, 'LAUNCHED', 'HS_SERVICE_REND').size > 0 || undefined);
      await cast.bench.subject.pass(3_000);
      flood.end();
      expect(circuitsOf(events, 'CLOSED', 'HS_SERVICE_INTRO').size).toBe(0);
      return {
        rendezvous: circuitsOf(events, 'LAUNCHED', 'HS_SERVICE_REND').size,
        seconds: (clock.monotonic() - startedAtMs) / 1_000,
      };
    };

    cast.check(
      'reads a cell for each at its introduction points, and makes a rendezvous circuit each',
      async () => {
        const told: string[] = [];
        while (told.length < tries) {
          const seen = await cast.bench.withinOneHalf(cast.other, undisturbedSeconds, served);
          told.push(JSON.stringify(seen));
          if (Object.values(seen).every((count) => count === visits.unlimited)) return;
          // Both sides take circuits for late at times, the more the shorter those before took, and introduce or meet once more.
          expect(seen.served).toBeGreaterThan(0);
          expect(seen.introductions).toBeGreaterThanOrEqual(seen.served);
          expect(seen.rendezvous).toBeGreaterThanOrEqual(seen.served);
        }
        // That differs from flood to flood; what a network does wrong it does again.
        expect(new Set(told).size).toBeGreaterThan(1);
      },
      cast.limitMs * 2,
    );

    cast.check('is dropped by the relays above the limit that the service has asked for', async () => {
      const { rendezvous, seconds } = await cast.bench.withinOneHalf(cast.other, undisturbedSeconds, letThrough);
      expect(rendezvous).toBeGreaterThan(0);
      // tor counts whole seconds, and the buckets may be full at the start.
      expect(rendezvous).toBeLessThanOrEqual(points * (limit.burst + limit.perSecond * (Math.ceil(seconds) + 1)));
      expect(rendezvous).toBeLessThan(visits.limited);
      await cast.bench.expectOk(cast.other, 'SETCONF HiddenServiceDir');
    });
  });
}
