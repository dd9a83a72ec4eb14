/** `chimera vault`: puts a master key under a passphrase, changes that, shows what a sealed key says, and gets the key back. */
import type { Command } from 'commander';
import { openMasterKey, readSealedKey, sealMasterKey } from '../../../plugins/signer/vault/index.ts';
import { ChimeraError, messageOf } from '../../errors.ts';
import { addressOfKey, encodeSecretKeyFile, type MasterKey } from '../../onion/index.ts';
import type { CommandContext, RegisterCommand } from '../context.ts';
import { readInputFile, readMasterKeyFile } from '../files.ts';
import { addExample, jsonOption, wholeNumber } from '../options.ts';
import { needPassphrase, newPassphrase } from '../passphrase.ts';

const descriptor = wholeNumber(0, 65_535);
const fdHelp = 'read it from this file descriptor instead of the terminal';

/** Writes a file that only its owner may read; never over another one unless it is the same sealed key. Rejects with CLI_FILE. */
async function writeNew(
  { runtime }: CommandContext,
  path: string,
  data: Uint8Array | string,
  replace = false,
): Promise<void> {
  try {
    if (!replace && (await runtime.store.mode(path)) !== undefined) throw new Error('there is a file already');
    await runtime.store.write(path, data, 0o600);
  } catch (error) {
    throw new ChimeraError('CLI_FILE', `${path} cannot be written: ${messageOf(error)}`, {
      remedy: 'name a file that does not exist yet, in a directory that this user may write',
      cause: error,
    });
  }
}

async function opened(context: CommandContext, file: string, fd: number | undefined): Promise<MasterKey> {
  const bytes = await readInputFile(context, file);
  readSealedKey(bytes, file);
  const passphrase = await needPassphrase(context, 'Passphrase: ', fd);
  try {
    return await openMasterKey(bytes, passphrase);
  } finally {
    passphrase.fill(0);
  }
}

async function sealed(context: CommandContext, key: MasterKey, fd: number | undefined): Promise<string> {
  const passphrase = await newPassphrase(context, fd);
  try {
    return await sealMasterKey(key, passphrase, context.runtime.random);
  } finally {
    passphrase.fill(0);
  }
}

function registerSeal(vault: Command, context: CommandContext): void {
  const command = vault
    .command('seal')
    .summary('put a key file under a passphrase')
    .description(
      'Reads a master key file (as signer/file does) and writes it sealed. The key file stays: remove it yourself.',
    )
    .argument('<key>', 'hs_ed25519_secret_key, OnionBalance’s PEM, or - for standard input')
    .requiredOption('--out <file>', 'the sealed key to write')
    .option('--new-passphrase-fd <number>', fdHelp, descriptor)
    .action(async (path: string, { out, newPassphraseFd }: { out: string; newPassphraseFd?: number }) => {
      const key = await readMasterKeyFile(context, path);
      try {
        await writeNew(context, out, await sealed(context, key, newPassphraseFd));
        context.output.fields([
          ['address', `${addressOfKey(key.publicKey)}.onion`],
          ['sealed key', out],
        ]);
        if (path !== '-') {
          context.output.note(
            `${path} still holds the key in clear. Once the sealed one has been tried, remove it; on an SSD or a file\n` +
              'system that keeps snapshots, what was written once may stay readable.',
          );
        }
      } finally {
        key.expandedSecret.fill(0);
      }
    });
  addExample(command, 'chimera vault seal /var/lib/tor/service/hs_ed25519_secret_key --out /etc/chimera/master.sealed');
}

function registerPassphrase(vault: Command, context: CommandContext): void {
  vault
    .command('passphrase')
    .summary('change the passphrase of a sealed key')
    .description('Opens a sealed key and seals it again under another passphrase. Copies keep the old one.')
    .argument('<file>', 'the sealed key, which is replaced')
    .option('--passphrase-fd <number>', `the old passphrase: ${fdHelp}`, descriptor)
    .option('--new-passphrase-fd <number>', `the new passphrase: ${fdHelp}`, descriptor)
    .action(async (file: string, options: { passphraseFd?: number; newPassphraseFd?: number }) => {
      const key = await opened(context, file, options.passphraseFd);
      try {
        await writeNew(context, file, await sealed(context, key, options.newPassphraseFd), true);
        context.output.line(`${file} has another passphrase now`);
      } finally {
        key.expandedSecret.fill(0);
      }
    });
}

function registerShow(vault: Command, context: CommandContext): void {
  vault
    .command('show')
    .summary('show what a sealed key says without its passphrase')
    .argument('<file>', 'the sealed key')
    .addOption(jsonOption())
    .action(async (file: string, { json }: { json?: true }) => {
      const { address, cost } = readSealedKey(await readInputFile(context, file), file);
      if (json) context.output.json({ address: `${address}.onion`, scryptCost: cost });
      else {
        context.output.fields([
          ['address', `${address}.onion`],
          ['scrypt', `N = 2^${cost}, r = 8, p = 1: ${2 ** (cost - 10)} MiB for each try`],
        ]);
      }
    });
}

function registerUnseal(vault: Command, context: CommandContext): void {
  vault
    .command('unseal')
    .summary('write the key of a sealed key in clear')
    .description('The way back to signer/file or to a plain tor. Write to a tmpfs: what a disk has had, it may keep.')
    .argument('<file>', 'the sealed key')
    .requiredOption('--out <file>', 'the hs_ed25519_secret_key to write')
    .option('--passphrase-fd <number>', fdHelp, descriptor)
    .action(async (file: string, { out, passphraseFd }: { out: string; passphraseFd?: number }) => {
      const key = await opened(context, file, passphraseFd);
      const bytes = encodeSecretKeyFile(key);
      key.expandedSecret.fill(0);
      try {
        await writeNew(context, out, bytes);
      } finally {
        bytes.fill(0);
      }
      context.output.line(out);
      const inMemory = await context.runtime.store.inMemory(out).catch(() => false);
      if (!inMemory) context.output.note(`${out} lies on a disk, which may keep the key after the file is gone.`);
    });
}

export const registerVault: RegisterCommand = (program, context) => {
  const vault = program
    .command('vault')
    .summary('keep the master key under a passphrase')
    .description('Sealed master keys, which the plugin signer/vault opens: docs/guides/vault.md.');
  for (const register of [registerSeal, registerPassphrase, registerShow, registerUnseal]) register(vault, context);
};
