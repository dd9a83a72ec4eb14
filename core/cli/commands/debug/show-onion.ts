/** `chimera debug show-onion`: the address of a key file. */
import { addressOfKey } from '../../../onion/index.ts';
import type { RegisterCommand } from '../../context.ts';
import { readMasterKeyFile } from '../../files.ts';
import { addExample, jsonOption } from '../../options.ts';

export const registerShowOnion: RegisterCommand = (group, context) => {
  const command = group
    .command('show-onion')
    .description('print the .onion address of a secret key file')
    .requiredOption('--key <file>', "the service's hs_ed25519_secret_key, an OnionBalance PEM key or a 32-byte seed")
    .addOption(jsonOption())
    .action(async ({ key: path, json }: { key: string; json?: true }) => {
      const key = await readMasterKeyFile(context, path);
      const address = `${addressOfKey(key.publicKey)}.onion`;
      if (json) context.output.json({ address, publicKey: Buffer.from(key.publicKey).toString('hex') });
      else context.output.line(address);
    });
  addExample(command, 'chimera debug show-onion --key /var/lib/tor/service/hs_ed25519_secret_key');
};
