/** The house rules, as a test: what CONTRIBUTING.md asks for and a machine can see. */
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { errorCodes } from '../core/errors.ts';
import { createHooks } from '../core/pipeline/hooks.ts';
import { plugins } from '../plugins/index.ts';
import { presets } from '../presets/index.ts';

const root = resolve(import.meta.dirname, '..');
const skipped = new Set(['node_modules', 'dist', '.git']);

function filesUnder(directory: string): string[] {
  return readdirSync(join(root, directory), { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name);
    if (skipped.has(entry.name)) return [];
    return entry.isDirectory() ? filesUnder(path) : [path];
  });
}

const everything = filesUnder('.');
const sources = everything.filter((path) => path.endsWith('.ts'));
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const product = sources.filter((path) => !path.startsWith('test/') || path.startsWith('test/kit/'));

/** Relative imports of a file, as paths from the root; type-only ones count too. */
function importsOf(path: string): string[] {
  const found = read(path).matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g);
  return [...found].map(([, target = '']) => relative(root, resolve(root, dirname(path), target)));
}

/** The text without comments, roughly: enough to look for calls. */
function code(path: string): string {
  return read(path)
    .replaceAll(/\/\*[\s\S]*?\*\//g, '')
    .replaceAll(/^\s*\/\/.*$/gm, '')
    .replaceAll(/(?<=\s)\/\/ .*$/gm, '');
}

test('the lock file can be installed as it stands: it has every optional dependency that a package names', () => {
  const { packages } = JSON.parse(read('package-lock.json')) as {
    packages: Record<string, { optionalDependencies?: Record<string, string> }>;
  };
  const locked = Object.keys(packages);
  const missing = Object.values(packages)
    .flatMap(({ optionalDependencies = {} }) => Object.keys(optionalDependencies))
    .filter((name) => !locked.some((path) => path.endsWith(`node_modules/${name}`)));
  expect(missing).toEqual([]);
});

describe('imports point one way', () => {
  const layers: readonly (readonly [folder: string, allowed: readonly string[]])[] = [
    ['core/errors.ts', []],
    ['core/onion/', ['core/onion/', 'core/errors.ts']],
    ['core/runtime/', ['core/runtime/', 'core/errors.ts']],
    ['core/pipeline/', ['core/pipeline/', 'core/onion/', 'core/runtime/', 'core/errors.ts']],
    ['core/engine/', ['core/engine/', 'core/pipeline/', 'core/onion/', 'core/runtime/', 'core/errors.ts']],
    [
      'core/config/',
      ['core/config/', 'core/engine/', 'core/pipeline/', 'core/onion/', 'core/runtime/', 'core/errors.ts'],
    ],
    ['strategies/', ['strategies/', 'core/pipeline/', 'core/runtime/random.ts']],
    [
      'plugins/',
      ['plugins/', 'core/config/', 'core/engine/', 'core/pipeline/', 'core/onion/', 'core/runtime/', 'core/errors.ts'],
    ],
    ['presets/', ['presets/', 'plugins/', 'strategies/', 'core/config/']],
  ];
  test.each(layers)('%s', (folder, allowed) => {
    const wrong = sources
      .filter((path) => path.startsWith(folder))
      .flatMap((path) => importsOf(path).map((target) => `${path} → ${target}`))
      .filter((arrow) => !allowed.some((prefix) => arrow.split(' → ')[1]?.startsWith(prefix)));
    expect(wrong).toEqual([]);
  });

  test('a plugin knows another only by its index.ts', () => {
    const folders = [...plugins.keys()].map((name) => `plugins/${name}/`).sort((a, b) => b.length - a.length);
    const ownerOf = (path: string): string | undefined => folders.find((folder) => path.startsWith(folder));
    const wrong = product
      .filter((path) => ownerOf(path) !== undefined)
      .flatMap((path) =>
        importsOf(path)
          .filter((target) => {
            const owner = ownerOf(target);
            return owner !== undefined && owner !== ownerOf(path) && target !== `${owner}index.ts`;
          })
          .map((target) => `${path} → ${target}`),
      );
    expect(wrong).toEqual([]);
  });

  test('nothing outside test/ and core/cli imports the kit', () => {
    const wrong = product
      .filter((path) => !path.startsWith('test/') && !path.startsWith('core/cli/'))
      .filter((path) => importsOf(path).some((target) => target.startsWith('test/')));
    expect(wrong).toEqual([]);
  });
});

describe('the outside world is met in core/runtime alone', () => {
  const forbidden =
    /\bDate\.now\(|new Date\(\)|\bMath\.random\(|\bperformance\.now\(|\bset(?:Timeout|Interval|Immediate)\(|from 'node:(?:fs|fs\/promises|net|dgram|tls|http|https|child_process|timers|timers\/promises)'|\brandomBytes\(|\brandomInt\(|\brandomUUID\(|\bcrypto\.getRandomValues\(/;
  // The virtual clock lets the event loop settle between two of its own instants; it sets no timer.
  const excepted = new Set(['test/kit/sim/virtual-clock.ts']);
  test('no clock, chance, socket, file or process elsewhere', () => {
    const wrong = product
      .filter((path) => !path.startsWith('core/runtime/') && !excepted.has(path))
      .flatMap((path) => {
        const found = forbidden.exec(code(path));
        return found === null ? [] : [`${path}: ${found[0]}`];
      });
    expect(wrong).toEqual([]);
  });
});

describe('plugins', () => {
  const headings = ['## What it does', '## When it acts', '## Options', '## Needs and gives', '## Failure'];
  test.each([...plugins.keys()])('%s has code, a README with the headings, and a test', (name) => {
    const folder = `plugins/${name}`;
    expect(everything).toContain(`${folder}/index.ts`);
    expect(everything).toContain(`${folder}/README.md`);
    const readme = read(`${folder}/README.md`);
    expect(readme.startsWith(`# ${name}\n`)).toBe(true);
    expect(headings.filter((heading) => !readme.includes(`\n${heading}\n`))).toEqual([]);
    const tests = sources.filter((path) => path.endsWith('.test.ts') && !path.startsWith('test/tidy'));
    expect(tests.some((path) => read(path).includes(`plugins/${name}/`))).toBe(true);
  });

  test('every plugin folder is a shipped plugin', () => {
    const folders = sources
      .filter((path) => /^plugins\/.+\/index\.ts$/.test(path))
      .filter((path) => /definePlugin|headsPlugin\(|electionPlugin\(|: AnyPlugin/.test(read(path)))
      .map((path) => dirname(path).slice('plugins/'.length));
    const factories = new Set(['strategy', 'roulette', 'heads', 'election', 'transport/memory']);
    expect(folders.filter((name) => !plugins.has(name) && !factories.has(name))).toEqual([]);
  });

  test('each option is in the plugin’s README', () => {
    const missing = [...plugins.values()].flatMap(({ name, options }) => {
      let schema = options as
        { entries?: Record<string, unknown>; pipe?: { entries?: Record<string, unknown> }[] } | undefined;
      if (schema?.entries === undefined) schema = schema?.pipe?.[0] as typeof schema;
      const readme = read(`plugins/${name}/README.md`);
      return Object.keys(schema?.entries ?? {})
        .filter((option) => !readme.includes(`\`${option}\``))
        .map((option) => `${name}: ${option}`);
    });
    expect(missing).toEqual([]);
  });

  test('a default that is a plain value stands in the README as it is', () => {
    interface Schema {
      readonly entries?: Record<string, { readonly default?: unknown }>;
      readonly pipe?: readonly Schema[];
    }
    const plain = (text = ''): string => text.replaceAll(/[`",\s]/g, '');
    const cellsOf = (line = ''): string[] => line.split('|').map((cell) => cell.trim());
    const wrong = [...plugins.values()].flatMap(({ name, options }) => {
      const schema = options as Schema | undefined;
      const lines = read(`plugins/${name}/README.md`).split('\n');
      const column = cellsOf(lines.find((line) => line.startsWith('| option'))).indexOf('default');
      return Object.entries(schema?.entries ?? schema?.pipe?.[0]?.entries ?? {}).flatMap(([option, entry]) => {
        if (!['string', 'number', 'boolean'].includes(typeof entry.default)) return [];
        const said = cellsOf(lines.find((line) => line.startsWith(`| \`${option}\``)))[column];
        return plain(said) === plain(String(entry.default))
          ? []
          : [`${name}: ${option} is ${String(entry.default)}, not ${said}`];
      });
    });
    expect(wrong).toEqual([]);
  });

  test('docs/configuration.md has each plugin with a table, and each preset', () => {
    const text = read('docs/configuration.md');
    const unnamed = [...plugins.values()]
      .filter(({ section }) => section !== undefined)
      .filter(({ name, section }) => !text.includes(`\`[${section}]\``) || !text.includes(`plugins/${name}/README.md`));
    expect(unnamed.map(({ name }) => name)).toEqual([]);
    expect([...presets.keys()].filter((name) => !text.includes(`\n| \`${name}\` `))).toEqual([]);
  });

  test('presets are named like their files', () => {
    expect([...presets.keys()].filter((name) => !everything.includes(`presets/${name}.ts`))).toEqual([]);
  });
});

describe('documentation', () => {
  test('every error code is explained, with its remedy, and no other', () => {
    const documented = [...read('docs/errors.md').matchAll(/^### (\w+)$/gm)].map(([, name = '']) => name);
    expect([...documented].sort()).toEqual(Object.keys(errorCodes).sort());
    const sections = read('docs/errors.md').split(/^### /m).slice(1);
    expect(sections.filter((text) => !text.includes('**Remedy:**')).map((text) => text.split('\n')[0])).toEqual([]);
  });

  test('every error code is used', () => {
    const all = product
      .filter((path) => path !== 'core/errors.ts')
      .map(read)
      .join('\n');
    expect(Object.keys(errorCodes).filter((name) => !all.includes(`'${name}'`))).toEqual([]);
  });

  test('every hook is documented', () => {
    const text = read('docs/pipeline.md');
    expect(Object.keys(createHooks()).filter((name) => !text.includes(`\`${name}\``))).toEqual([]);
  });

  test('every command is in docs/cli.md', () => {
    const text = read('docs/cli.md');
    const commands = sources
      .filter((path) => path.startsWith('core/cli/commands/'))
      .flatMap((path) => [...read(path).matchAll(/\.command\('([\w-]+)'\)/g)].map(([, name = '']) => name));
    expect(commands.length).toBeGreaterThan(20);
    const words = (name: string): RegExp => new RegExp(`chimera (?:\\w+ )?${name}\\b|\`${name}\``);
    expect(commands.filter((name) => !words(name).test(text))).toEqual([]);
  });

  test('links to a heading find it', () => {
    const anchor = (heading: string): string =>
      heading
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
        .replaceAll(/\s/g, '-');
    const anchorsOf = (path: string): string[] =>
      [...read(path).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => anchor(heading));
    const broken = everything
      .filter((path) => path.endsWith('.md'))
      .flatMap((path) =>
        [...read(path).matchAll(/\]\((?!https?:)([^)#\s]*)#([^)\s]+)\)/g)]
          .filter(([, target = '', heading = '']) => {
            const file = target === '' ? path : relative(root, resolve(root, dirname(path), target));
            return !anchorsOf(file).includes(heading);
          })
          .map(([, target = '', heading]) => `${path} → ${target}#${heading}`),
      );
    expect(broken).toEqual([]);
  });

  test('links between documents lead somewhere', () => {
    const broken = everything
      .filter((path) => path.endsWith('.md'))
      .flatMap((path) =>
        [...read(path).matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)/g)]
          .filter(([, target = '']) => {
            try {
              statSync(resolve(root, dirname(path), target));
              return false;
            } catch {
              return true;
            }
          })
          .map(([, target]) => `${path} → ${target}`),
      );
    expect(broken).toEqual([]);
  });
});

describe('the package', () => {
  test('every link in a document of the package stays within it', () => {
    const { files } = JSON.parse(read('package.json')) as { files: string[] };
    const shipped = (path: string): boolean =>
      files.includes(path) || path.startsWith('docs/') || path === 'docs' || /^plugins\/.*README\.md$/.test(path);
    expect(files).toEqual(expect.arrayContaining(['docs', 'plugins/**/README.md']));
    const leaving = everything
      .filter((path) => path.endsWith('.md') && shipped(path))
      .flatMap((path) =>
        [...read(path).matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)/g)]
          .map(([, target = '']) => relative(root, resolve(root, dirname(path), target)))
          .filter((target) => !shipped(target))
          .map((target) => `${path} → ${target}`),
      );
    expect(leaving).toEqual([]);
  });
});

describe('the tree', () => {
  test('nothing of substance beside the known folders at the top level', () => {
    const known = new Set([
      'core',
      'plugins',
      'strategies',
      'presets',
      'test',
      'docs',
      '.ci',
      'node_modules',
      'dist',
      '.git',
      'package.json',
      'package-lock.json',
      'tsconfig.json',
      'tsconfig.build.json',
      'vitest.config.ts',
      'README.md',
      'CHANGELOG.md',
      'CONTRIBUTING.md',
      'LICENSE',
      '.gitignore',
      '.prettierrc.json',
      '.prettierignore',
      '.oxlintrc.json',
    ]);
    expect(readdirSync(root).filter((name) => !known.has(name))).toEqual([]);
  });

  test('no dead files: every module is imported, run by a script or a test', () => {
    const imported = new Set(sources.flatMap(importsOf));
    const entries =
      read('package.json') +
      read('.ci/run') +
      sources.map((path) => (/test\//.test(path) ? read(path) : '')).join('\n');
    const dead = sources
      .filter((path) => !path.endsWith('.test.ts') && !imported.has(path))
      .filter((path) => !path.endsWith('config.ts'))
      .filter((path) => !entries.includes(path.split('/').slice(-2).join('/').replace(/\.ts$/, '')));
    expect(dead.filter((path) => !['core/index.ts', 'test/kit/index.ts'].includes(path))).toEqual([]);
  });

  test('no dead exports: each is imported, or can be reached from one of the package’s entry points', () => {
    const { exports } = JSON.parse(read('package.json')) as { exports: Record<string, { default: string }> };
    const entry = Object.values(exports).map(({ default: path }) => {
      const [before = '', after] = path.replace('./dist/', '').replace(/\.js$/, '.ts').split('*');
      return (file: string) =>
        after === undefined ? file === before : file.startsWith(before) && file.endsWith(after);
    });
    const targetOf = (path: string, target = ''): string => relative(root, resolve(root, dirname(path), target));
    const namesIn = (list = ''): string[] =>
      list.split(',').map((name) => /[\w$]+/.exec(name.replace(/^\s*type /, ''))?.[0] ?? '');
    const used = new Set<string>();
    const whole = new Set(sources.filter((path) => entry.some((is) => is(path))));
    for (const path of sources) {
      const text = code(path);
      for (const [, list, target] of text.matchAll(/\{([^{}]*)\} from '(\.[^']+)'/g))
        for (const name of namesIn(list)) used.add(`${targetOf(path, target)} ${name}`);
      for (const [, target] of text.matchAll(/(?:\* (?:as \w+ )?from |\bimport\()'(\.[^']+)'/g))
        whole.add(targetOf(path, target));
    }
    const dead = sources
      .filter((path) => !whole.has(path))
      .flatMap((path) => {
        const text = code(path);
        const found = text.matchAll(/^export (?:async )?(?:function\*?|const|let|class|(interface|type)) ([\w$]+)/gm);
        return (
          [...found]
            .filter(([, , name]) => !used.has(`${path} ${name}`))
            // A type that only its own file names still says what its functions take and give.
            .filter(([, type, name = '']) => type === undefined || text.split(new RegExp(`\\b${name}\\b`)).length < 3)
            .map(([, , name]) => `${path}: ${name}`)
        );
      });
    expect(dead).toEqual([]);
  });

  test('no file has grown beyond one reason to change', () => {
    const long = product
      .map((path) => [path, read(path).split('\n').length] as const)
      .filter(([, lines]) => lines > 450);
    expect(long).toEqual([]);
  });

  test('package-lock.json carries no download addresses', () => {
    expect(read('package-lock.json')).not.toMatch(/"resolved"|https?:\/\/[^"]*registry/);
  });
});
