/** What the plugin makes of its sources: events of tor, and the streams that a proxy sees. */
import { beforeEach, describe, expect, test } from 'vitest';
import { headControlContract, proxyContract } from '../../../core/engine/index.ts';
import type { OnionAddress } from '../../../core/onion/index.ts';
import siege from '../../../plugins/siege/index.ts';
import { makeConsensus } from '../pipeline/support.ts';
import { createBareHost, createScriptedTor, type BareHost, type ScriptedTor } from './support.ts';

const address = 'a'.repeat(56) as OnionAddress;

interface Told {
  readonly head: string;
  readonly level: number;
  readonly why: string;
}

describe('the plugin siege', () => {
  let bare: BareHost;
  let tor: ScriptedTor;
  let stream: (head: string, circuit: string | undefined) => void;
  let unsubscribed = 0;

  beforeEach(async () => {
    bare = createBareHost();
    tor = createScriptedTor(makeConsensus());
    bare.provide(headControlContract, {
      heads: () => [{ head: 'one/1', tor, address, excluded: false }],
      exclude: () => undefined,
      include: () => undefined,
      grow: () => undefined,
      shrink: async () => undefined,
    });
    unsubscribed = 0;
    bare.provide(proxyContract, {
      front: () => Promise.reject(new Error('no front here')),
      retire: async () => undefined,
      circuits: () => [],
      onStream: (listener) => {
        stream = listener;
        return () => unsubscribed++;
      },
      cut: () => 0,
      door: () => undefined,
    });
    bare.apply(siege);
    await bare.start();
  });

  /** For so many seconds, `perSecond` connections spread over so many circuits. */
  async function connections(seconds: number, perSecond: number, circuits: number): Promise<void> {
    for (let step = 0; step < seconds * 10; step++) {
      for (let count = 0; count < perSecond / 10; count++) {
        stream('one/1', `one/1#${(step * 31 + count) % circuits}`);
      }
      await bare.clock.advance(100);
    }
  }
  const told = (): Told[] => bare.signals.filter(({ name }) => name === 'siege').map(({ payload }) => payload as Told);

  test('a flood of connections over circuits that are there already: within five seconds, with figures', async () => {
    await connections(90, 10, 40);
    expect(told()).toEqual([]);
    await connections(5, 400, 200);
    expect(told()).toMatchObject([{ head: 'one/1' }]);
    expect(told()[0]?.level).toBeGreaterThanOrEqual(1);
    expect(told()[0]?.why).toMatch(
      /^[\d.]+ connections\/s, usual [\d.]+, threshold [\d.]+(, summed up .*)?, over \d+ client circuits$/,
    );
    await bare.stop();
    expect(unsubscribed).toBe(1);
  });

  test('one client that opens a thousand a second moves no head; nor does what a full proxy turns away', async () => {
    await connections(90, 10, 40);
    await connections(120, 1_000, 1);
    for (let count = 0; count < 10_000; count++) stream('one/1', undefined);
    await bare.clock.advance(5_000);
    expect(told()).toEqual([]);
    await bare.stop();
  });

  test('a service with many connections has a threshold of its own', async () => {
    await connections(900, 80, 200);
    await connections(60, 200, 200);
    expect(told()).toEqual([]);
    await bare.stop();
  });

  test('a flood of introductions is told as one, and streams of heads of others count for nobody', async () => {
    await connections(70, 10, 40);
    for (let id = 1; id <= 200; id++) {
      tor.emitEvent('CIRC', [String(id), 'BUILT', '$A~a'], { PURPOSE: 'HS_SERVICE_REND', REND_QUERY: address });
      for (let count = 0; count < 20; count++) stream('two/1', `two/1#${count}`);
      await bare.clock.advance(20);
    }
    expect(told()).toMatchObject([{ head: 'one/1' }]);
    expect(told()[0]?.why).toMatch(/^[\d.]+ introductions\/s/);
    await bare.stop();
  });
});
