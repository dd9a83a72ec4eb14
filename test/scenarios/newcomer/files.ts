/** What is wrong with the files that an operator writes or points to: key, addresses, configuration, state, directories. */
import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  addressOfKey,
  encodePublicKeyFile,
  encodeSecretKeyFile,
  masterKeyFromSeed,
} from '../../../core/onion/index.ts';
import { formatEndpoint } from '../../../core/runtime/index.ts';
import {
  addTor,
  directoryOf,
  makeMaster,
  published,
  runNode,
  servicesOf,
  stopped,
  tablesFor,
  told,
  type World,
} from './world.ts';

const other = masterKeyFromSeed(new Uint8Array(32).fill(9));
const otherAddress = addressOfKey(other.publicKey);
/** One letter of an address mistyped. */
const mistyped = `${otherAddress.startsWith('a') ? 'b' : 'a'}${otherAddress.slice(1)}.onion`;
const rsa = (): string =>
  generateKeyPairSync('rsa', { modulusLength: 1_024 }).privateKey.export({ format: 'pem', type: 'pkcs1' }).toString();

export function describeFiles(world: World): void {
  describe('the master key file is of the wrong kind', () => {
    test.for<[string, (path: string) => void, string, string]>([
      [
        'the public key',
        (path) => writeFileSync(path, encodePublicKeyFile(other.publicKey)),
        'ONION_KEY_FILE',
        'the file is a public key file',
      ],
      [
        'a version 2 key',
        (path) => writeFileSync(path, rsa()),
        'ONION_KEY_FILE',
        'a PEM RSA key, as version 2 onion services had',
      ],
      ['empty', (path) => writeFileSync(path, ''), 'ONION_KEY_FILE', 'the key file is empty'],
      ['a directory', (path) => mkdirSync(path), 'MASTER_KEY_UNREADABLE', 'EISDIR'],
      ['missing', () => undefined, 'MASTER_KEY_UNREADABLE', 'no such file'],
      [
        'not readable',
        (path) => writeFileSync(path, encodeSecretKeyFile(other), { mode: 0o000 }),
        'MASTER_KEY_UNREADABLE',
        'EACCES',
      ],
    ])('%s', async ([_name, make, expected, said]) => {
      const path = join(directoryOf(world), 'key');
      make(path);
      const tor = await addTor(world);
      const tables = tablesFor(tor.control, { ...makeMaster(world), path }, { log: { level: 'silent' } });
      const ended = await runNode(world, tables, { deprived: true }).ended;
      const { code, message, fix } = told(ended.err);
      expect({ exit: ended.code, code }).toEqual({ exit: 2, code: expected });
      expect(message).toContain(`master.identity_key_path: ${path}: `);
      expect(message).toContain(said);
      expect(fix).toMatch(/hs_ed25519_secret_key|version 3|let the user/);
      expect(await servicesOf(tor)).toEqual([]);
    });
  });

  describe('an address', () => {
    test('of another key', async () => {
      const tor = await addTor(world);
      const master = makeMaster(world);
      const tables = tablesFor(tor.control, master, { master: { onion_address: `${otherAddress}.onion` } });
      const ended = await runNode(world, tables).ended;
      const { code, message } = told(ended.err);
      expect({ exit: ended.code, code }).toEqual({ exit: 2, code: 'CONFIG_INVALID' });
      expect(message).toBe(
        `master.onion_address = ${otherAddress}.onion: the key file belongs to ${master.address}.onion`,
      );
    });

    test.for([
      ['master.onion_address', (address: string) => ({ master: { onion_address: address } })],
      [
        'backends.addresses.1',
        (address: string) => ({ preset: 'standalone', backends: { addresses: [otherAddress, address] } }),
      ],
    ] as const)('mistyped, in %s: found before anything is started', async ([place, tables]) => {
      const control = { host: '127.0.0.1', port: 1 };
      const ended = await runNode(world, tablesFor(control, makeMaster(world), tables(mistyped))).ended;
      const { code, message } = told(ended.err);
      expect({ exit: ended.code, code }).toEqual({ exit: 2, code: 'CONFIG_INVALID' });
      expect(message).toContain(`${place} = "${mistyped}": `);
      expect(message).toMatch(/checksum/);
    });

    test('the master’s own among the backends', async () => {
      const tor = await addTor(world);
      const master = makeMaster(world);
      const backends = { addresses: [otherAddress, master.address] };
      const tables = tablesFor(tor.control, master, { preset: 'standalone', backends });
      const ended = await runNode(world, tables).ended;
      const { code, message } = told(ended.err);
      expect({ exit: ended.code, code }).toEqual({ exit: 2, code: 'CONFIG_INVALID' });
      expect(message).toContain(`backends.addresses = ${master.address}.onion`);
    });

    test.for([
      ['debug', 'hsdirs', '--address', mistyped],
      ['debug', 'fetch', 'example.onion'],
      ['debug', 'connect', mistyped],
    ])('mistyped, for %s %s', async (args) => {
      const ended = await world.command.start(args).ended;
      const { code, fix } = told(ended.err);
      expect({ exit: ended.code, code }).toEqual({ exit: 2, code: 'ONION_ADDRESS' });
      expect(fix).not.toBe('');
    });
  });

  describe('the configuration, in every syntax', () => {
    const typo: Readonly<Record<string, string>> = {
      toml: '[heads]\nvirtual_prot = 80\n',
      yaml: 'heads:\n  virtual_prot: 80\n',
      json: '{ "heads": { "virtual_prot": 80 } }',
      js: 'export default { heads: { virtual_prot: 80 } };',
      mjs: 'export default { heads: { virtual_prot: 80 } };',
    };
    // What each parser says is in test/unit/config.
    const broken: readonly (readonly [ending: string, text: string, place: string])[] = [
      ['toml', '[heads]\nvirtual_port = \n', 'line 2'],
      ['yaml', 'heads:\n  virtual_port: [80\n', 'line 3'],
      ['json', '{ "heads":\n { "virtual_port": 80, }}', 'line 2'],
    ];
    const run = async (
      ending: string,
      text: string,
    ): Promise<ReturnType<typeof told> & { exit: number; file: string }> => {
      const file = join(directoryOf(world), `chimera.${ending}`);
      writeFileSync(file, text);
      const ended = await world.command.start(['run', '-c', file]).ended;
      return { ...told(ended.err), exit: ended.code, file };
    };

    test.for(Object.keys(typo))('a mistyped name: %s', async (ending) => {
      const { exit, code, message, file } = await run(ending, typo[ending] ?? '');
      expect({ exit, code }).toEqual({ exit: 2, code: 'CONFIG_INVALID' });
      expect(message).toContain(`${file}:`);
      expect(message).toContain('heads.virtual_prot: unknown setting; did you mean "virtual_port"?');
      // Every problem at once.
      expect(message).toContain('master.identity_key_path: missing');
    });

    test.for(broken)('broken syntax: %s', async ([ending, text, place]) => {
      const { exit, code, message, fix, file } = await run(ending, text);
      expect({ exit, code }).toEqual({ exit: 2, code: 'CONFIG_UNREADABLE' });
      expect(message).toContain(`${file}: `);
      expect(message).toContain(place);
      expect(fix).toContain('correct the syntax');
    });
  });

  describe('what the node keeps on the disk', () => {
    test.for(['revisions.json', 'election.json'])('a damaged %s is not overwritten', async (name) => {
      const tor = await addTor(world);
      const state_directory = directoryOf(world);
      const path = join(state_directory, name);
      writeFileSync(path, '{ "half": ');
      const tables = tablesFor(tor.control, makeMaster(world), { node: { state_directory }, log: { level: 'silent' } });
      const ended = await runNode(world, tables).ended;
      const { code, message, fix } = told(ended.err);
      expect({ exit: ended.code, code }).toEqual({ exit: 1, code: 'STATE_FILE' });
      expect(message).toContain(path);
      expect(fix).toContain('delete it');
      expect(readFileSync(path, 'utf8')).toBe('{ "half": ');
      expect(await servicesOf(tor)).toEqual([]);
    });

    test('a state directory that cannot be made', async () => {
      const tor = await addTor(world);
      const above = directoryOf(world);
      chmodSync(above, 0o500);
      const tables = tablesFor(tor.control, makeMaster(world), { node: { state_directory: `${above}/state` } });
      const ended = await runNode(world, tables, { deprived: true }).ended;
      const { code, message, fix } = told(ended.err);
      expect({ exit: ended.code, code }).toEqual({ exit: 1, code: 'STATE_FILE' });
      expect(message).toContain(`${above}/state`);
      expect(fix).toContain('node.state_directory');
    });

    test('heads in a directory that may not be written: named, and set up once it may', async () => {
      const tor = await addTor(world);
      const hidden_service_dir = directoryOf(world);
      chmodSync(hidden_service_dir, 0o500);
      const tables = tablesFor(tor.control, makeMaster(world), { heads: { hidden_service_dir } });
      const node = runNode(world, tables, { deprived: true });
      const { error } = await node.line(({ message }) => message === 'the head cannot be set up');
      expect(error).toMatchObject({ code: 'HEADS_DIRECTORY' });
      expect(error?.message).toContain(`${hidden_service_dir}/node-1: EACCES`);
      expect(error?.remedy).toContain('heads.hidden_service_dir');
      chmodSync(hidden_service_dir, 0o700);
      await node.line(published);
      expect(await stopped(node)).toMatchObject({ code: 0 });
      expect(readdirSync(hidden_service_dir)).toEqual([]);
    });

    test('heads that tor refuses: named with tor’s words, and the operator’s services stay', async () => {
      const mine = directoryOf(world);
      const tor = await addTor(world, { HiddenServiceDir: mine, HiddenServicePort: '80 127.0.0.1:1' });
      const heads = { torrc: { HiddenServiceExportCircuitID: 'nonsense' } };
      const node = runNode(world, tablesFor(tor.control, makeMaster(world), { heads }));
      const { error } = await node.line(({ message }) => message === 'the head cannot be set up');
      expect(error).toMatchObject({ code: 'HEADS_REFUSED' });
      expect(error?.message).toContain('513 Unacceptable option value');
      expect(await servicesOf(tor)).toEqual([mine]);
      expect(await stopped(node)).toMatchObject({ code: 0 });
      expect(await servicesOf(tor)).toEqual([mine]);
      expect(readdirSync(tor.dataDirectory)).not.toContain('chimera');
    });

    test('two heads in the same tor are two heads', async () => {
      const tor = await addTor(world);
      const control = formatEndpoint(tor.control);
      const node = runNode(
        world,
        tablesFor(tor.control, makeMaster(world), { heads: { controls: [control, control] } }),
      );
      await node.line((line) => published(line) && (line.heads as string[]).length === 2);
      expect(await stopped(node)).toMatchObject({ code: 0 });
      expect(await servicesOf(tor)).toEqual([]);
    });
  });
}
