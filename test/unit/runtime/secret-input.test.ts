import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemSecretInput } from '../../../core/runtime/index.ts';

let directory = '';
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'chimera-secret-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

const module = resolve(import.meta.dirname, '../../../core/runtime/secret-input.ts');
/** Not the command tsx, which hands no descriptors on. */
const node = [process.execPath, '--import', import.meta.resolve('tsx')] as const;

/** A program that prints, in hexadecimal, what it read. */
function program(read: string): string {
  const file = join(directory, `${read.replaceAll(/\W/g, '')}.mts`);
  writeFileSync(
    file,
    `import { systemSecretInput as input } from '${module}';
const bytes = await input.${read}.catch((error: Error) => error.message);
console.log(typeof bytes === 'string' ? bytes : bytes === undefined ? 'none' : Buffer.from(bytes).toString('hex'));\n`,
  );
  return file;
}

describe('a file descriptor', () => {
  test.each([
    ['six words', 'six words'],
    ['six words\n', 'six words'],
    ['six words\r\n', 'six words'],
    ['six words\n\n', 'six words\n'],
    ['\n', ''],
    ['', ''],
  ])('of a file gives its text without the last line break: %j', async (text, expected) => {
    const file = join(directory, 'file');
    writeFileSync(file, text);
    const bytes = await systemSecretInput.descriptor(openSync(file, 'r'));
    expect(Buffer.from(bytes).toString()).toBe(expected);
  });

  test('that is not open, or has too much, is refused', async () => {
    await expect(systemSecretInput.descriptor(9_999)).rejects.toMatchObject({ code: 'EBADF' });
    const file = join(directory, 'large');
    writeFileSync(file, 'x'.repeat(1_025));
    await expect(systemSecretInput.descriptor(openSync(file, 'r'))).rejects.toThrow('at most 1024 bytes');
  });

  test('of a pipe, and of a socket that is slow, gives all that comes', async () => {
    const file = program('descriptor(3)');
    const piped = spawnSync('bash', [
      '-c',
      `${node.join(' ')} '${file}' 3< <(printf 'six '; sleep 0.1; printf 'words\\n')`,
    ]);
    expect(piped.stdout.toString().trim()).toBe(Buffer.from('six words').toString('hex'));
    const child = spawn(node[0], [...node.slice(1), file], { stdio: ['ignore', 'pipe', 'inherit', 'pipe'] });
    const out: Buffer[] = [];
    child.stdout?.on('data', (chunk: Buffer) => out.push(chunk));
    (child.stdio[3] as NodeJS.WritableStream).end('from a socket\n');
    await new Promise((done) => child.once('close', done));
    expect(Buffer.concat(out).toString().trim()).toBe(Buffer.from('from a socket').toString('hex'));
  });
});

const hasPty = spawnSync('script', ['--version']).status === 0;
describe.runIf(hasPty)('a terminal', () => {
  /** Runs the program on a pseudo-terminal, which `typed` is fed to once it asks. */
  async function onTerminal(typed: Uint8Array): Promise<string> {
    const command = `${node.join(' ')} '${program("prompt('Passphrase: ')")}'`;
    const child = spawn('script', ['-qec', command, '/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'] });
    let shown = '';
    child.stdout.on('data', (chunk: Buffer) => {
      const before = shown.includes('Passphrase: ');
      shown += chunk.toString();
      if (!before && shown.includes('Passphrase: ')) child.stdin.write(typed);
    });
    await new Promise((done) => child.once('close', done));
    return shown;
  }

  test('is asked, and shows nothing of what is typed; backspace takes whole characters back', async () => {
    const shown = await onTerminal(Buffer.from('six wö\x7fords!\x7f\r'));
    expect(shown).toContain('Passphrase: ');
    expect(shown).toContain(Buffer.from('six words').toString('hex'));
    expect(shown.replace(Buffer.from('six words').toString('hex'), '')).not.toContain('words');
  });

  test('may interrupt', async () => {
    expect(await onTerminal(Buffer.from('six\x03'))).toContain('it was interrupted');
  });
});

test('without a terminal nobody is asked', () => {
  const { stdout } = spawnSync('setsid', ['-w', ...node, program("prompt('Passphrase: ')")], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  expect(stdout.toString().trim()).toBe('none');
});
