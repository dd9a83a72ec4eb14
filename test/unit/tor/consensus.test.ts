import { createHash } from 'node:crypto';
import { afterEach, expect, test } from 'vitest';
import type { TorClient } from '../../../core/engine/contracts/tor.ts';
import type { Consensus } from '../../../core/pipeline/model.ts';
import { createTorClient } from '../../../plugins/tor/client.ts';
import { microdescriptorIdentities, parseConsensus, parseTime } from '../../../plugins/tor/consensus.ts';
import { parts, startControlPort, until, type ControlPort } from './control-port.ts';

const releases: (() => unknown)[] = [];
afterEach(async () => {
  for (const release of releases.splice(0).reverse()) await release();
});

interface MadeRelay {
  readonly flags?: string;
  readonly protocols?: string;
}

const identityOf = (index: number, length: number): Buffer =>
  createHash('sha512').update(`identity ${index}`).digest().subarray(0, length);
const unpadded = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64').replace(/=+$/, '');

function microdescriptor(index: number): string {
  return `onion-key\nntor-onion-key ${unpadded(identityOf(-index - 1, 32))}\nfamily $${'A'.repeat(40)}\nid ed25519 ${unpadded(identityOf(index, 32))}\n`;
}

function makeConsensus(
  relays: readonly MadeRelay[],
  { validAfter = '2026-03-01 12:00:00', freshUntil = '2026-03-01 13:00:00', header = '' } = {},
): string {
  const entries = relays.map(
    ({ flags = 'Fast HSDir Running Stable V2Dir Valid', protocols = 'Cons=1-2 HSDir=1-2 HSIntro=3-5' }, index) =>
      `r nick${index} ${unpadded(identityOf(index, 20))} 2038-01-01 00:00:00 127.0.0.1 5000 0\n` +
      `m ${createHash('sha256').update(microdescriptor(index)).digest('base64').slice(0, 43)}\n` +
      `s ${flags}\nv Tor 0.4.9.11\npr ${protocols}\nw Bandwidth=1\n`,
  );
  return `network-status-version 3 microdesc\nvote-status consensus\nvalid-after ${validAfter}\nfresh-until ${freshUntil}\n${header}dir-source x\n${entries.join('')}directory-footer\nr after the footer\n`;
}

const all = (count: number): string => Array.from({ length: count }, (_, index) => microdescriptor(index)).join('');

test('reads times, shared random values, parameters and relays', () => {
  const srv = (byte: number): string => Buffer.alloc(32, byte).toString('base64');
  const header = `params hsdir_interval=720 hsdir_n_replicas=3 hsdir_spread_store=5 hsdir_spread_fetch=4 cc_sendme_inc=100 x=-1\nshared-rand-previous-value 9 ${srv(1)}\nshared-rand-current-value 9 ${srv(2)}\n`;
  const { consensus, withoutMicrodescriptor } = parseConsensus(makeConsensus([{}, {}], { header }), all(2), false);
  expect(withoutMicrodescriptor).toBe(0);
  expect(consensus).toEqual({
    times: { validAfter: Date.UTC(2026, 2, 1, 12) / 1000, freshUntil: Date.UTC(2026, 2, 1, 13) / 1000 },
    rules: { testingNetwork: false, hsdirIntervalMinutes: 720 },
    ringRules: { replicas: 3, spreadStore: 5, spreadFetch: 4 },
    sharedRandom: { current: new Uint8Array(32).fill(2), previous: new Uint8Array(32).fill(1) },
    sendmeIncrement: 100,
    hsdirs: [0, 1].map((index) => ({
      fingerprint: identityOf(index, 20).toString('hex').toUpperCase(),
      ed25519: new Uint8Array(identityOf(index, 32)),
    })),
  });
});

test('uses the defaults where the consensus says nothing, and clamps what is out of range', () => {
  const plain = parseConsensus(makeConsensus([]), '', true).consensus;
  expect(plain).toMatchObject({
    rules: { testingNetwork: true },
    ringRules: { replicas: 2, spreadStore: 4, spreadFetch: 3 },
    sharedRandom: {},
    sendmeIncrement: 31,
    hsdirs: [],
  });
  expect('hsdirIntervalMinutes' in plain.rules).toBe(false);
  const header = 'params hsdir_n_replicas=0 hsdir_spread_store=999 cc_sendme_inc=255\n';
  expect(parseConsensus(makeConsensus([], { header }), '', false).consensus).toMatchObject({
    ringRules: { replicas: 1, spreadStore: 128, spreadFetch: 3 },
    sendmeIncrement: 254,
  });
});

test('takes relays with flag HSDir, HSDir=2 and a microdescriptor, and counts those without the last', () => {
  const relays: MadeRelay[] = [
    {},
    { flags: 'Fast Running NotHSDir' },
    { protocols: 'Cons=1-2 HSDir=1 HSIntro=3' },
    { protocols: 'Cons=1 HSDir=2' },
    { protocols: 'Cons=1 XHSDir=2' },
    {},
  ];
  const { consensus, withoutMicrodescriptor } = parseConsensus(makeConsensus(relays), all(5), false);
  expect(withoutMicrodescriptor).toBe(1);
  expect(consensus.hsdirs.map(({ fingerprint }) => fingerprint)).toEqual(
    [0, 3].map((index) => identityOf(index, 20).toString('hex').toUpperCase()),
  );
});

