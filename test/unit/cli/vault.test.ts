/** `chimera vault`, with passphrases from a terminal that is a list, and from descriptors that are a map. */
import { describe, expect, test } from 'vitest';
import { registerVault } from '../../../core/cli/commands/vault.ts';
import { encodeBase32 } from '../../../core/onion/bytes.ts';
import { addressOfKey, encodeSecretKeyFile, masterKeyFromSeed } from '../../../core/onion/index.ts';
import { systemRuntime, type SecretInput } from '../../../core/runtime/index.ts';
import { createMemoryStore, type MemoryStore } from '../../kit/sim/memory-store.ts';
import { runCli, type CliRun } from './support.ts';

const key = masterKeyFromSeed(Uint8Array.from({ length: 32 }, (_, index) => index + 1));
const address = addressOfKey(key.publicKey);
const keyFile = encodeSecretKeyFile(key);
const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text));

interface Given {
  /** What is typed, prompt by prompt; no terminal without it. */
  readonly typed?: readonly string[];
  readonly descriptors?: Readonly<Record<number, string>>;
}

async function freshStore(): Promise<MemoryStore> {
  const store = createMemoryStore();
  await store.makeDirectory('/keys');
  await store.write('/keys/secret', keyFile);
  return store;
}

function run(store: MemoryStore, args: readonly string[], { typed, descriptors = {} }: Given = {}): Promise<CliRun> {
  const lines = typed === undefined ? undefined : [...typed];
  const secrets: SecretInput = {
    prompt: async () => {
      if (lines === undefined) return undefined;
      const line = lines.shift();
      if (line === undefined) throw new Error('it was interrupted');
      return bytes(line);
    },
    descriptor: async (number) => {
      const text = descriptors[number];
      if (text === undefined) throw new Error('EBADF: bad file descriptor');
      return bytes(text);
    },
  };
  const runtime = { ...systemRuntime(), store };
  return runCli(['vault', ...args], { commands: [registerVault], runtime, secrets });
}

const long = 'six random words are enough';
const other = 'and these are six other ones';

describe('chimera vault', { timeout: 30_000 }, () => {
  test('seals a key, shows it, changes the passphrase, and gives the key back', async () => {
    const store = await freshStore();
    const sealed = await run(store, ['seal', '/keys/secret', '--out', '/keys/sealed'], { typed: [long, long] });
    expect([sealed.exitCode, sealed.err]).toEqual([0, expect.stringContaining('/keys/secret still holds') as string]);
    expect(sealed.out).toContain(address);
    expect(await store.mode('/keys/sealed')).toBe(0o600);
    const shown = await run(store, ['show', '/keys/sealed', '--json']);
    expect(shown.json()).toEqual({ address: `${address}.onion`, scryptCost: 17 });
    expect((await run(store, ['show', '/keys/sealed'])).out).toContain('128 MiB');
    const changed = await run(
      store,
      ['passphrase', '/keys/sealed', '--passphrase-fd', '3', '--new-passphrase-fd', '4'],
      {
        descriptors: { 3: long, 4: other },
      },
    );
    expect(changed.exitCode).toBe(0);
    const old = await run(store, ['unseal', '/keys/sealed', '--out', '/keys/clear'], { typed: [long] });
    expect([old.exitCode, old.err]).toEqual([2, expect.stringContaining('VAULT_PASSPHRASE') as string]);
    const back = await run(store, ['unseal', '/keys/sealed', '--out', '/keys/clear'], { typed: [other] });
    expect([back.exitCode, back.err]).toEqual([0, expect.stringContaining('lies on a disk') as string]);
    expect(await store.read('/keys/clear')).toEqual(keyFile);
    for (const { out, err } of [sealed, shown, changed, old, back]) {
      for (const secret of [
        long,
        other,
        Buffer.from(key.expandedSecret).toString('hex'),
        encodeBase32(key.expandedSecret),
      ]) {
        expect(out + err).not.toContain(secret);
      }
    }
  });

  test.each<[string, readonly string[], Given, RegExp]>([
    [
      'a passphrase that is too short',
      ['seal', '/keys/secret', '--out', '/keys/sealed'],
      { typed: ['short'] },
      /CLI_USAGE.*12/,
    ],
    [
      'two that differ',
      ['seal', '/keys/secret', '--out', '/keys/sealed'],
      { typed: [long, other] },
      /CLI_USAGE.*differ/,
    ],
    ['Ctrl-C', ['seal', '/keys/secret', '--out', '/keys/sealed'], { typed: [] }, /CLI_USAGE.*interrupted/],
    ['no terminal', ['seal', '/keys/secret', '--out', '/keys/sealed'], {}, /CLI_USAGE.*no terminal/],
    [
      'a closed descriptor',
      ['seal', '/keys/secret', '--out', '/keys/sealed', '--new-passphrase-fd', '9'],
      {},
      /CLI_FILE.*9/,
    ],
    [
      'a file in the way',
      ['seal', '/keys/secret', '--out', '/keys/secret'],
      { typed: [long, long] },
      /CLI_FILE.*already/,
    ],
    ['a key that is none', ['show', '/keys/secret'], {}, /VAULT_FILE/],
    [
      'a passphrase in the arguments',
      ['seal', '/keys/secret', '--out', '/keys/sealed', '--passphrase', long],
      {},
      /unknown option/,
    ],
  ])('refuses %s', async (_name, args, given, says) => {
    const store = await freshStore();
    const { exitCode, err } = await run(store, args, given);
    expect([exitCode, err]).toEqual([2, expect.stringMatching(says) as string]);
    expect(store.files()).toEqual(['/keys/secret']);
    expect(await store.read('/keys/secret')).toEqual(keyFile);
  });
});
