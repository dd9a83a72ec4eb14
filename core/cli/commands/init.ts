/** `chimera init`: the first node of a cluster, from nothing: keys, secrets, configuration, and an invitation for the second. */
import { createClusterSecret, readClusterSecrets, writeClusterSecrets } from '../../../plugins/identity/index.ts';
import { createBook, encodeInvitation, selectorFor, tokenOf } from '../../../plugins/join/index.ts';
import { readSealedKey, sealMasterKey } from '../../../plugins/signer/vault/index.ts';
import type { ClusterSecret, NodeIdentity } from '../../engine/index.ts';
import { ChimeraError } from '../../errors.ts';
import {
  addressOfKey,
  encodeSecretKeyFile,
  masterKeyFromSeed,
  parseSecretKeyFile,
  type MasterKey,
  type OnionAddress,
} from '../../onion/index.ts';
import type { CommandContext, RegisterCommand } from '../context.ts';
import { readMasterKeyFile } from '../files.ts';
import { addExample, jsonOption, wholeNumber } from '../options.ts';
import { newPassphrase } from '../passphrase.ts';
import { addSetupOptions, settingsFrom, type SetupOptions } from '../setup-options.ts';
import {
  configText,
  nodeKeyIn,
  placeOf,
  prepare,
  tunnelIn,
  writeConfig,
  writing,
  type Place,
  type SignerSettings,
} from '../setup.ts';

interface Options extends SetupOptions {
  readonly json?: true;
  readonly key?: string;
  readonly plainKey?: true;
  readonly newPassphraseFd?: number;
}

const invitationLifeSecs = 86_400;
const largestKeyFile = 64 * 1024;

interface Master {
  readonly address: OnionAddress;
  /** What the configuration says of it. */
  readonly settings: SignerSettings;
}

function settingsOf(plain: boolean, address: OnionAddress, path: string): SignerSettings {
  const head = [
    '# The service’s key.',
    plain
      ? '# It lies on this disk in clear; docs/guides/vault.md shows a better place.'
      : '# It lies under a passphrase, which the first node to start asks for; the others get it from that one.',
  ];
  const quotedPath = JSON.stringify(path);
  return plain
    ? {
        add: ['signer/file'],
        remove: ['signer/vault'],
        lines: [...head, '[master]', `identity_key_path = ${quotedPath}`],
      }
    : { lines: [...head, '[vault]', `onion_address = "${address}.onion"`, `sealed_key_path = ${quotedPath}`] };
}

/** The address of a key file that an interrupted set-up, or somebody else, has left there; undefined when there is none. */
async function keyThere({ runtime }: CommandContext, path: string, plain: boolean): Promise<OnionAddress | undefined> {
  const bytes = await runtime.store.read(path, largestKeyFile);
  if (bytes === undefined) return undefined;
  if (!plain) return readSealedKey(bytes, path).address;
  try {
    const key = parseSecretKeyFile(bytes);
    key.expandedSecret.fill(0);
    return addressOfKey(key.publicKey);
  } finally {
    bytes.fill(0);
  }
}

async function newMasterKey(context: CommandContext, file: string | undefined): Promise<MasterKey> {
  if (file !== undefined) return readMasterKeyFile(context, file);
  const seed = context.runtime.random.bytes(32);
  try {
    return masterKeyFromSeed(seed);
  } finally {
    seed.fill(0);
  }
}

/** The master key, sealed or as Tor's own file: what is there already, the one to import, or a new one. */
async function masterKey(context: CommandContext, place: Place, options: Options): Promise<Master> {
  const { store, random } = context.runtime;
  const plain = options.plainKey === true;
  const path = `${place.state}/${plain ? 'hs_ed25519_secret_key' : 'master.sealed'}`;
  const there = await keyThere(context, path, plain);
  if (there !== undefined) {
    context.output.note(`${path} is kept, from an earlier try`);
    if (options.key !== undefined) {
      const given = await readMasterKeyFile(context, options.key);
      given.expandedSecret.fill(0);
      if (addressOfKey(given.publicKey) !== there) {
        throw new ChimeraError('SETUP_EXISTS', `${path} is of ${there}.onion, and ${options.key} is another key`, {
          remedy: 'name another directory, or remove the file if you are sure that nobody needs that key',
        });
      }
    }
    return { address: there, settings: settingsOf(plain, there, path) };
  }
  const key = await newMasterKey(context, options.key);
  try {
    const address = addressOfKey(key.publicKey);
    if (plain) await writing(path, () => store.write(path, encodeSecretKeyFile(key)));
    else {
      const passphrase = await newPassphrase(context, options.newPassphraseFd);
      try {
        const sealed = await sealMasterKey(key, passphrase, random);
        await writing(path, () => store.write(path, sealed));
      } finally {
        passphrase.fill(0);
      }
    }
    return { address, settings: settingsOf(plain, address, path) };
  } finally {
    key.expandedSecret.fill(0);
  }
}

