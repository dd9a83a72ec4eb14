/** CIRC_BW of the embedded network: tor's form, once a second, and nothing where nobody listens. */
import { expect, test } from 'vitest';
import { CircuitBandwidth } from '../../kit/network/embedded/circuit-bandwidth.ts';
import { EventBus } from '../../kit/network/embedded/event-bus.ts';
import { SimulatedProcess } from '../../kit/network/embedded/simulated-process.ts';
import { createVirtualClock } from '../../kit/sim/virtual-clock.ts';

function stage() {
  const clock = createVirtualClock(Date.UTC(2026, 0, 1, 0, 0, 0, 250));
  const events = new EventBus();
  let timers = 0;
  const process = new SimulatedProcess({
    ...clock,
    after: (delayMs, work) => {
      timers++;
      return clock.after(delayMs, work);
    },
  });
  const bandwidth = new CircuitBandwidth(process, events, () => clock.now());
  const told: string[] = [];
  const listen = (): void => events.add({ wants: (name) => name === 'CIRC_BW', send: (text) => void told.push(text) });
  return { clock, bandwidth, told, listen, timers: () => timers };
}

test('one line a second for each circuit that carried something, as control_events.c writes it', async () => {
  const { clock, bandwidth, told, listen, timers } = stage();
  listen();
  bandwidth.count(7, 'written', 'establishIntro');
  bandwidth.count(7, 'read', 'introEstablished');
  bandwidth.count(7, 'read', 'introduce2');
  bandwidth.count(8, 'read', 'introduce2');
  bandwidth.count(9, 'read', 'introduce2');
  bandwidth.forget(9);
  await clock.advance(740);
  expect(told).toEqual([]);
  await clock.advance(20);
  expect(told).toEqual([
    '650 CIRC_BW ID=7 READ=1018 WRITTEN=509 TIME=2026-01-01T00:00:01.000000 ' +
      'DELIVERED_READ=247 OVERHEAD_READ=749 DELIVERED_WRITTEN=134 OVERHEAD_WRITTEN=364\r\n',
    '650 CIRC_BW ID=8 READ=509 WRITTEN=0 TIME=2026-01-01T00:00:01.000000 ' +
      'DELIVERED_READ=246 OVERHEAD_READ=252 DELIVERED_WRITTEN=0 OVERHEAD_WRITTEN=0\r\n',
  ]);
  // A quiet hour costs nothing.
  await clock.advance(3_600_000);
  expect([told.length, timers()]).toEqual([2, 1]);
  bandwidth.count(8, 'read', 'introduce2');
  await clock.advance(1_000);
  expect([told.length, timers()]).toEqual([3, 2]);
});

test('where nobody listens nothing is counted, and no timer runs', async () => {
  const { clock, bandwidth, told, listen, timers } = stage();
  for (let cell = 0; cell < 100; cell++) bandwidth.count(cell, 'read', 'introduce2');
  listen();
  await clock.advance(5_000);
  expect([told.length, timers()]).toEqual([0, 0]);
});
