import { beforeAll, describe, expect, test } from 'vitest';
import { clientPublicKey } from '../../../core/onion/index.ts';
import { encodeBase32 } from '../../../core/onion/bytes.ts';
import { makeService, toHex, type TestService } from '../onion/support.ts';
import {
  descriptorOf,
  publicPeriod,
  publicTimes,
  runCli,
  testingPeriod,
  testingTimes,
  withFiles,
  type CliRun,
} from './support.ts';

const now = String(publicTimes.validAfter);
let service: TestService;
let text: string;
beforeAll(async () => {
  service = await makeService(1, publicPeriod, publicTimes.validAfter);
  text = descriptorOf(service);
});

const examine = (input: string | Uint8Array, ...more: string[]): Promise<CliRun> =>
  runCli(['debug', 'descriptor', '-', '--address', service.address, '--now', now, ...more], { input });

describe('debug descriptor', () => {
  test('finds the period by itself and shows everything', async () => {
    const { exitCode, json } = await examine(text, '--json');
    expect(exitCode).toBe(0);
    expect(json()).toMatchObject({
      ok: true,
      address: `${service.address}.onion`,
      problems: [],
      period: publicPeriod.number,
      periodLengthMinutes: 1440,
      blindedKey: toHex(service.blinded.publicKey),
      revision: 7,
      lifetimeMinutes: 180,
      restricted: false,
      features: { flowControl: { versions: '1-2', sendmeIncrement: 31 }, singleOnionService: false },
      introPoints: [{ fingerprint: expect.stringMatching(/^[0-9A-F]{40}$/) }, {}, {}],
    });
  });

  test('reads a file too, and prints for people', async () => {
    const { runtime } = await withFiles({ descriptor: text });
    const args = ['debug', 'descriptor', '/files/descriptor', '--address', `${service.address}.onion`, '--now', now];
    const { exitCode, out, err } = await runCli(args, { runtime });
    expect(exitCode).toBe(0);
    expect(err).toBe('');
    expect(out).toContain('genuine and valid');
    expect(out).toMatch(/^3\. [0-9A-F]{40} {2}\d+\.\d+\.\d+\.\d+:9001$/m);
  });

  test.each([-1, 0, 1])('finds a period of a testing network, %s from the current one', async (step) => {
    const period = { ...testingPeriod, number: testingPeriod.number + step };
    const other = await makeService(1, period, testingTimes.validAfter);
    const { exitCode, json } = await examine(descriptorOf(other), '--json');
    expect(exitCode).toBe(0);
    expect(json()).toMatchObject({ period: period.number, periodLengthMinutes: 8 });
  });

  test.each([5, 10, 15, 30, 60, 300])('finds a period of a network that votes every %s s', async (voting) => {
    const period = {
      number: Math.floor((publicTimes.validAfter / 60 - voting / 5) / (0.4 * voting)),
      lengthMinutes: 0.4 * voting,
    };
    const other = await makeService(1, period, publicTimes.validAfter);
    expect((await examine(descriptorOf(other), '--json')).json()).toMatchObject({ ok: true, period: period.number });
  });

  test('takes an unusual length or the times of the consensus when told', async () => {
    const period = { number: Math.floor((publicTimes.validAfter / 60 - 720) / 777), lengthMinutes: 777 };
    const input = descriptorOf(await makeService(1, period, publicTimes.validAfter));
    expect((await examine(input)).exitCode).toBe(1);
    expect((await examine(input, '--period-length', '777')).exitCode).toBe(0);
    const times = ['--valid-after', now, '--voting-seconds', '3600'];
    expect((await examine(input, ...times, '--hsdir-interval', '777')).exitCode).toBe(0);
    expect((await examine(input, ...times)).exitCode).toBe(1);
    expect((await examine(text, ...times)).exitCode).toBe(0);
    const testing = ['--valid-after', now, '--voting-seconds', '20', '--testing-network'];
    expect((await examine(text, ...testing)).exitCode).toBe(1);
  });

  test('of an expired one says so, and that the rest is fine', async () => {
    const { exitCode, json, err } = await runCli(
      [
        'debug',
        'descriptor',
        '-',
        '--address',
        service.address,
        '--now',
        String(publicTimes.validAfter + 60 * 3600),
        '--json',
      ],
      { input: text },
    );
    expect(exitCode).toBe(1);
    expect(err).toMatch(/^error ONION_CERTIFICATE: .*expired 6 h ago$/m);
    const shown = json();
    expect(shown).toMatchObject({ ok: false, problems: [{ code: 'ONION_CERTIFICATE' }], period: publicPeriod.number });
    expect(shown['introPoints']).toHaveLength(3);
  });

  test('names every fault, not only the first', async () => {
    const { exitCode, json } = await runCli(
      [
        'debug',
        'descriptor',
        '-',
        '--address',
        service.address,
        '--now',
        String(publicTimes.validAfter + 60 * 3600),
        '--json',
      ],
      { input: text.replace('revision-counter 7', 'revision-counter 8') },
    );
    expect(exitCode).toBe(1);
    expect(json()).toMatchObject({ problems: [{ code: 'ONION_CERTIFICATE' }, { code: 'ONION_SIGNATURE' }] });
  });

  test('tells a descriptor of somebody else', async () => {
    const stranger = await makeService(2, publicPeriod, publicTimes.validAfter);
    const { exitCode, out, err } = await examine(descriptorOf(stranger));
    expect(exitCode).toBe(1);
    expect(out).toContain('not valid');
    expect(err).toMatch(/^error ONION_WRONG_SERVICE: .*\nfix: /);
  });

  test.each([
    ['a changed byte', (good: string) => good.replace('revision-counter 7', 'revision-counter 8'), 'ONION_SIGNATURE'],
    ['half of it', (good: string) => good.slice(0, good.length / 2), 'ONION_DESCRIPTOR'],
    ['nothing', () => '', 'ONION_DESCRIPTOR'],
    ['something else', () => '\u0000\u0001 no descriptor', 'ONION_DESCRIPTOR'],
  ])('says what is wrong with %s', async (_name, change, code) => {
    const { exitCode, json, err } = await examine(change(text), '--json');
    expect(exitCode).toBe(1);
    expect(json()).toMatchObject({ ok: false, problems: [{ code }] });
    expect(err).toMatch(new RegExp(`^error ${code}: `));
  });

  test('opens a restricted one by the client key in every form', async () => {
    const secret = Uint8Array.from({ length: 32 }, (_, index) => index + 200);
    const input = descriptorOf(service, { clients: [clientPublicKey(secret)] });
    const without = await examine(input);
    expect(without.exitCode).toBe(1);
    expect(without.err).toMatch(/^error ONION_DECRYPT: .*no client key was given$/m);

    const base32 = encodeBase32(secret).toUpperCase();
    const line = `${service.address}:descriptor:x25519:${base32}`;
    const { runtime } = await withFiles({ 'me.auth_private': `${line}\n` });
    const base64 = Buffer.from(secret).toString('base64');
    for (const key of [base32, line, base64, base64.slice(0, 43), toHex(secret), '/files/me.auth_private']) {
      const args = [
        'debug',
        'descriptor',
        '-',
        '--address',
        service.address,
        '--now',
        now,
        '--json',
        '--client-key',
        key,
      ];
      const { exitCode, json } = await runCli(args, { input, runtime });
      expect(exitCode).toBe(0);
      expect(json()).toMatchObject({ ok: true, restricted: true });
    }
  });

  test('refuses a client key of another service, and repeats no secret', async () => {
    const other = await makeService(2, publicPeriod, publicTimes.validAfter);
    const line = `${other.address}:descriptor:x25519:${encodeBase32(new Uint8Array(32).fill(9)).toUpperCase()}`;
    const wrong = await examine(text, '--client-key', line);
    expect(wrong.exitCode).toBe(2);
    expect(wrong.err).toMatch(/^error CLI_USAGE: the client key is for/);
    const mistyped = await examine(text, '--client-key', 'AAAA/secret+of+mine');
    expect(mistyped.exitCode).toBe(2);
    expect(mistyped.err).toMatch(/^error ONION_KEY_FILE: /);
    expect(mistyped.err).not.toContain('secret+of+mine');
  });
});

