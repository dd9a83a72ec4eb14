/** Finds and reads the configuration: TOML, YAML, JSON, JavaScript, and TypeScript where node itself can strip types. */
import { cosmiconfig, type Loader } from 'cosmiconfig';
import { dirname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parse as parseToml } from 'smol-toml';
import { ChimeraError, messageOf } from '../errors.ts';

export interface LoadedConfig {
  /** Absolute path; undefined when there is no file and the defaults are used. */
  readonly file: string | undefined;
  /** Where relative paths in it start. */
  readonly directory: string;
  readonly value: unknown;
}

const toml: Loader = (_path, text) => parseToml(text);

const typescript: Loader = async (path) => {
  if (!(process.features as { typescript?: unknown }).typescript) {
    throw new Error(`this node (${process.version}) cannot read TypeScript; write the file as .mjs, .toml or .yaml`);
  }
  return ((await import(pathToFileURL(path).href)) as { default: unknown }).default;
};

const names = ['toml', 'yaml', 'yml', 'json', 'js', 'mjs', 'ts'].map((ending) => `chimera.${ending}`);

function unreadable(file: string, error: unknown): ChimeraError {
  const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
  return new ChimeraError(
    'CONFIG_UNREADABLE',
    `${file}: ${missing ? 'no such file' : messageOf(error).split('\n\n')[0]}`,
    {
      remedy: missing
        ? 'give the path of an existing file with --config'
        : 'correct the syntax at the place named; the ending of the file name says which syntax is expected',
      cause: error,
    },
  );
}

/**
 * Reads `path`, or looks for chimera.toml (.yaml, .yml, .json, .js, .mjs, .ts) in `directory` and then in /etc/chimera.
 * Rejects with CONFIG_UNREADABLE when `path` does not exist or cannot be parsed.
 */
export async function loadConfig(path: string | undefined, directory: string): Promise<LoadedConfig> {
  const explorer = cosmiconfig('chimera', {
    searchPlaces: names,
    stopDir: directory,
    cache: false,
    loaders: { '.toml': toml, '.ts': typescript },
  });
  const load = async (file: string): Promise<LoadedConfig> => {
    try {
      const loaded = await explorer.load(file);
      return { file, directory: dirname(file), value: loaded?.isEmpty === true ? {} : loaded?.config };
    } catch (error) {
      throw unreadable(file, error);
    }
  };
  if (path !== undefined) return load(resolve(directory, path));
  for (const place of [directory, '/etc/chimera']) {
    const found = await explorer.search(place).catch((error: unknown) => {
      throw unreadable(`the configuration in ${place}`, error);
    });
    if (found !== null) {
      return {
        file: found.filepath,
        directory: dirname(found.filepath),
        value: found.isEmpty === true ? {} : found.config,
      };
    }
  }
  return { file: undefined, directory, value: {} };
}
