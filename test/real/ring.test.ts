/**
 * Periods, blinded keys and rings against a live tor: it is asked for descriptors that nobody has, and tells by its HS_DESC
 * events which HSDirs it asks and for which blinded key. CHIMERA_RING_KEYS sets how many random services (1,000 take long).
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  addressOfKey,
  blindedPublicKey,
  clientSlot,
  createRingCache,
  masterKeyFromSeed,
  responsibleHsdirs,
} from '../../core/onion/index.ts';
import { systemRuntime } from '../../core/runtime/index.ts';
import { createTorClient } from '../../plugins/tor/index.ts';
import { startPrivateNetwork, type PrivateNetwork } from '../kit/network/private/index.ts';
import { describeReal } from './require.ts';

const keys = Number(process.env.CHIMERA_RING_KEYS ?? 40);
const askedAtOnce = 8;
/** Tor asks those that are left then, and none twice in a quarter of an hour. */
const askAgainMs = 10_000;

interface Asked {
  readonly blinded: Set<string>;
  readonly fingerprints: Set<string>;
  failed: number;
}

describeReal('the HSDir ring of a live tor', ['tor'], () => {
  const runtime = systemRuntime();
  let network: PrivateNetwork;

  beforeAll(async () => {
    network = await startPrivateNetwork(runtime, { authorities: 3, relays: 17 });
  });
  afterAll(async () => {
    await network?.stop();
  });

  test(`agrees with ours for ${keys} random services`, { timeout: 60_000 + keys * 3_000 }, async () => {
    const instance = await network.addTor({ name: 'asker', socks: true });
    await network.ready();
    const tor = createTorClient(runtime, { control: instance.control });
    await tor.ready(30_000);
    const asked = new Map<string, Asked>();
    tor.onEvent('HS_DESC', ({ words }) => {
      const [action, address = '', , hsdir = '', descriptor = ''] = words;
      const entry = asked.get(address);
      if (entry === undefined) return;
      if (action === 'FAILED') entry.failed++;
      if (action !== 'REQUESTED') return;
      entry.fingerprints.add(hsdir.slice(1, 41));
      entry.blinded.add(descriptor);
    });
    const ringOf = createRingCache();
    let compared = 0;
    let crossed = 0;

    const one = async (): Promise<void> => {
      const master = masterKeyFromSeed(runtime.random.bytes(32));
      const address = addressOfKey(master.publicKey);
      const entry: Asked = { blinded: new Set(), fingerprints: new Set(), failed: 0 };
      asked.set(address, entry);
      const before = await tor.consensus();
      await tor.command(`HSFETCH ${address}`);
      const slot = clientSlot(before.times, before.rules, before.sharedRandom);
      const ring = ringOf(before.hsdirs, slot.srv, slot.period);
      const blinded = blindedPublicKey(master.publicKey, slot.period);
      const responsible = responsibleHsdirs(ring, blinded, slot.period, before.ringRules, 'fetch');
      const ours = new Set(responsible.map(({ fingerprint }) => fingerprint));
      for (let waited = 0; waited < 40_000 && entry.failed < ours.size; waited += 100) {
        // On a failure tor goes on to the next HSDir by itself, but not while it lacks directory information (hs_client.c).
        if (waited > 0 && waited % askAgainMs === 0) await tor.command(`HSFETCH ${address}`);
        await runtime.clock.sleep(100);
      }
      const after = await tor.consensus();
      const next = clientSlot(after.times, after.rules, after.sharedRandom);
      asked.delete(address);
      // A rollover in mid-question makes tor ask by two rings: nothing can be said of it.
      if (next.period.number !== slot.period.number || Buffer.compare(next.srv, slot.srv) !== 0) {
        crossed++;
        return;
      }
      expect([...entry.blinded]).toEqual([Buffer.from(blinded).toString('base64').replace(/=+$/, '')]);
      expect([...entry.fingerprints].sort()).toEqual([...ours].sort());
      compared++;
    };
    const rest = Array.from({ length: keys }, () => one);
    const worker = async (): Promise<void> => {
      for (let next = rest.shift(); next !== undefined; next = rest.shift()) await next();
    };
    await Promise.all(Array.from({ length: askedAtOnce }, worker));
    await tor.close();
    expect(compared + crossed).toBe(keys);
    expect(compared).toBeGreaterThan(keys / 2);
  });
});
