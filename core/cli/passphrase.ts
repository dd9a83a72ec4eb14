/**
 * The passphrase of the vault, from wherever the operator gives it: a file descriptor, a credential of systemd, the terminal.
 * Never an argument or a variable of the environment, which other processes can read.
 */
import type { VaultOptions } from '../../plugins/signer/vault/index.ts';
import type { ResolvedConfig } from '../config/index.ts';
import { definePlugin, passphraseContract, type AnyPlugin } from '../engine/index.ts';
import { ChimeraError, messageOf } from '../errors.ts';
import { longestSecret, systemSelf } from '../runtime/index.ts';
import type { CommandContext } from './context.ts';

/** The name of the credential: LoadCredentialEncrypted=chimera-vault-passphrase:… in the unit. */
const credentialName = 'chimera-vault-passphrase';
const shortestPassphrase = 12;

/** From an inherited file descriptor. Rejects with CLI_FILE. */
async function passphraseFromDescriptor(context: CommandContext, number: number): Promise<Uint8Array> {
  try {
    return await context.secrets.descriptor(number);
  } catch (error) {
    throw new ChimeraError(
      'CLI_FILE',
      `the passphrase cannot be read from file descriptor ${number}: ${messageOf(error)}`,
      {
        remedy: `open it for the command, as in: chimera run --passphrase-fd ${number} ${number}< FILE`,
        cause: error,
      },
    );
  }
}

/** From the directory that systemd gives the service; undefined when there is no such credential. Rejects with CLI_FILE. */
async function passphraseFromCredential({ runtime }: CommandContext): Promise<Uint8Array | undefined> {
  const directory = systemSelf.environment['CREDENTIALS_DIRECTORY'];
  if (directory === undefined) return undefined;
  const path = `${directory}/${credentialName}`;
  try {
    const bytes = await runtime.store.read(path, longestSecret);
    if (bytes?.at(-1) !== 10) return bytes;
    const text = bytes.slice(0, -1);
    bytes.fill(0);
    return text;
  } catch (error) {
    throw new ChimeraError('CLI_FILE', `${path} cannot be read: ${messageOf(error)}`, {
      remedy: 'give the passphrase alone, in a credential that the service may read',
      cause: error,
    });
  }
}

/** From the terminal; undefined where there is none. Rejects with CLI_USAGE when it is interrupted. */
async function askPassphrase(context: CommandContext, question: string): Promise<Uint8Array | undefined> {
  try {
    return await context.secrets.prompt(question);
  } catch (error) {
    throw new ChimeraError('CLI_USAGE', `no passphrase: ${messageOf(error)}`, { remedy: 'type it and press Enter' });
  }
}

/** As askPassphrase, from a descriptor when one is named. Rejects with CLI_USAGE where there is no terminal either. */
export async function needPassphrase(
  context: CommandContext,
  question: string,
  descriptor: number | undefined,
): Promise<Uint8Array> {
  const passphrase =
    descriptor === undefined
      ? await askPassphrase(context, question)
      : await passphraseFromDescriptor(context, descriptor);
  if (passphrase !== undefined) return passphrase;
  throw new ChimeraError('CLI_USAGE', 'there is no terminal to ask for the passphrase on', {
    remedy: 'run the command on a terminal, or give the passphrase on a file descriptor (see --help)',
  });
}

/** A new passphrase: asked twice on a terminal, and of some length. Rejects with CLI_USAGE. */
export async function newPassphrase(context: CommandContext, descriptor: number | undefined): Promise<Uint8Array> {
  const passphrase = await needPassphrase(
    context,
    `New passphrase, ${shortestPassphrase} characters or more: `,
    descriptor,
  );
  if (passphrase.length < shortestPassphrase) {
    passphrase.fill(0);
    throw new ChimeraError('CLI_USAGE', `a passphrase has at least ${shortestPassphrase} characters`, {
      remedy: 'take six random words: whoever steals the file can try passphrases for years',
    });
  }
  if (descriptor !== undefined) return passphrase;
  const again = await needPassphrase(context, 'Once more: ', undefined);
  const same = Buffer.compare(passphrase, again) === 0;
  again.fill(0);
  if (same) return passphrase;
  passphrase.fill(0);
  throw new ChimeraError('CLI_USAGE', 'the two passphrases differ', { remedy: 'start again' });
}

/**
 * For a node that may open its vault: a plugin that gives the passphrase, asked for now, before the log begins to scroll.
 * None for every other node.
 */
export async function vaultPassphrase(
  context: CommandContext,
  { plugins, options }: ResolvedConfig,
  descriptor: number | undefined,
): Promise<readonly AnyPlugin[]> {
  const vault = plugins.find(({ name }) => name === 'signer/vault');
  const path = vault && (options.get(vault.name) as VaultOptions).sealed_key_path;
  if (path === undefined) {
    if (descriptor === undefined) return [];
    throw new ChimeraError('CLI_USAGE', '--passphrase-fd: this node has no sealed key to open', {
      remedy: 'set vault.sealed_key_path, or leave the option out',
    });
  }
  let passphrase =
    descriptor === undefined
      ? ((await passphraseFromCredential(context)) ??
        (await askPassphrase(context, `Passphrase of ${path} (empty: wait for the members): `)))
      : await passphraseFromDescriptor(context, descriptor);
  if (passphrase?.length === 0) passphrase = undefined;
  const giver = definePlugin({
    name: 'passphrase',
    summary: 'Gives the passphrase that the operator gave.',
    gives: [passphraseContract],
    apply(host) {
      host.give(passphraseContract, {
        take: async () => {
          const given = passphrase;
          passphrase = undefined;
          return given;
        },
      });
      // The members may have been quicker.
      host.defer(() => void passphrase?.fill(0));
    },
  });
  return [giver as AnyPlugin];
}
