import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { connect, createServer, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { adminContract, type AdminCommand, type Host, type Json } from '../../../core/engine/index.ts';
import { ChimeraError } from '../../../core/errors.ts';
import { systemClock, systemNet, systemStore } from '../../../core/runtime/index.ts';
import admin, { adminSocketPath, askNode } from '../../../plugins/admin/index.ts';
import { lineSplitter, parseAnswer, parseRequest } from '../../../plugins/admin/protocol.ts';
import { openAdminServer } from '../../../plugins/admin/server.ts';
import { createBareHost, recordingLog, type LogLine } from '../plugins/support.ts';

const runtime = { clock: systemClock, net: systemNet, store: systemStore };
let directory = '';
let path = '';
const closing: (() => Promise<void>)[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'chimera-admin-'));
  path = join(directory, 'state', 'admin.sock');
});
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
  await rm(directory, { recursive: true, force: true });
});

const lines: LogLine[] = [];
async function serve(...commands: readonly AdminCommand[]): Promise<void> {
  lines.length = 0;
  const find = (name: string): AdminCommand | undefined => commands.find((one) => one.name === name);
  const listener = await openAdminServer({ runtime, log: recordingLog(lines), path, find });
  closing.push(() => listener.close());
}
const command = (name: string, run: AdminCommand['run']): AdminCommand => ({ name, summary: name, run });
const ask = (name: string, args: { readonly [key: string]: Json } = {}, say?: (text: string) => void): Promise<Json> =>
  askNode(runtime, { path, howToStart: 'chimera run', request: { command: name, args }, ...(say && { say }) });

/** Sends bytes as they are, and gives all that comes back. */
async function raw(bytes: string | Uint8Array): Promise<string> {
  const socket = connect({ path });
  socket.on('error', () => undefined);
  socket.write(bytes);
  let text = '';
  for await (const chunk of socket) text += String(chunk);
  return text;
}

describe('the admin socket', () => {
  test('answers with progress and a result; arguments arrive', async () => {
    await serve(
      command('echo', async (args, say) => {
        say('one');
        say('two');
        return { args };
      }),
    );
    const said: string[] = [];
    expect(await ask('echo', { a: [1, 'ü', null] }, (text) => void said.push(text))).toEqual({
      args: { a: [1, 'ü', null] },
    });
    expect(said).toEqual(['one', 'two']);
  });

  test('is of mode 0600 in a directory of mode 0700, and gone after the close', async () => {
    await serve();
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect((await stat(join(directory, 'state'))).mode & 0o777).toBe(0o700);
    await closing.pop()?.();
    expect(await readdir(join(directory, 'state'))).toEqual([]);
  });

  test('coded errors come through whole; others only as a hint to the log', async () => {
    await serve(
      command('coded', async () => {
        throw new ChimeraError('PEER_UNKNOWN', 'who?', { remedy: 'look' });
      }),
      command('plain', async () => {
        throw new Error('the secret is 42');
      }),
    );
    await expect(ask('coded')).rejects.toMatchObject({ code: 'PEER_UNKNOWN', message: 'who?', remedy: 'look' });
    const plain = await ask('plain').catch((error: unknown) => error as ChimeraError);
    expect(plain).toMatchObject({ code: 'ADMIN_FAILED' });
    expect(JSON.stringify(plain)).not.toContain('42');
    expect(lines).toMatchObject([{ level: 'error', message: 'a command failed' }]);
    await expect(ask('nothing')).rejects.toMatchObject({ code: 'ADMIN_COMMAND' });
  });

  test('a socket that a dead node left is replaced; a living one, a file and a long path are refused', async () => {
    await serve();
    await expect(serve()).rejects.toMatchObject({ code: 'ADMIN_TAKEN' });
    await closing.pop()?.();

    // A process that dies leaves its socket behind.
    const dying = createServer();
    await new Promise<void>((resolve) => dying.listen({ path: `${path}.old` }, () => resolve()));
    const { renameSync } = await import('node:fs');
    renameSync(`${path}.old`, path);
    await new Promise<void>((resolve) => dying.close(() => resolve()));
    await serve();
    await closing.pop()?.();

    await writeFile(path, 'a diary');
    await expect(serve()).rejects.toMatchObject({ code: 'ADMIN_SOCKET' });
    expect((await stat(path)).size).toBe(7);
    await rm(path);

    path = join(directory, 'x'.repeat(120), 'admin.sock');
    await expect(serve()).rejects.toMatchObject({ code: 'ADMIN_SOCKET' });
  });

  test('a directory that others may write is refused', async () => {
    await systemStore.makeDirectory(join(directory, 'state'), 0o777);
    await expect(serve()).rejects.toMatchObject({ code: 'ADMIN_SOCKET' });
  });

  test('what is no request is answered with an error, and the socket lives on', async () => {
    await serve(command('ok', async () => true));
    expect(await raw('not json\n')).toContain('ADMIN_REQUEST');
    expect(await raw('{"command":"ok","args":[]}\n')).toContain('ADMIN_REQUEST');
    expect(await raw('{"command":"../ok"}\n')).toContain('ADMIN_REQUEST');
    expect(await raw(`{"command":"ok","args":{"a":"${'x'.repeat(70_000)}"}}\n`)).toContain('ADMIN_REQUEST');
    expect(await raw(Buffer.from([0xff, 0xfe, 10]))).toContain('ADMIN_REQUEST');
    expect(await ask('ok')).toBe(true);
  });

  test('one connection too many is told so, and the others are served', async () => {
    let release: () => void = () => undefined;
    const wait = new Promise<void>((resolve) => (release = resolve));
    let running = 0;
    await serve(
      command('wait', async () => {
        running++;
        await wait;
        return running;
      }),
    );
    const asked = Array.from({ length: 16 }, () => ask('wait'));
    const all = (): boolean => running === 16;
    while (!all()) await systemClock.sleep(5);
    await expect(ask('wait')).rejects.toMatchObject({ code: 'ADMIN_REQUEST' });
    release();
    expect(await Promise.all(asked)).toHaveLength(16);
    expect(await ask('wait')).toBe(17);
  });

  test('when the one who asks goes away, the command is told', async () => {
    const socket = new Socket();
    let heard: () => void = () => undefined;
    const aborted = new Promise<void>((resolve) => (heard = () => resolve()));
    await serve(
      command('long', (_args, _say, signal) => {
        socket.destroy();
        return new Promise(() => signal.addEventListener('abort', heard, { once: true }));
      }),
    );
    socket.connect({ path });
    socket.write('{"command":"long"}\n');
    await expect(aborted).resolves.toBeUndefined();
  });

  test('says where it was looked for when no node is there', async () => {
    await expect(ask('status')).rejects.toMatchObject({
      code: 'ADMIN_UNREACHABLE',
      message: `no node answers at ${path}: there is no such socket, so none runs`,
    });
  });

  test('a node that goes away in the middle is an error, not a wait', async () => {
    await serve(
      command('hang', (_args, say) => {
        say('begun');
        return new Promise(() => undefined);
      }),
    );
    const gone = await ask('hang', {}, () => void closing.pop()?.()).catch((error: unknown) => error);
    expect(gone).toMatchObject({ code: 'ADMIN_ANSWER' });
  });
});

