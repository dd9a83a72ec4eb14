/** `chimera import-onionbalance`: Chimera's configuration from OnionBalance's, one file for each of its services. */
import { defaultLoaders } from 'cosmiconfig';
import { basename, dirname, resolve } from 'node:path';
import { stringify } from 'smol-toml';
import * as v from 'valibot';
import { checkConfig } from '../../config/index.ts';
import { ChimeraError, messageOf } from '../../errors.ts';
import { parseOnionAddress } from '../../onion/index.ts';
import type { RegisterCommand } from '../context.ts';
import { readInputFile, writeOutputFiles } from '../files.ts';

const remedy = 'give the config.yaml that onionbalance itself reads';

const onionbalanceConfig = v.looseObject({
  services: v.pipe(
    v.array(
      v.looseObject({
        key: v.pipe(v.string('must be the path of a key file'), v.minLength(1)),
        instances: v.pipe(
          v.array(v.looseObject({ address: v.string('must be an onion address') })),
          v.minLength(1, 'must name at least one instance'),
        ),
      }),
    ),
    v.minLength(1, 'must have at least one service'),
  ),
});

export interface ImportedService {
  /** The name of the file to write. */
  readonly file: string;
  readonly toml: string;
}

/** What OnionBalance's `config.yaml` says, as Chimera's configuration. `path` names the file and is where its keys lie. */
function importOnionbalance(text: string, path: string): ImportedService[] {
  let value: unknown;
  try {
    value = defaultLoaders['.yaml'](path, text);
  } catch (error) {
    throw new ChimeraError('CONFIG_UNREADABLE', `${path}: ${messageOf(error)}`, {
      remedy,
      cause: error,
    });
  }
  const { services } = checkConfig(onionbalanceConfig, value, path, remedy);
  return services.map(({ key, instances }, index) => {
    const name = basename(key).replace(/\.key$/, '');
    const addresses = instances.map(({ address }) => `${parseOnionAddress(address)}.onion`);
    const keyPath = resolve(dirname(path), key);
    const config = {
      preset: 'standalone',
      node: { id: `publisher-${index + 1}`, state_directory: `/var/lib/chimera/${name}` },
      master: { identity_key_path: keyPath },
      tor: { control: '127.0.0.1:9051' },
      backends: { addresses },
    };
    return { file: services.length === 1 ? 'chimera.toml' : `${name}.toml`, toml: `${stringify(config)}\n` };
  });
}

export const registerImportOnionbalance: RegisterCommand = (program, context) => {
  program
    .command('import-onionbalance')
    .summary('write a configuration from OnionBalance’s')
    .description(
      'Reads an OnionBalance config.yaml (version 3 services) and writes Chimera’s configuration, preset standalone: one ' +
        'file for each service, since a node publishes one address. The backends stay as they are.',
    )
    .argument('<config.yaml>', 'OnionBalance’s configuration')
    .option('--out <dir>', 'write the files here instead of printing them')
    .addHelpText('after', '\nExample:\n  chimera import-onionbalance /etc/onionbalance/config.yaml --out /etc/chimera')
    .action(async (path: string, { out }: { readonly out?: string }) => {
      const text = Buffer.from(await readInputFile(context, path)).toString('utf8');
      const services = importOnionbalance(text, resolve(path));
      if (out === undefined) {
        for (const { file, toml } of services) context.output.raw(`# ${file}\n${toml}`);
        return;
      }
      await writeOutputFiles(context, out, Object.fromEntries(services.map(({ file, toml }) => [file, toml])));
      for (const { file } of services) context.output.line(`${out}/${file}`);
    });
};
