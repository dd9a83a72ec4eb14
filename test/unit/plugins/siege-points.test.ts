/** Introductions by introduction point: what is read from tor's events, and what is not. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { OnionAddress } from '../../../core/onion/index.ts';
import {
  concentration,
  PointRates,
  usualHeadSettings,
  WatchedHead,
  watchPoints,
} from '../../../plugins/siege/index.ts';
import { introductionCircuits } from '../../../plugins/tor/index.ts';
import { createVirtualClock, type VirtualClock } from '../../kit/sim/virtual-clock.ts';
import { makeConsensus } from '../pipeline/support.ts';
import { createScriptedTor, type ScriptedTor } from './support.ts';

const address = 'a'.repeat(56) as OnionAddress;
const other = 'b'.repeat(56) as OnionAddress;
const relay = (letter: string): string => letter.repeat(40);
const cell = 509;

const fieldsOf = (of: OnionAddress = address, state = 'HSSI_ESTABLISHED', purpose = 'HS_SERVICE_INTRO') => ({
  PURPOSE: purpose,
  HS_STATE: state,
  REND_QUERY: of,
});
const line = (id: string, letter: string, fields = fieldsOf()): string =>
  `${id} BUILT $${relay('F')}~guard,$${relay(letter)}~point BUILD_FLAGS=IS_INTERNAL PURPOSE=${fields.PURPOSE} ` +
  `HS_STATE=${fields.HS_STATE} REND_QUERY=${fields.REND_QUERY} TIME_CREATED=2026-11-21T04:00:00.000000`;

test('circuit-status: established introduction circuits alone, whatever else is in it', () => {
  const status = [
    line('7', 'A'),
    line('8', 'B', fieldsOf(other)),
    line('9', 'C', fieldsOf(address, 'HSSI_CONNECTING')),
    line('10', 'C', fieldsOf(address, 'HSSR_JOINED', 'HS_SERVICE_REND')),
    line('11', 'C').replace(' BUILT ', ' EXTENDED '),
    line('12', 'C').replace(address, 'nonsense'),
    line('13/13', 'C'),
    ' PURPOSE=HS_SERVICE_INTRO HS_STATE=HSSI_ESTABLISHED',
    '',
  ];
  expect(introductionCircuits(status.join('\r\n'))).toEqual([
    { id: '7', relay: `$${relay('A')}~point`, address },
    { id: '8', relay: `$${relay('B')}~point`, address: other },
  ]);
});

describe('the points of a tor', () => {
  let clock: VirtualClock;
  let tor: ScriptedTor;
  beforeEach(() => {
    clock = createVirtualClock(0);
    tor = createScriptedTor(makeConsensus());
    tor.info.set('circuit-status', [line('1', 'A'), line('2', 'B'), line('3', 'C', fieldsOf(other))].join('\n'));
  });
  const bandwidth = (id: string, read: number | string): void =>
    tor.emitEvent('CIRC_BW', [], { ID: id, READ: String(read), WRITTEN: '0', TIME: '2026-11-21T04:00:00.000000' });
  async function seconds(count: number, each: () => void): Promise<void> {
    for (let second = 0; second < count; second++) {
      await clock.advance(1_000);
      each();
    }
  }

  test('a cell of 509 bytes is an introduction; the rate is smoothed, and fades', async () => {
    const watch = watchPoints(tor, clock);
    await seconds(20, () => {
      bandwidth('1', 14 * cell);
      bandwidth('2', cell);
    });
    const [first, second] = watch.of(address);
    expect([first?.relay, second?.relay]).toEqual([relay('A'), relay('B')]);
    // Seen just after tor has told; half a second later it is the mean.
    await clock.advance(500);
    expect(watch.of(address)[0]?.perSecond).toBeCloseTo(14, 0);
    expect(watch.of(address)[1]?.perSecond).toBeCloseTo(1, 0);
    expect(watch.of(other)).toEqual([{ relay: relay('C'), perSecond: 0 }]);
    await clock.advance(30_000);
    expect(watch.of(address)[0]?.perSecond).toBeLessThan(0.01);
    watch.release();
    expect(tor.listeners()).toBe(0);
  });

  test('what is no such event, or of another circuit, changes nothing', async () => {
    const watch = watchPoints(tor, clock);
    await clock.advance(1_000);
    for (const read of ['', 'x', '-509', '1e9', '99999999999', String(2 ** 32), '508']) bandwidth('1', read);
    bandwidth('77', 509_000);
    tor.emitEvent('CIRC_BW', ['1', 'READ'], {});
    expect(watch.of(address).map(({ perSecond }) => perSecond)).toEqual([0, 0]);
    bandwidth('1', 2 ** 32 - 1);
    expect(Number.isFinite(watch.of(address)[0]?.perSecond)).toBe(true);
    watch.release();
  });

  test('a circuit that is established later counts from then on, without the cells that built it; a closed one is gone', async () => {
    const watch = watchPoints(tor, clock);
    await clock.advance(1_000);
    const path = `$${relay('F')}~guard,$${relay('D')}~point`;
    tor.emitEvent('CIRC', ['4', 'BUILT', path], fieldsOf(address, 'HSSI_CONNECTING'));
    bandwidth('4', 3 * cell);
    expect(watch.of(address)).toHaveLength(2);
    tor.emitEvent('CIRC_MINOR', ['4', 'PURPOSE_CHANGED', path], fieldsOf());
    bandwidth('4', 4 * cell);
    expect(watch.of(address)).toContainEqual({ relay: relay('D'), perSecond: 0 });
    bandwidth('4', 3 * cell);
    expect(watch.of(address)).toContainEqual({ relay: relay('D'), perSecond: 1 });
    tor.emitEvent('CIRC', ['4', 'CLOSED', path], fieldsOf());
    tor.emitEvent('CIRC', ['1', 'CLOSED', path], fieldsOf());
    bandwidth('4', 3 * cell);
    expect(watch.of(address)).toEqual([{ relay: relay('B'), perSecond: 0 }]);
    watch.release();
  });

  test('a tor that went away has other circuits when it is back; one that ends while it answers is not kept', async () => {
    const watch = watchPoints(tor, clock);
    await clock.advance(1_000);
    bandwidth('1', 9 * cell);
    tor.setState('connecting');
    expect(watch.of(address)).toEqual([]);
    tor.setState('ready');
    tor.emitEvent('CIRC', ['2', 'CLOSED', ''], fieldsOf());
    await clock.advance(1_000);
    expect(watch.of(address)).toEqual([{ relay: relay('A'), perSecond: 0 }]);
    // One that cannot say what it has is learned from its events.
    tor.info.delete('circuit-status');
    tor.setState('connecting');
    tor.setState('ready');
    await clock.advance(1_000);
    expect(watch.of(address)).toEqual([]);
    watch.release();
  });
});

test('two circuits at one relay are one point; of too many circuits the oldest are forgotten', () => {
  const rates = new PointRates();
  const add = (id: number, letter: string): void =>
    rates.add({ id: String(id), relay: `$${relay(letter)}`, address }, 0, false);
  add(1, 'A');
  add(2, 'A');
  for (const ID of ['1', '2']) rates.take({ ID, READ: String(3 * cell) }, 0);
  expect(rates.of(address, 0)).toEqual([{ relay: relay('A'), perSecond: 2 }]);
  rates.add({ id: '3', relay: 'UNKNOWN', address }, 0, false);
  expect(rates.of(address, 0)).toHaveLength(1);
  for (let id = 10; id < 10 + 1_024; id++) add(id, 'B');
  expect(rates.of(address, 0)).toEqual([{ relay: relay('B'), perSecond: 0 }]);
});

test('few points that carry most are named with their figures; half of them or more are not few', () => {
  const points = (...rates: number[]) =>
    rates.map((perSecond, index) => ({ relay: `AB12${index}`.padEnd(40, 'C'), perSecond }));
  expect(concentration(points(14, 4, 1, 0.5, 0, 0))).toBe(
    'mostly at 2 of 6 introduction points: $AB120CCC… 14.0/s, $AB121CCC… 4.0/s',
  );
  expect(concentration(points(9, 8, 8, 8, ...Array<number>(16).fill(0)))).toMatch(
    /^mostly at 4 of 20 .*: (\$\w{8}… [\d.]+\/s, ){3}…$/,
  );
  expect(concentration(points(7, 7, 7, 0, 0, 0))).toBeUndefined();
  expect(concentration(points(3))).toBeUndefined();
  expect(concentration(points(0, 0, 0))).toBeUndefined();
  expect(concentration([])).toBeUndefined();
});

test('the points are in the reason of a siege by introductions, and decide nothing', () => {
  const points = [20, 0, 0].map((perSecond, index) => ({ relay: String(index).repeat(40), perSecond }));
  const told = new WatchedHead('one/1', usualHeadSettings, 0);
  const untold = new WatchedHead('one/1', usualHeadSettings, 0);
  for (let atMs = 500; atMs < 90_000; atMs += 500) {
    const flood = atMs > 70_000 && atMs < 80_000;
    for (const head of [told, untold]) for (let one = 0; one < (flood ? 10 : 0); one++) head.introductionCount.seen();
    const verdict = told.sample(atMs, undefined, undefined, points);
    const plain = untold.sample(atMs, undefined, undefined);
    const where = plain?.besieged === true ? ', mostly at 1 of 3 introduction points: $00000000… 20.0/s' : '';
    expect(verdict).toEqual({ ...plain, why: `${plain?.why}${where}` });
  }
  expect(told.verdict?.besieged).toBe(true);
});
