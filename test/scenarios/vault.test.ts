/** The vault with the real command: the key comes by passphrase, and no byte of it reaches a disk, a log or a list of processes. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { encodeBase32 } from '../../core/onion/bytes.ts';
import { masterKeyFromSeed, addressOfKey, type MasterKey } from '../../core/onion/index.ts';
import { formatEndpoint } from '../../core/runtime/index.ts';
import { sealMasterKey } from '../../plugins/signer/vault/index.ts';
import {
  addTor,
  createWorld,
  directoryOf,
  published,
  runNode,
  runtime,
  stopped,
  told,
  type Tables,
  type Tor,
} from './newcomer/world.ts';

vi.setConfig({ testTimeout: 120_000 });

const passphrase = 'six random words are a passphrase';
const world = createWorld();

interface Place {
  /** Everything that the node may write to. */
  readonly directory: string;
  readonly tor: Tor;
  readonly key: MasterKey;
  readonly tables: Tables;
}

async function place(more: Tables = {}): Promise<Place> {
  const directory = directoryOf(world);
  const key = masterKeyFromSeed(runtime.random.bytes(32));
  mkdirSync(`${directory}/state`);
  writeFileSync(`${directory}/master.sealed`, await sealMasterKey(key, Buffer.from(passphrase), runtime.random, 14));
  const tor = await addTor(world);
  const tables: Tables = {
    node: { id: 'node', state_directory: `${directory}/state` },
    vault: { sealed_key_path: `${directory}/master.sealed` },
    tor: { control: formatEndpoint(tor.control) },
    plugins: { remove: ['signer/file'], add: ['signer/vault'] },
    log: { format: 'json', level: 'debug' },
    schedule: { retry_min_ms: 200, retry_max_ms: 1_000 },
    ...more,
  };
  return { directory, tor, key, tables };
}

function filesUnder(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name);
    return entry.isDirectory() ? filesUnder(path) : [path];
  });
}

/** Every spelling of the two halves of the secret. */
function spellings({ expandedSecret }: MasterKey): Buffer[] {
  return [expandedSecret.subarray(0, 32), expandedSecret.subarray(32)].flatMap((bytes) => {
    const half = Buffer.from(bytes);
    const texts = [
      half.toString('hex'),
      half.toString('hex').toUpperCase(),
      half.toString('base64').slice(0, 42),
      half.toString('base64url').slice(0, 42),
      encodeBase32(half).slice(0, 50),
    ];
    return [half.subarray(0, 16), half.subarray(16), ...texts.map((text) => Buffer.from(text))];
  });
}

/** The files that hold any of it. */
function leaks(key: MasterKey, paths: readonly string[]): string[] {
  const secrets = spellings(key);
  return paths.filter((path) => {
    const content = statSync(path).isFile() ? readFileSync(path) : Buffer.alloc(0);
    return secrets.some((secret) => content.includes(secret));
  });
}

