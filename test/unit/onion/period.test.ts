import { describe, expect, test } from 'vitest';
import {
  clientPeriod,
  clientSlot,
  descriptorSlots,
  disasterSrv,
  isBetweenTimePeriodAndSrv,
  nextPeriodStart,
  periodLengthMinutes,
  srvRunStart,
  timePeriodAt,
} from '../../../core/onion/index.ts';
import type { ConsensusTimes } from '../../../core/onion/index.ts';
import { expectCode, toHex } from './support.ts';

const publicNetwork = { testingNetwork: false };
const testingNetwork = { testingNetwork: true };

function hourly(iso: string): ConsensusTimes {
  const validAfter = Date.parse(iso) / 1000;
  return { validAfter, freshUntil: validAfter + 3600 };
}

function every20s(validAfter: number): ConsensusTimes {
  return { validAfter, freshUntil: validAfter + 20 };
}

const unix = (iso: string): number => Date.parse(iso) / 1000;

describe('time periods', () => {
  test('rend-spec-v3 TIME-PERIODS: 2016-04-13 11:00 UTC is in period 16903, which ends at 12:00', () => {
    const times = hourly('2016-04-13T11:00:00Z');
    expect(timePeriodAt(times, publicNetwork)).toEqual({ number: 16_903, lengthMinutes: 1440 });
    expect(nextPeriodStart(times, publicNetwork)).toBe(unix('2016-04-13T12:00:00Z'));
    expect(timePeriodAt(hourly('2016-04-13T12:00:00Z'), publicNetwork).number).toBe(16_904);
  });

  test('C tor test_hs_common.c, test_blinding_basics: 1973-05-20 01:50:33 is in period 1234', () => {
    const at = unix('1973-05-20T01:50:33Z');
    expect(timePeriodAt({ validAfter: at, freshUntil: at + 3600 }, publicNetwork).number).toBe(1234);
  });

  test('C tor test_hs_common.c: the period of 11:59:59 and the one after 12:00', () => {
    const at = unix('2016-04-13T11:59:59Z');
    const times = { validAfter: at, freshUntil: at + 3600 };
    expect(timePeriodAt(times, publicNetwork).number).toBe(16_903);
  });

  test('a testing network: 20 s voting makes periods of 8 minutes, offset 4, and ignores hsdir_interval', () => {
    const times = every20s(1_795_234_800);
    expect(periodLengthMinutes(times, { testingNetwork: true, hsdirIntervalMinutes: 1440 })).toBe(8);
    // Live tor 0.4.9.11 on a private network, valid-after 1795234800.
    expect(timePeriodAt(times, testingNetwork)).toEqual({ number: 3_740_072, lengthMinutes: 8 });
    expect(srvRunStart(times)).toBe(1_795_234_560);
    expect(nextPeriodStart(times, testingNetwork)).toBe(1_795_235_280);
  });

  test('hsdir_interval is clamped to 5–14400 minutes, as tor 0.4.9 does', () => {
    const times = hourly('2026-01-01T00:00:00Z');
    const length = (hsdirIntervalMinutes: number): number =>
      periodLengthMinutes(times, { testingNetwork: false, hsdirIntervalMinutes });
    expect([1, 5, 1440, 20_000, Number.NaN].map(length)).toEqual([5, 5, 1440, 14_400, 1440]);
  });

  test('times that are no consensus are refused', () => {
    for (const times of [
      { validAfter: 0, freshUntil: 3600 },
      { validAfter: 3600, freshUntil: 3600 },
      { validAfter: 7200, freshUntil: 3600 },
      { validAfter: Number.NaN, freshUntil: 3600 },
      { validAfter: 1.5, freshUntil: 3600 },
    ]) {
      expectCode('ONION_CONSENSUS', () => timePeriodAt(times, publicNetwork));
    }
  });
});

describe('descriptor slots', () => {
  const current = new Uint8Array(32).fill(1);
  const previous = new Uint8Array(32).fill(2);

  test('00–12 UTC: clients use the current period with the previous SRV', () => {
    const times = hourly('2026-03-05T07:00:00Z');
    const now = timePeriodAt(times, publicNetwork);
    const slots = descriptorSlots(times, publicNetwork, { current, previous });
    expect(isBetweenTimePeriodAndSrv(times, publicNetwork)).toBe(false);
    expect(slots).toEqual({
      first: { name: 'first', period: now, srv: previous, revisionStart: unix('2026-03-04T00:00:00Z') },
      second: {
        name: 'second',
        period: { ...now, number: now.number + 1 },
        srv: current,
        revisionStart: unix('2026-03-05T00:00:00Z'),
      },
      clientUses: 'first',
    });
    expect(clientSlot(times, publicNetwork, { current, previous })).toEqual(slots.first);
  });

  test('12–24 UTC: clients use the current period with the current SRV', () => {
    const times = hourly('2026-03-05T12:00:00Z');
    const now = timePeriodAt(times, publicNetwork);
    const slots = descriptorSlots(times, publicNetwork, { current, previous });
    expect(isBetweenTimePeriodAndSrv(times, publicNetwork)).toBe(true);
    expect(slots.first.period.number).toBe(now.number - 1);
    expect(slots.first.srv).toEqual(previous);
    expect(slots.second).toEqual({
      name: 'second',
      period: now,
      srv: current,
      revisionStart: unix('2026-03-05T00:00:00Z'),
    });
    expect(slots.clientUses).toBe('second');
    expect(clientPeriod(times, publicNetwork)).toEqual(now);
  });

  test('each hour of a week: what second is becomes first at 00:00, and clients see each period for 24 hours', () => {
    const begin = unix('2026-03-02T00:00:00Z');
    const slotsAt = (hour: number) => {
      const validAfter = begin + hour * 3600;
      // One SRV a day, named by its number.
      const day = Math.floor(hour / 24);
      const random = { current: new Uint8Array(32).fill(day + 1), previous: new Uint8Array(32).fill(day) };
      return descriptorSlots({ validAfter, freshUntil: validAfter + 3600 }, publicNetwork, random);
    };
    for (let hour = 1; hour < 7 * 24; hour++) {
      const before = slotsAt(hour - 1);
      const now = slotsAt(hour);
      const newDay = hour % 24 === 0;
      expect({ ...now.first, name: newDay ? 'second' : 'first' }).toEqual(newDay ? before.second : before.first);
      expect(newDay ? before.second : now.second).toEqual(before.second);
      const flips = now[now.clientUses].period.number !== before[before.clientUses].period.number;
      expect(flips).toBe(hour % 24 === 12);
    }
  });

  test('C tor test_hs_common.c, OnionBalance test_v3_hashring.py: disaster SRVs of periods 1 to 3, length 1440', () => {
    const srvOf = (number: number): string => toHex(disasterSrv({ number, lengthMinutes: 1440 }));
    expect([1, 2, 3].map(srvOf)).toEqual([
      'f8a4948707653837fa44abb5bbc75a12f6f101e7f8faf699b9715f4965d3507d',
      'c17966df8b4834638e1b7bf38944c4995b92e89749d1623e417a44938d08fd67',
      'a3bab4327f9c2f8b30a126dad3abcce12dd813169a5d924244b57987aee413c2',
    ]);
  });

  test('a missing SRV is replaced by the disaster SRV of its own period', () => {
    const times = hourly('2026-03-05T07:00:00Z');
    const slots = descriptorSlots(times, publicNetwork, {});
    expect(slots.first.srv).toEqual(disasterSrv(slots.first.period));
    expect(slots.second.srv).toEqual(disasterSrv(slots.second.period));
  });
});
