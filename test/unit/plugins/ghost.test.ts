import { beforeEach, describe, expect, test } from 'vitest';
import {
  drainContract,
  electionContract,
  headControlContract,
  meshContract,
  type ClusterRecord,
  type Json,
} from '../../../core/engine/index.ts';
import type { OnionAddress } from '../../../core/onion/index.ts';
import ghost, { step, suspects, type GhostState } from '../../../plugins/ghost/index.ts';
import { createBareHost, createScriptedTor, type BareHost, type ScriptedTor } from './support.ts';
import { makeConsensus } from '../pipeline/support.ts';

const address = 'a'.repeat(56) as OnionAddress;

describe('the rule of ghosts', () => {
  const settings = { graceMs: 900_000, siegeGraceMs: 180_000 };
  const at = (state: GhostState, nowMs: number, listed: boolean | undefined, besieged = false): GhostState =>
    step(state, { nowMs, listed, besieged }, settings);

  test('live, draining, refusing, and live again', () => {
    const live = at({ role: 'idle' }, 0, true);
    const draining = at(live, 1_000, false);
    expect(draining.role).toBe('draining');
    expect(at(draining, 900_999, false).role).toBe('draining');
    expect(at(draining, 901_000, false).role).toBe('refusing');
    expect(at(at(draining, 901_000, false), 902_000, true).role).toBe('live');
  });
  test('a siege shortens the grace, before or after the head left', () => {
    expect(at(at({ role: 'live' }, 0, false, true), 180_000, false).role).toBe('refusing');
    const later = at(at({ role: 'live' }, 0, false), 10_000, false, true);
    expect(at(later, 179_999, false).role).toBe('draining');
    expect(at(later, 180_000, false).role).toBe('refusing');
  });
  test('nothing changes while nobody has told, and what was never live does not refuse', () => {
    expect(at({ role: 'live' }, 1e9, undefined).role).toBe('live');
    expect(at({ role: 'idle' }, 1e9, false).role).toBe('idle');
  });
  test('suspects are what the background does not explain', () => {
    const background = { seconds: 36_000, introductions: 100 };
    expect(suspects(background, 3_600, 9)).toBe(0);
    expect(suspects(background, 3_600, 500)).toBeGreaterThan(450);
  });
});

describe('the plugin', () => {
  let bare: BareHost;
  let tor: ScriptedTor;
  let record: Json;

  beforeEach(async () => {
    bare = createBareHost();
    tor = createScriptedTor(makeConsensus());
    tor.info.set('circuit-status', '');
    bare.provide(electionContract, { publisher: 'two', epoch: 3, elected: false });
    bare.provide(headControlContract, {
      heads: () => [{ head: 'one/1', tor, address, excluded: false }],
      exclude: () => undefined,
      include: () => undefined,
    });
    record = { epoch: 3, heads: ['one/1'], shed: [] };
    bare.provide(meshContract, {
      members: () => [],
      publish: () => undefined,
      records: () => [],
      record: (kind, node): ClusterRecord | undefined =>
        kind === 'live' && node === 'two' ? { node, kind, incarnation: 1, version: 1, value: record } : undefined,
      onChange: () => () => undefined,
      dropped: 0,
      lead: () => undefined,
    });
    bare.apply(ghost, { grace_secs: 200, siege_grace_secs: 180, shed_per_second: 2 });
    await bare.start();
    await bare.clock.advance(1_000);
  });

  const rendezvous = (id: string, state = 'HSSR_JOINED'): void =>
    tor.emitEvent('CIRC', [id, 'BUILT', '$A~a'], { PURPOSE: 'HS_SERVICE_REND', HS_STATE: state, REND_QUERY: address });
  const closed = (): string[] =>
    tor.calls.filter((call) => call.startsWith('closeCircuit')).map((call) => call.slice(13));

  test('others may reckon with its grace', () => {
    expect(bare.given(drainContract)).toEqual({ graceMs: 200_000 });
  });
  test('a live head and a draining one serve; a refusing one keeps what it had and closes what is new', async () => {
    rendezvous('1');
    record = { epoch: 3, heads: ['two/1'], shed: [] };
    await bare.clock.advance(10_000);
    rendezvous('2');
    expect(closed()).toEqual([]);
    await bare.clock.advance(200_000);
    rendezvous('3', 'HSSR_CONNECTING');
    expect(closed()).toEqual([]);
    rendezvous('3');
    rendezvous('4');
    expect(closed()).toEqual(['3', '4']);
    await bare.stop();
  });

  test('only the elected publisher’s word of its own term counts', async () => {
    record = { epoch: 2, heads: [], shed: [] };
    await bare.clock.advance(400_000);
    rendezvous('1');
    expect(closed()).toEqual([]);
    record = ['nonsense'];
    await bare.clock.advance(400_000);
    rendezvous('2');
    expect(closed()).toEqual([]);
    await bare.stop();
  });

  test('a refusing head gives up its introduction points, each as often as tor makes it again', async () => {
    let left = 6;
    tor.info.set('circuit-status', '');
    const closeCircuit = tor.closeCircuit.bind(tor);
    const show = (): void =>
      void tor.info.set(
        'circuit-status',
        left > 0
          ? `${90 + left} BUILT $A~a,$B~b PURPOSE=HS_SERVICE_INTRO HS_STATE=HSSI_ESTABLISHED REND_QUERY=${address}`
          : '',
      );
    show();
    tor.closeCircuit = async (id) => {
      await closeCircuit(id);
      left--;
      show();
    };
    record = { epoch: 3, heads: [], shed: [] };
    await bare.clock.advance(300_000);
    // The fifth and sixth circuit are of a new point at the same relay.
    expect(closed()).toEqual(['96', '95', '94', '93']);
    await bare.stop();
  });

  test('a head that sheds keeps so many in a second', async () => {
    record = { epoch: 3, heads: ['one/1'], shed: ['one/1'] };
    await bare.clock.advance(1_000);
    for (let id = 1; id <= 10; id++) rendezvous(String(id));
    expect(closed()).toHaveLength(8);
    await bare.stop();
  });
});
