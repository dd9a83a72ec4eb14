/** What is wrong with tor: none, not let in, not tor at all, silent, or gone for a while. */
import { chmodSync, statSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { systemNet, type Endpoint } from '../../../core/runtime/index.ts';
import { hashedControlPassword } from '../../kit/network/embedded/control-auth.ts';
import { onFreeMachine } from '../../free-machine.ts';
import {
  addTor,
  directoryOf,
  makeMaster,
  published,
  runNode,
  runtime,
  servicesOf,
  stopLimitMs,
  stopped,
  tablesFor,
  told,
  type Tables,
  type World,
} from './world.ts';

/** Something that listens, and says `greeting` to whatever it is told; nothing without one. */
async function foreign(world: World, greeting?: string): Promise<Endpoint> {
  const listener = await systemNet.listen({ host: '127.0.0.1', port: 0 }, (stream) => {
    stream.on('error', () => undefined);
    stream.on('data', () => {
      if (greeting !== undefined) stream.end(greeting);
    });
  });
  world.releases.push(() => listener.close());
  return listener.endpoint;
}

async function unusedPort(): Promise<Endpoint> {
  const listener = await systemNet.listen({ host: '127.0.0.1', port: 0 }, (stream) => stream.destroy());
  await listener.close();
  return listener.endpoint;
}

/** Waiting would take ten minutes: what fails sooner did not wait. */
const endless = { start_timeout_ms: 600_000 };

export function describeTor(world: World): void {
  /** Runs a node that cannot start; resolves with its error, its exit code and everything it said. */
  const failing = async (
    control: Endpoint,
    tor: Readonly<Record<string, unknown>>,
    options: { readonly deprived?: boolean } = {},
  ): Promise<ReturnType<typeof told> & { readonly exit: number; readonly err: string }> => {
    const tables: Tables = tablesFor(control, makeMaster(world), { tor, log: { level: 'silent' } });
    const { code, err } = await runNode(world, tables, options).ended;
    return { ...told(err), exit: code, err };
  };

  describe('no tor', () => {
    test('nothing listens', async () => {
      const control = (await unusedPort()) as { host: string; port: number };
      const { exit, code, message, fix } = await failing(control, { start_timeout_ms: 300 });
      expect({ exit, code, message }).toEqual({
        exit: 3,
        code: 'TOR_CONNECT',
        message: `no tor listens at 127.0.0.1:${control.port}`,
      });
      expect(fix).toContain('Start tor, and set ControlPort');
    });

    test('the control socket is not there', async () => {
      const path = `${directoryOf(world)}/control`;
      const { exit, code, message } = await failing({ path }, { start_timeout_ms: 300 });
      expect({ exit, code, message }).toEqual({
        exit: 3,
        code: 'TOR_CONNECT',
        message: `no tor listens at unix:${path}`,
      });
    });

    test('one that comes a little later is waited for', async () => {
      const tor = await addTor(world);
      await tor.kill();
      const node = runNode(world, tablesFor(tor.control, makeMaster(world)));
      await node.line(({ message }) => message === 'no connection to tor');
      await tor.restart();
      await node.line(published);
      expect(await stopped(node)).toMatchObject({ code: 0 });
    });
  });

  describe('tor does not let us in, which is told at once', () => {
    test('the cookie of another tor', async () => {
      const tor = await addTor(world);
      const other = `${directoryOf(world)}/cookie`;
      writeFileSync(other, runtime.random.bytes(32));
      const { exit, code, message, fix } = await failing(tor.control, { ...endless, cookie_path: other });
      expect({ exit, code }).toEqual({ exit: 3, code: 'TOR_AUTHENTICATION' });
      expect(message).toContain('does not know the authentication cookie');
      expect(fix).toContain('Name the cookie file of this very tor');
    });

    test('a cookie that this user may not read', async () => {
      const tor = await addTor(world);
      chmodSync(tor.cookiePath as string, 0o000);
      const { exit, code, message, fix } = await failing(tor.control, endless, { deprived: true });
      expect({ exit, code }).toEqual({ exit: 3, code: 'TOR_COOKIE' });
      expect(message).toMatch(new RegExp(`${tor.cookiePath}: EACCES: permission denied`));
      expect(fix).toContain('Add the user to the group debian-tor');
    });

    test.each([
      ['none', undefined, 'wants a password and none is set'],
      ['a wrong one', 'hunter2', 'refused the authentication (515)'],
    ])('a password: %s', async (_name, password, said) => {
      const hash = hashedControlPassword('the right one', runtime.random);
      const tor = await addTor(world, { CookieAuthentication: '0', HashedControlPassword: hash });
      const { exit, code, message, fix, err } = await failing(tor.control, {
        ...endless,
        ...(password === undefined ? {} : { password }),
      });
      expect({ exit, code }).toEqual({ exit: 3, code: 'TOR_AUTHENTICATION' });
      expect(message).toContain(said);
      expect(fix).toContain('password');
      expect(err).not.toContain('hunter2');
    });

    test('a control socket that this user may not open', async () => {
      const path = `${directoryOf(world)}/control`;
      await addTor(world, { ControlSocket: path });
      chmodSync(path, 0o000);
      expect(statSync(path).isSocket()).toBe(true);
      const { exit, code, message, fix } = await failing({ path }, endless, { deprived: true });
      expect({ exit, code }).toEqual({ exit: 3, code: 'TOR_PERMISSION' });
      expect(message).toContain(`unix:${path}`);
      expect(fix).toContain('Add the user to the group that owns the socket');
    });
  });

  describe('not tor’s control port', () => {
    test('a web server', async () => {
      const control = await foreign(world, 'HTTP/1.1 400 Bad Request\r\n\r\n');
      const { exit, code, message, fix } = await failing(control, endless);
      expect({ exit, code }).toEqual({ exit: 3, code: 'TOR_NOT_CONTROL_PORT' });
      expect(message).toContain('it answered "HTTP/1.1 400 Bad Request"');
      expect(fix).toContain('ControlPort');
    });

    test('tor’s own SOCKS port', async () => {
      const tor = await addTor(world, {}, true);
      const { exit, code, fix } = await failing(tor.socks as Endpoint, endless);
      expect({ exit, code }).toEqual({ exit: 3, code: 'TOR_NOT_CONTROL_PORT' });
      expect(fix).toContain('SocksPort, ORPort and others are something else');
    });

    test('one that takes the connection and never answers', async () => {
      const { exit, code, message, fix } = await failing(await foreign(world), { start_timeout_ms: 400 });
      expect({ exit, code }).toEqual({ exit: 3, code: 'TOR_TIMEOUT' });
      expect(message).toMatch(/took the connection and did not answer within 400 ms$/);
      expect(fix).toContain('neither stopped nor overloaded');
    });
  });

  describe('tor goes and comes back', () => {
    test('killed and started again: heads are set up and published again by themselves', async () => {
      const tor = await addTor(world);
      const node = runNode(world, tablesFor(tor.control, makeMaster(world), { heads: { lost_after_ms: 300 } }));
      const before = await node.line(published);
      await tor.kill();
      await node.line(({ message, why }) => message === 'the head changed' && why === 'its tor is gone');
      await tor.restart();
      const again = await node.line((line) => published(line) && Number(line.cycle) > Number(before.cycle));
      expect(again).toMatchObject({ heads: ['node/1'] });
      expect(await servicesOf(tor)).toEqual([`${tor.dataDirectory}/chimera/node-1`]);
      expect(await stopped(node)).toMatchObject({ code: 0 });
      expect(await servicesOf(tor)).toEqual([]);
    });

    test('it hangs, is named, and is used again when it goes on', async () => {
      const tor = await addTor(world);
      const node = runNode(world, tablesFor(tor.control, makeMaster(world), { tor: { command_timeout_ms: 500 } }));
      await node.line(published);
      await tor.kill('SIGSTOP');
      const { error } = await node.line(({ message }) => message === 'no connection to tor');
      expect(error).toMatchObject({
        code: 'TOR_TIMEOUT',
        remedy: expect.stringContaining('neither stopped nor overloaded') as string,
      });
      const count = node.lines().filter(published).length;
      await tor.kill('SIGCONT');
      // Where no cycle has met the hang there is nothing new to publish: it is asked to.
      node.kill('SIGHUP');
      await node.line(() => node.lines().filter(published).length > count);
      expect(await stopped(node)).toMatchObject({ code: 0 });
      expect(await servicesOf(tor)).toEqual([]);
    });

    test('it hangs at the stop: the stop does not wait for it', () =>
      onFreeMachine(async () => {
        const tor = await addTor(world);
        const node = runNode(world, tablesFor(tor.control, makeMaster(world)));
        await node.line(published);
        await tor.kill('SIGSTOP');
        const { code, tookMs } = await stopped(node, 'SIGTERM');
        expect(code).toBe(0);
        expect(tookMs).toBeLessThan(stopLimitMs);
        expect(node.lines()).toContainEqual(expect.objectContaining({ message: 'a head may still be in its tor' }));
      }));
  });
}