describe.concurrent('a node with the vault', () => {
  test('starts with the passphrase on a file descriptor, publishes, and leaves no byte of the key anywhere', async () => {
    const { directory, tor, key, tables } = await place();
    const node = runNode(world, tables, { args: ['--passphrase-fd', '3'], descriptor: `${passphrase}\n` });
    await node.line(published);
    const everywhere = (): string[] => [...filesUnder(directory), ...filesUnder(tor.dataDirectory)];
    expect(everywhere().length).toBeGreaterThan(2);
    expect(leaks(key, everywhere())).toEqual([]);
    const seen = ['cmdline', 'environ'].map((name) => readFileSync(`/proc/${node.pid}/${name}`, 'latin1'));
    expect(seen.join('')).not.toContain(passphrase);
    // Node's inspector, which would show every user of the machine its memory, stays closed.
    node.kill('SIGUSR1');
    const { code, err } = await stopped(node);
    expect([code, err.includes('Debugger')]).toEqual([0, false]);
    expect(leaks(key, everywhere())).toEqual([]);
    for (const secret of [passphrase, ...spellings(key).map((each) => each.toString('latin1'))]) {
      expect(err.includes(secret)).toBe(false);
    }
    // The search itself would find it.
    writeFileSync(`${directory}/state/leak`, Buffer.concat([Buffer.from('x'), key.expandedSecret]));
    expect(leaks(key, everywhere())).toEqual([`${directory}/state/leak`]);
  });

  test('takes the passphrase from the credential of systemd', async () => {
    const { directory, tables } = await place();
    mkdirSync(`${directory}/credentials`);
    writeFileSync(`${directory}/credentials/chimera-vault-passphrase`, `${passphrase}\n`, { mode: 0o400 });
    const node = runNode(world, tables, { environment: { CREDENTIALS_DIRECTORY: `${directory}/credentials` } });
    await node.line(published);
    expect(await stopped(node)).toMatchObject({ code: 0 });
  });

  test('does not start with a wrong one, or without one', async () => {
    const { tables } = await place();
    const wrong = await runNode(world, tables, { args: ['--passphrase-fd', '3'], descriptor: 'another' }).ended;
    expect([wrong.code, told(wrong.err).code]).toEqual([2, 'VAULT_PASSPHRASE']);
    const none = await runNode(world, tables, { args: ['--passphrase-fd', '3'], descriptor: '' }).ended;
    expect([none.code, told(none.err).code]).toEqual([2, 'VAULT_NO_SOURCE']);
    const closed = await runNode(world, tables, { args: ['--passphrase-fd', '77'] }).ended;
    expect([closed.code, told(closed.err).code]).toEqual([2, 'CLI_FILE']);
  });

  test('gives the key to a tor in memory alone, and takes it back at the stop', async () => {
    const memory = mkdtempSync('/dev/shm/chimera-vault-');
    try {
      const shared = { remove: ['signer/file', 'heads/disposable'], add: ['signer/vault', 'heads/shared'] };
      const { directory, key, tor, tables } = await place({ plugins: shared, heads: { hidden_service_dir: memory } });
      const node = runNode(world, tables, { args: ['--passphrase-fd', '3'], descriptor: passphrase });
      await node.line(published);
      expect(leaks(key, filesUnder(memory))).toHaveLength(1);
      expect(leaks(key, [...filesUnder(directory), ...filesUnder(tor.dataDirectory)])).toEqual([]);
      expect(await stopped(node)).toMatchObject({ code: 0 });
      expect(existsSync(memory) ? filesUnder(memory) : []).toEqual([]);
    } finally {
      rmSync(memory, { recursive: true, force: true });
    }
  });

  test('refuses to give it to a tor on a disk', async () => {
    const shared = { remove: ['signer/file', 'heads/disposable'], add: ['signer/vault', 'heads/shared'] };
    const { directory, key, tor, tables } = await place({ plugins: shared });
    const node = runNode(world, tables, { args: ['--passphrase-fd', '3'], descriptor: passphrase });
    const { error } = await node.line(({ message }) => message === 'the head cannot be set up');
    expect(error).toMatchObject({ code: 'VAULT_ON_DISK' });
    expect(await stopped(node)).toMatchObject({ code: 0 });
    expect(leaks(key, [...filesUnder(directory), ...filesUnder(tor.dataDirectory)])).toEqual([]);
  });
});

test('chimera vault seal | show | unseal as processes', async () => {
  const directory = directoryOf(world);
  const seed = runtime.random.bytes(32);
  const { publicKey } = masterKeyFromSeed(seed);
  writeFileSync(`${directory}/key`, seed);
  const run = (args: readonly string[], descriptor?: string) =>
    world.command.start(['vault', ...args], descriptor === undefined ? {} : { descriptor }).ended;
  const sealing = ['seal', `${directory}/key`, '--out', `${directory}/sealed`, '--new-passphrase-fd', '3'];
  expect(await run(sealing, passphrase)).toMatchObject({ code: 0 });
  expect((await run(['show', `${directory}/sealed`])).out).toContain(addressOfKey(publicKey));
  const back = ['unseal', `${directory}/sealed`, '--out', `${directory}/clear`, '--passphrase-fd', '3'];
  expect(await run(back, passphrase)).toMatchObject({ code: 0 });
  expect(statSync(`${directory}/clear`).mode & 0o777).toBe(0o600);
  expect(readFileSync(`${directory}/clear`)).toHaveLength(96);
});
