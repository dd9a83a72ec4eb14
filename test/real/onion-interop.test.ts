/** Descriptors between Chimera and Debian's python3-stem and onionbalance, both ways. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import {
  addressOfKey,
  blindingFactor,
  encodeDescriptor,
  encodeLinkSpecifiers,
  masterKeyFromSeed,
  openDescriptor,
  timePeriodAt,
} from '../../core/onion/index.ts';
import type { EncodeOptions, IntroPoint } from '../../core/onion/index.ts';
import { makeIntroPoints, makeService, plainFeatures } from '../unit/onion/support.ts';
import { describeReal } from './require.ts';

interface Answer {
  readonly read: readonly {
    readonly revision: string;
    readonly lifetime: number;
    readonly single: boolean;
    readonly formats: readonly number[];
    readonly introPoints: readonly Record<'onionKey' | 'authKey' | 'encKey' | 'specifiers', string>[];
  }[];
  readonly merged: string;
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

function asStemSays(point: IntroPoint): Answer['read'][number]['introPoints'][number] {
  return {
    onionKey: base64(point.onionKey),
    authKey: base64(point.authKey),
    encKey: base64(point.encKey),
    specifiers: base64(encodeLinkSpecifiers(point.linkSpecifiers).subarray(1)),
  };
}

describeReal('descriptors between Chimera, stem and OnionBalance', ['python3-stem', 'onionbalance'], () => {
  // Both check certificates against the clock of the machine.
  const now = Math.floor(Date.now() / 1000);
  const times = { validAfter: now - (now % 3600), freshUntil: now - (now % 3600) + 3600 };
  const period = timePeriodAt(times, { testingNetwork: false });

  test('ours are decoded by stem and OnionBalance; what OnionBalance merges of them is opened', async () => {
    const service = await makeService(1, period, now);
    const points = makeIntroPoints(20, service.random, true);
    const encode = (options: Partial<EncodeOptions>): string =>
      encodeDescriptor(service.material, {
        subcredential: service.subcredential,
        revision: 2n ** 34n + 5n,
        introPoints: points,
        features: plainFeatures,
        now,
        random: service.random,
        ...options,
      });
    const seed = service.random.bytes(32);
    const master = masterKeyFromSeed(seed);
    const masterAddress = addressOfKey(master.publicKey);
    const job = {
      address: service.address,
      texts: [
        encode({ introPoints: points.slice(0, 3) }),
        encode({ introPoints: points.slice(3, 4), features: { singleOnionService: true } }),
        encode({}),
      ],
      masterAddress,
      masterSeed: Buffer.from(seed).toString('hex'),
      blindingFactor: Buffer.from(blindingFactor(master.publicKey, period)).toString('hex'),
      revision: 4711,
    };
    const script = fileURLToPath(new URL('fixtures/interop.py', import.meta.url));
    const python = spawnSync('/usr/bin/python3', [script], {
      input: JSON.stringify(job),
      encoding: 'utf8',
      timeout: 120_000,
    });
    expect(python.stderr).not.toContain('Traceback');
    const answer = JSON.parse(python.stdout) as Answer;

    const common = { revision: String(2n ** 34n + 5n), lifetime: 180, single: false, formats: [2] };
    expect(answer.read).toEqual([
      { ...common, introPoints: points.slice(0, 3).map(asStemSays) },
      { ...common, single: true, introPoints: points.slice(3, 4).map(asStemSays) },
      { ...common, introPoints: points.map(asStemSays) },
    ]);
    const merged = openDescriptor(answer.merged, { address: masterAddress, periods: [period], now });
    expect(merged.revision).toBe(4711n);
    expect(merged.features).toEqual({ singleOnionService: false });
    // OnionBalance shuffles.
    expect(new Set(merged.introPoints)).toEqual(new Set(points.slice(0, 3)));
  });
});
