import { describe, expect, test } from 'vitest';
import {
  blindedKey,
  clientPublicKey,
  descriptorSlots,
  introPointId,
  openDescriptor,
  opeRevision,
  type Descriptor,
  type PeriodRules,
} from '../../../core/onion/index.ts';
import type { MemoryStore } from '../../kit/sim/memory-store.ts';
import { toHex, type TestService } from '../onion/support.ts';
import {
  descriptorOf,
  makeCast,
  publicPeriod,
  publicTimes,
  runCli,
  testingPeriod,
  testingRules,
  testingTimes,
  withFiles,
  type CliRun,
} from './support.ts';

interface World {
  readonly master: TestService;
  readonly backends: readonly TestService[];
  readonly store: MemoryStore;
  readonly merge: (backends: readonly string[], ...more: string[]) => Promise<CliRun>;
  readonly written: (slot: 'first' | 'second', clientKey?: Uint8Array) => Promise<Descriptor>;
  readonly backendArguments: readonly string[];
}

/** Three backends with 3, 3 and `third` introduction points, and their master. */
async function makeWorld(
  options: { testing?: boolean; third?: number; files?: Record<string, string> } = {},
): Promise<World> {
  const times = options.testing ? testingTimes : publicTimes;
  const rules: PeriodRules = options.testing ? testingRules : { testingNetwork: false };
  const { validAfter: now } = times;
  const cast = await makeCast(options.testing ? testingPeriod : publicPeriod, now);
  const files: Record<string, string | Uint8Array> = { key: cast.keyFile, ...options.files };
  cast.backends.forEach((backend, index) => {
    files[`backend${index}`] = descriptorOf(backend, { introPoints: index === 2 ? (options.third ?? 3) : 3, now });
  });
  const { store, runtime } = await withFiles(files);
  const votingSeconds = String(times.freshUntil - times.validAfter);
  const base = [
    'debug',
    'merge',
    '--key',
    '/files/key',
    '--valid-after',
    String(now),
    '--voting-seconds',
    votingSeconds,
  ];
  const slots = descriptorSlots(times, rules, {});
  return {
    ...cast,
    store,
    merge: (backends, ...more) =>
      runCli(
        [
          ...base,
          ...(options.testing ? ['--testing-network'] : []),
          ...backends.flatMap((backend) => ['--backend', backend]),
          '--out',
          '/files/out',
          ...more,
        ],
        { runtime },
      ),
    written: async (slot, clientKey) =>
      openDescriptor((await store.read(`/files/out/${slot}`)) ?? '', {
        address: cast.master.address,
        periods: [slots[slot].period],
        now,
        ...(clientKey === undefined ? {} : { clientKey }),
      }),
    // Addresses with and without ".onion".
    backendArguments: cast.backends.map(
      ({ address }, index) => `${address}${index === 1 ? '' : '.onion'}=/files/backend${index}`,
    ),
  };
}

