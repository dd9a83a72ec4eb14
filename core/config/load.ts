/** Finds and reads the configuration: TOML, YAML, JSON, JavaScript, and TypeScript where node itself can strip types. */
import { cosmiconfig, type CosmiconfigResult, type Loader } from 'cosmiconfig';
import { dirname, extname, resolve } from 'node:path';
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

const json: Loader = (_path, text) => {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    const [, what = '', position] =
      /^(.*?)(?:, \.{0,3}".*| in JSON)?(?: at position (\d+)\b.*)?$/s.exec(messageOf(error)) ?? [];
    const before = text.slice(0, position === undefined ? 0 : Number(position)).split('\n');
    const place = position === undefined ? {} : { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
    throw Object.assign(new Error(`invalid JSON: ${what}`), place);
  }
};

/** Not the library's, which after a failed import reports what a `require` of the same file has to complain of. */
const module: Loader = async (path) => {
  return ((await import(pathToFileURL(path).href)) as { default: unknown }).default;
};

const typescript: Loader = async (path, text) => {
  if (!(process.features as { typescript?: unknown }).typescript) {
    throw new ChimeraError('CONFIG_UNREADABLE', `${path}: this node (${process.version}) cannot read TypeScript`, {
      remedy: 'write the file as .mjs, .toml or .yaml, or run a node that strips types (22.18 or later)',
    });
  }
  return module(path, text) as unknown;
};

/** Why a module of the operator's own could not be imported, for people. */
export function importComplaint(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ERR_UNKNOWN_FILE_EXTENSION' && messageOf(error).includes('.ts"')) {
    return `this node (${process.version}) cannot read TypeScript: compile it to .mjs, or run node 22.18 or later`;
  }
  return messageOf(error).split(' imported from ')[0] ?? '';
}

const endings = ['.toml', '.yaml', '.yml', '.json', '.js', '.mjs', '.ts'];
const names = endings.map((ending) => `chimera${ending}`);

/** What a parser complains of and where, without the piece of the file that it quotes: there may be a secret in it. */
function complaint(error: unknown): string {
  const { reason, mark, line, column } = error as {
    /** js-yaml's; the mark counts from 0. */
    reason?: string;
    mark?: { readonly line: number; readonly column: number };
    /** smol-toml's, and our own for JSON; from 1. */
    line?: unknown;
    column?: unknown;
  };
  if (reason !== undefined && mark !== undefined) {
    return `${reason.split(/[<"]|!</)[0]?.trim()} (line ${mark.line + 1}, column ${mark.column + 1})`;
  }
  const what = messageOf(error).split('\n')[0]?.trim();
  return typeof line === 'number' && typeof column === 'number'
    ? `${what} (line ${line}, column ${column})`
    : `${what}`;
}

function unreadable(file: string, error: unknown): ChimeraError {
  if (error instanceof ChimeraError) return error;
  const { code, syscall } = error as NodeJS.ErrnoException;
  const missing = code === 'ENOENT' && syscall !== undefined;
  return new ChimeraError('CONFIG_UNREADABLE', `${file}: ${missing ? 'no such file' : complaint(error)}`, {
    remedy: remedyFor(file, error, missing),
    cause: error,
  });
}

function remedyFor(file: string, error: unknown, missing: boolean): string {
  if (missing) return 'give the path of an existing file with --config';
  if ((error as NodeJS.ErrnoException).syscall !== undefined) {
    return 'name a file, not a directory, that the user who runs Chimera may read';
  }
  if (/\.m?[jt]s$/.test(file)) return `correct the module: node --check ${file} shows where its syntax is wrong`;
  return 'correct the syntax at the place named; the ending of the file name says which syntax is expected';
}

function loadedFrom(file: string, found: CosmiconfigResult): LoadedConfig {
  const empty = found === null || found.isEmpty === true;
  if (empty && /\.m?[jt]s$/.test(file)) {
    throw new ChimeraError('CONFIG_UNREADABLE', `${file}: the module has no default export`, {
      remedy: 'write export default { … }',
    });
  }
  return { file, directory: dirname(file), value: empty ? {} : found.config };
}

/**
 * Reads `path`, or looks for chimera.toml (.yaml, .yml, .json, .js, .mjs, .ts) in `directory` and then in /etc/chimera.
 * Rejects with CONFIG_UNREADABLE when `path` does not exist or cannot be parsed.
 */
export async function loadConfig(path: string | undefined, directory: string): Promise<LoadedConfig> {
  const explorer = cosmiconfig('chimera', {
    searchPlaces: names,
    // The directory itself, none above it.
    searchStrategy: 'none',
    cache: false,
    loaders: { '.toml': toml, '.json': json, '.js': module, '.mjs': module, '.ts': typescript },
  });
  if (path !== undefined) {
    const file = resolve(directory, path);
    if (!endings.includes(extname(file))) {
      throw new ChimeraError('CONFIG_UNREADABLE', `${file}: the ending of the file name says no known syntax`, {
        remedy: `name it with one of ${endings.join(', ')}`,
      });
    }
    const found = await explorer.load(file).catch((error: unknown) => {
      throw unreadable(file, error);
    });
    return loadedFrom(file, found);
  }
  for (const place of [directory, '/etc/chimera']) {
    const found = await explorer.search(place).catch((error: unknown) => {
      throw unreadable((error as { filepath?: string }).filepath ?? `the configuration in ${place}`, error);
    });
    if (found !== null) return loadedFrom(found.filepath, found);
  }
  return { file: undefined, directory, value: {} };
}