describe('the protocol', () => {
  test('any bytes are a request, an answer, or a coded error', () => {
    const bytes = fc.oneof(
      fc.uint8Array(),
      fc.json().map((text) => new TextEncoder().encode(text)),
    );
    const law = fc.property(bytes, (line) => {
      const codes = [parseRequest, parseAnswer].map((parse) => {
        try {
          parse(line);
          return 'value';
        } catch (error) {
          return (error as ChimeraError).code;
        }
      });
      return codes.every((code) => ['value', 'ADMIN_REQUEST', 'ADMIN_ANSWER'].includes(code));
    });
    expect(() => fc.assert(law)).not.toThrow();
  });

  test('lines are the same however the bytes are cut, and never longer than allowed', () => {
    const law = fc.property(fc.array(fc.stringMatching(/^[a-z]{0,20}$/)), fc.array(fc.nat(9)), (texts, cuts) => {
      const all = Buffer.from(texts.map((text) => `${text}\n`).join(''));
      const split = lineSplitter(20, () => new Error('too long'));
      const found: string[] = [];
      let at = 0;
      for (const cut of [...cuts, all.length]) {
        found.push(...split(all.subarray(at, at + cut)).map((line) => Buffer.from(line).toString()));
        at += cut;
      }
      return found.join() === texts.join();
    });
    expect(() => fc.assert(law)).not.toThrow();
    const split = lineSplitter(4, () => new Error('too long'));
    expect(split(Buffer.from('abcd'))).toEqual([]);
    expect(() => split(Buffer.from('e'))).toThrow('too long');
  });
});

describe('the plugin', () => {
  test('gives a status of all sections, names each once, and needs no socket', async () => {
    const bare = createBareHost();
    bare.apply(admin);
    const door = bare.given(adminContract);
    door.status('good', () => ({ a: 1 }));
    door.status('bad', () => {
      throw new Error('no');
    });
    expect(() => door.status('good', () => 1)).toThrow('good');
    expect(() => door.command(command('status', async () => 1))).toThrow('status');
    await bare.start();
    await bare.stop();
    expect(adminSocketPath({}, undefined)).toBeUndefined();
    expect(adminSocketPath({}, '/var/lib/chimera')).toBe('/var/lib/chimera/admin.sock');
  });

  test('opens its socket at the start and closes it at the stop', async () => {
    const bare = createBareHost();
    const host: Host = {
      ...bare.host,
      runtime: { ...bare.host.runtime, ...runtime },
      stateDirectory: join(directory, 'state'),
    };
    admin.apply(host, {} as never);
    bare.given(adminContract).status('here', () => 'yes');
    bare.given(adminContract).status('gone', () => {
      throw new Error('no');
    });
    bare.given(adminContract).status('coded', () => {
      throw new ChimeraError('VAULT_LOCKED', 'the master key has not come yet');
    });
    await bare.start();
    // Nobody has checked what an error without a code says: its text stays in the log.
    expect(await ask('status')).toEqual({
      here: 'yes',
      gone: { error: 'it failed; see the log' },
      coded: { error: 'the master key has not come yet' },
    });
    expect(await ask('commands')).toEqual([
      { name: 'status', summary: 'What the node knows of itself.' },
      { name: 'commands', summary: 'The commands of this node.' },
    ]);
    await bare.stop();
    await expect(ask('status')).rejects.toMatchObject({ code: 'ADMIN_UNREACHABLE' });
  });
});