test('microdescriptors without an Ed25519 identity, or with a false one, are passed over', () => {
  const text = `onion-key\nid rsa1024 AAAA\n${microdescriptor(7)}onion-key\nid ed25519 AAAA\nonion-key\nid ed25519 ${unpadded(identityOf(8, 32))}`;
  expect([...microdescriptorIdentities(text).values()]).toEqual([
    new Uint8Array(identityOf(7, 32)),
    new Uint8Array(identityOf(8, 32)),
  ]);
});

test.each([
  ['another document', 'hs-descriptor 3\n'],
  ['the full consensus', makeConsensus([]).replace(' microdesc', '')],
  ['no times', 'network-status-version 3 microdesc\n'],
  ['times that make no interval', makeConsensus([], { freshUntil: '2026-03-01 12:00:00' })],
  ['a time that is none', makeConsensus([], { validAfter: '2026-03-01T12:00:00' })],
])('refuses %s', (_name, text) => {
  expect(() => parseConsensus(text, '', false)).toThrow('the consensus that tor gave cannot be read');
});

test('reads times as UTC', () => {
  expect(parseTime('2016-04-13 11:00:00')).toBe(1_460_545_200);
  expect(parseTime('2016-04-13 11:00')).toBeUndefined();
});

/** A tor with a consensus that the test changes. */
interface World {
  consensus: string;
  microdescriptors: string;
  validAfter: string;
}

async function meet(world: World): Promise<{ port: ControlPort; client: TorClient }> {
  const data = (key: string, text: string): string => `250+${key}=\r\n${text.replace(/\n/g, '\r\n')}.\r\n250 OK\r\n`;
  const port = await startControlPort({
    answer: (line) => {
      if (line === 'GETINFO consensus/valid-after')
        return world.validAfter === ''
          ? '551 No consensus available\r\n'
          : `250-consensus/valid-after=${world.validAfter}\r\n250 OK\r\n`;
      if (line.endsWith('/consensus-microdesc')) return data(line.slice(8), world.consensus);
      if (line === 'GETINFO md/all') return data('md/all', world.microdescriptors);
      if (line === 'GETCONF TestingTorNetwork') return '250 TestingTorNetwork=1\r\n';
      return undefined;
    },
  });
  const client = createTorClient(parts(), { control: port.endpoint });
  releases.push(
    () => port.close(),
    () => client.close(),
  );
  await client.ready(5000);
  return { port, client };
}

const noon = { validAfter: '2026-03-01 12:00:00', freshUntil: '2026-03-01 13:00:00' };
const later = { validAfter: '2026-03-01 13:00:00', freshUntil: '2026-03-01 14:00:00' };

test('the consensus is read once, and is the same object while tor has no other', async () => {
  const world: World = {
    consensus: makeConsensus([{}, {}], noon),
    microdescriptors: all(2),
    validAfter: noon.validAfter,
  };
  const { port, client } = await meet(world);
  const [one, two] = await Promise.all([client.consensus(), client.consensus()]);
  expect(await client.consensus()).toBe(one);
  expect(two).toBe(one);
  expect(one.rules.testingNetwork).toBe(true);
  expect(one.hsdirs).toHaveLength(2);
  expect(port.commands('GETINFO').filter((line) => line === 'GETINFO md/all')).toHaveLength(1);

  Object.assign(world, {
    consensus: makeConsensus([{}], later),
    microdescriptors: all(1),
    validAfter: later.validAfter,
  });
  const next = await client.consensus();
  expect(next.times.validAfter).toBe(one.times.validAfter + 3600);
  expect(next.hsdirs).toHaveLength(1);
});

test('listeners hear of a consensus that has arrived, and of microdescriptors that came later', async () => {
  const world: World = {
    consensus: makeConsensus([{}, {}], noon),
    microdescriptors: all(2),
    validAfter: noon.validAfter,
  };
  const { port, client } = await meet(world);
  const heard: Consensus[] = [];
  const stop = client.onConsensus((consensus) => heard.push(consensus));
  await until(() => heard.length === 1);
  Object.assign(world, { consensus: makeConsensus([{}, {}, {}], later), validAfter: later.validAfter });
  port.sessions[0]?.say('650 STATUS_CLIENT NOTICE CONSENSUS_ARRIVED\r\n');
  await until(() => heard.length === 2);
  expect(heard[1]?.hsdirs).toHaveLength(2);
  world.microdescriptors = all(3);
  await until(() => heard.length === 3);
  expect(heard[2]?.hsdirs).toHaveLength(3);
  expect(await client.consensus()).toBe(heard[2]);
  stop();
  await until(() => port.sessions[0]?.commands.at(-1) === 'SETEVENTS');
});

test('a tor without a consensus says so', async () => {
  const { client } = await meet({ consensus: '', microdescriptors: '', validAfter: '' });
  await expect(client.consensus()).rejects.toMatchObject({
    code: 'TOR_CONSENSUS',
    remedy: expect.stringContaining('bootstrapped'),
  });
});