describe('debug show-onion', () => {
  test('prints the address alone, or JSON', async () => {
    const key = Buffer.from('302e020100300506032b657004220420'.concat('11'.repeat(32)), 'hex').toString('base64');
    const pem = `-----BEGIN PRIVATE KEY-----\n${key}\n-----END PRIVATE KEY-----\n`;
    const { runtime } = await withFiles({
      pem,
      seed: new Uint8Array(32).fill(0x11),
      hostname: `${service.address}.onion\n`,
    });
    const plain = await runCli(['debug', 'show-onion', '--key', '/files/pem'], { runtime });
    expect(plain).toMatchObject({ exitCode: 0, err: '', out: expect.stringMatching(/^[a-z2-7]{56}\.onion\n$/) });
    const json = await runCli(['debug', 'show-onion', '--key', '/files/seed', '--json'], { runtime });
    expect(json.json()).toEqual({ address: plain.out.trim(), publicKey: expect.stringMatching(/^[0-9a-f]{64}$/) });
    const wrong = await runCli(['debug', 'show-onion', '--key', '/files/hostname'], { runtime });
    expect(wrong).toMatchObject({ exitCode: 2, out: '' });
    expect(wrong.err).toMatch(/^error ONION_KEY_FILE: \/files\/hostname: the file holds an onion address.*\nfix: /);
    const missing = await runCli(['debug', 'show-onion', '--key', '/files/none'], { runtime });
    expect(missing).toMatchObject({ exitCode: 2, out: '' });
    expect(missing.err).toMatch(/^error CLI_FILE: \/files\/none: no such file\nfix: /);
  });
});