describe('debug merge', () => {
  test.each([false, true])(
    'writes both descriptors and says what is in them (testing network: %s)',
    async (testing) => {
      const world = await makeWorld({ testing });
      const { exitCode, err, json } = await world.merge(world.backendArguments);
      expect([exitCode, err]).toEqual([0, '']);
      const printed = json() as Record<'first' | 'second', { introPoints: { id: string; backend: string }[] }>;
      expect(printed).toMatchObject({ address: `${world.master.address}.onion`, leftOut: [] });
      const times = testing ? testingTimes : publicTimes;
      const slots = descriptorSlots(times, { testingNetwork: testing }, {});
      expect(printed).toMatchObject({ clientUses: slots.clientUses });
      for (const slot of ['first', 'second'] as const) {
        const descriptor = await world.written(slot);
        const { period, revisionStart } = slots[slot];
        const blinded = blindedKey(world.master.master, period);
        expect(printed[slot]).toMatchObject({
          file: `/files/out/${slot}`,
          period: period.number,
          periodLengthMinutes: period.lengthMinutes,
          blindedKey: toHex(blinded.publicKey),
          // Epoch 0 is C tor's own counter: both times are the command line's.
          revision: Number(opeRevision(blinded, times.validAfter - revisionStart)),
        });
        expect(Number(descriptor.revision)).toBe((printed[slot] as { revision?: number }).revision);
        expect(printed[slot].introPoints.map(({ id }) => id)).toEqual(descriptor.introPoints.map(introPointId));
        expect(descriptor.introPoints).toHaveLength(9);
        expect(descriptor.features).toEqual({
          flowControl: { versions: '1-2', sendmeIncrement: 31 },
          singleOnionService: false,
        });
        const mergedOf = ({ address }: TestService): number =>
          printed[slot].introPoints.filter(({ backend }) => backend === `${address}.onion`).length;
        expect(world.backends.map(mergedOf)).toEqual([3, 3, 3]);
      }
    },
  );

  test('takes 20 introduction points at most, in equal shares', async () => {
    const world = await makeWorld({ third: 20 });
    const { json } = await world.merge(world.backendArguments);
    expect((await world.written('first')).introPoints).toHaveLength(20);
    const backends = json()['backends'] as { introPoints: number; merged: number }[];
    expect(backends.map(({ merged }) => merged).sort((a, b) => a - b)).toEqual([3, 3, 14]);
  });

  test('names a backend whose descriptor does not verify, and leaves it out', async () => {
    const world = await makeWorld({ files: { garbage: 'no descriptor\n' } });
    const [one = '', two = ''] = world.backendArguments;
    const [, second, third] = world.backends;
    const { exitCode, err, json } = await world.merge([
      one,
      // The descriptor of another backend, and no descriptor at all.
      two.replace('backend1', 'backend0'),
      `${third?.address}=/files/garbage`,
    ]);
    expect(exitCode).toBe(0);
    expect(json()['leftOut']).toMatchObject([
      { address: `${second?.address}.onion`, file: '/files/backend0', code: 'ONION_WRONG_SERVICE' },
      { address: `${third?.address}.onion`, file: '/files/garbage', code: 'ONION_DESCRIPTOR' },
    ]);
    expect(err).toContain(`left out ${second?.address}.onion (/files/backend0): ONION_WRONG_SERVICE: `);
    expect(err).toContain(`left out ${third?.address}.onion (/files/garbage): ONION_DESCRIPTOR: `);
    expect((await world.written('second')).introPoints).toHaveLength(3);
  });

  test('fails and writes nothing when no backend is left', async () => {
    const world = await makeWorld();
    const [one = '', two = ''] = world.backendArguments;
    const { exitCode, err, json } = await world.merge([
      one.replace('backend0', 'backend1'),
      two.replace('backend1', 'backend0'),
    ]);
    expect(exitCode).toBe(1);
    expect(err).toMatch(/^error CYCLE_NO_CANDIDATES: /m);
    expect(json()['leftOut']).toHaveLength(2);
    expect(world.store.files().filter((path) => path.startsWith('/files/out'))).toEqual([]);
  });

  test('leaves out what has expired at --now', async () => {
    const world = await makeWorld();
    const later = String(publicTimes.validAfter + 60 * 3600);
    const { exitCode, json } = await world.merge(world.backendArguments, '--now', later);
    expect(exitCode).toBe(1);
    expect(json()['leftOut']).toMatchObject([
      { code: 'ONION_CERTIFICATE' },
      { code: 'ONION_CERTIFICATE' },
      { code: 'ONION_CERTIFICATE' },
    ]);
  });

  test('counts an introduction point once, whichever descriptor of a backend has it', async () => {
    const world = await makeWorld();
    const [one = ''] = world.backendArguments;
    expect((await world.merge([one, one])).exitCode).toBe(0);
    expect((await world.written('first')).introPoints).toHaveLength(3);
  });

  test('promises flow control only at the increment of the consensus', async () => {
    const world = await makeWorld();
    expect((await world.merge(world.backendArguments, '--sendme-inc', '32')).exitCode).toBe(0);
    expect((await world.written('first')).features.flowControl?.sendmeIncrement).toBe(32);
    expect((await world.merge(world.backendArguments, '--sendme-inc', '40')).exitCode).toBe(0);
    expect((await world.written('first')).features.flowControl).toBeUndefined();
  });

  test('authorizes clients', async () => {
    const world = await makeWorld();
    const secret = new Uint8Array(32).fill(5);
    const publicKey = Buffer.from(clientPublicKey(secret)).toString('base64');
    expect((await world.merge(world.backendArguments, '--client', publicKey)).exitCode).toBe(0);
    await expect(world.written('first')).rejects.toMatchObject({ code: 'ONION_DECRYPT' });
    expect(await world.written('first', secret)).toMatchObject({ restricted: true });
  });

  test.each([
    ['an address that is none', ['foo.onion=/files/backend0'], 'ONION_ADDRESS'],
    ['a backend without a file', ['foo'], 'CLI_USAGE'],
    ['a file that is not there', ['25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkenl5sid=/files/none'], 'CLI_FILE'],
  ])('refuses %s', async (_name, backends, code) => {
    const { exitCode, out, err } = await (await makeWorld()).merge(backends);
    expect([exitCode, out]).toEqual([2, '']);
    expect(err).toMatch(new RegExp(`^error ${code}: .*\nfix: `));
  });

  test('says so when the disk is full', async () => {
    const world = await makeWorld();
    world.store.full = true;
    const { exitCode, out, err } = await world.merge(world.backendArguments);
    expect([exitCode, out]).toEqual([2, '']);
    expect(err).toMatch(/^error CLI_FILE: \/files\/out cannot be written: .*no space left.*\nfix: /);
  });
});