async function clusterSecret({ runtime }: CommandContext, { state }: Place): Promise<ClusterSecret> {
  const { random, store } = runtime;
  const path = `${state}/cluster_secrets`;
  if ((await store.mode(path)) === undefined) {
    await writeClusterSecrets(store, path, [createClusterSecret(random)], { fresh: true });
  }
  const [newest] = await readClusterSecrets(store, path);
  return newest as ClusterSecret;
}

/** An invitation that this node will honour once it runs. */
async function firstInvitation(
  { runtime }: CommandContext,
  { state }: Place,
  identity: NodeIdentity,
  secret: ClusterSecret,
): Promise<string> {
  const book = createBook({ ...runtime, stateDirectory: state });
  await book.load();
  const selector = selectorFor(await book.make(invitationLifeSecs * 1_000), identity.node);
  return encodeInvitation({ selector, token: tokenOf(secret, selector) });
}

async function init(context: CommandContext, directory: string, options: Options): Promise<void> {
  const place = placeOf(directory);
  const settings = await settingsFrom(context, options);
  await prepare(context, place);
  if ((await context.runtime.store.mode(`${place.state}/roster`)) !== undefined) {
    throw new ChimeraError('SETUP_EXISTS', `${place.state} belongs to a node that has joined a cluster`, {
      remedy: 'name another directory',
    });
  }
  const { address, settings: signer } = await masterKey(context, place, options);
  const identity = await nodeKeyIn(context, place);
  // Only kept: the founder's admission, which names it, is signed when the node starts for the first time.
  const endpoint = await tunnelIn(context, place, settings);
  const secret = await clusterSecret(context, place);
  const invitation = await firstInvitation(context, place, identity, secret);
  await writeConfig(context, place, configText('chimera init', place, identity, signer, settings));

  const { output } = context;
  const host = settings.virtualPort === 80 ? `${address}.onion` : `${address}.onion:${settings.virtualPort}`;
  const start = `chimera run --config ${place.config}`;
  const next = `chimera join ${host} ${invitation}${settings.wireguard ? ' --wireguard' : ''}`;
  if (options.json) {
    output.json({
      address: `${address}.onion`,
      node: identity.node,
      ...(endpoint === undefined ? {} : { endpoint }),
      config: place.config,
      start,
      invitation,
      join: next,
    });
    return;
  }
  output.fields([
    ['address', `${address}.onion`],
    ['this node', identity.node],
    ...(endpoint === undefined ? [] : [['endpoint', endpoint] as const]),
    ['configuration', place.config],
    ['keys and state', place.state],
  ]);
  output.line();
  output.heading('Start this node');
  output.line(`  ${start}`);
  output.heading('Then, on another machine, let it join');
  output.line(`  ${next}`);
  output.note(
    `\nThe invitation is for one machine, and good for ${invitationLifeSecs / 3_600} hours that this node runs. Keep it as you would a password.` +
      `\nFurther ones: chimera peer invite --config ${place.config}`,
  );
}

export const registerInit: RegisterCommand = (program, context) => {
  const command = addSetupOptions(
    program
      .command('init')
      .summary('set up the first node of a cluster')
      .description(
        'Makes the service’s key (or takes one), the node’s key, the cluster’s secret and a configuration, and prints how to ' +
          'start the node and how the next one joins. Nothing is written over; interrupted, it goes on where it ended.',
      )
      .argument('[directory]', 'where the node is to live', '.'),
  )
    .option(
      '--key <file>',
      'take the service’s key from this file instead of making one: hs_ed25519_secret_key, or OnionBalance’s PEM',
    )
    .option('--plain-key', 'keep the service’s key in clear (Tor’s own hs_ed25519_secret_key), with no passphrase')
    .option(
      '--new-passphrase-fd <number>',
      'read the passphrase for the key from this file descriptor instead of the terminal',
      wholeNumber(0, 65_535),
    )
    .addOption(jsonOption());
  addExample(
    command,
    'chimera init /etc/chimera --target 127.0.0.1:8080',
    'chimera init /etc/chimera --wireguard --advertise 192.0.2.1:51820',
    'chimera init /etc/chimera --key /var/lib/tor/service/hs_ed25519_secret_key',
  );
  command.action((directory: string, options: Options) => init(context, directory, options));
};
