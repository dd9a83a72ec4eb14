import { createServer, type Server } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import type { NodeIdentity } from '../../../core/engine/index.ts';
import { silentLog, systemClock, systemNet, type Endpoint } from '../../../core/runtime/index.ts';
import { joinCluster, parseInvitation, type JoinOptions } from '../../../plugins/join/index.ts';
import { knock, openKnock } from '../../../plugins/join/handshake.ts';
import { maximumInvitations } from '../../../plugins/join/book.ts';
import { encodeRequest } from '../../../plugins/join/messages.ts';
import { createBook } from '../../../plugins/join/index.ts';
import { createDoor } from '../../../plugins/proxy/index.ts';
import { createVirtualClock } from '../../kit/sim/virtual-clock.ts';
import { address, createCluster, epoch, newIdentity, random, type TestMember } from './support.ts';

const signal = new AbortController().signal;
const runtime = { net: systemNet, clock: systemClock, random };
const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

/** A member's door, over real HTTP on loopback. */
async function doorOf(member: TestMember): Promise<Endpoint> {
  const door = createDoor({ clock: systemClock, log: silentLog, answer: () => member.answer });
  const listener = await systemNet.listen({ host: '127.0.0.1', port: 0 }, (stream) => {
    stream.on('error', () => undefined);
    void door.serve(stream, new Uint8Array(0));
  });
  closing.push(() => listener.close());
  return listener.endpoint;
}
const join = (
  endpoint: Endpoint,
  invitation: string,
  identity: NodeIdentity = newIdentity(),
  more: Partial<JoinOptions> = {},
): ReturnType<typeof joinCluster> =>
  joinCluster(runtime, {
    where: { kind: 'direct', endpoint },
    invitation: parseInvitation(invitation),
    identity,
    endpoints: ['udp:192.0.2.7:7411'],
    attempts: 1,
    timeoutMs: 5_000,
    ...more,
  });

describe('joining over HTTP', () => {
  test('an invited node gets the cluster, its secrets, the roster and the address, and is admitted', async () => {
    const cluster = await createCluster(systemClock);
    const [member] = cluster.members as [TestMember];
    const identity = newIdentity();
    const joined = await join(await doorOf(member), await member.invite(), identity);
    expect(joined).toMatchObject({ cluster: member.identity.node, address, epoch, secrets: cluster.secrets });
    expect(Buffer.from(joined.roster).toString()).toContain(identity.node);
    expect(cluster.admissions).toEqual([identity.node]);
  });

  test('any member may be met; the one who made the invitation decides', async () => {
    const cluster = await createCluster(systemClock, 3);
    const [maker, met, other] = cluster.members as [TestMember, TestMember, TestMember];
    const invitation = await maker.invite();
    const identity = newIdentity();
    await join(await doorOf(met), invitation, identity);
    await expect(join(await doorOf(other), invitation)).rejects.toMatchObject({ code: 'JOIN_REFUSED' });
    // The same node again, from elsewhere: its first answer may have been lost.
    await join(await doorOf(other), invitation, identity);
    expect(cluster.admissions).toEqual([identity.node]);
  });

  test('while the one who made the invitation is away nobody comes in by it, and then again', async () => {
    const cluster = await createCluster(systemClock, 2);
    const [maker, met] = cluster.members as [TestMember, TestMember];
    const invitation = await maker.invite();
    const at = await doorOf(met);
    maker.away = true;
    await expect(join(at, invitation)).rejects.toMatchObject({ code: 'JOIN_REFUSED' });
    maker.away = false;
    await join(at, invitation);
    expect(cluster.admissions).toHaveLength(1);
  });

  test('an invitation of the generation before is good, one of two before is not', async () => {
    const cluster = await createCluster(systemClock);
    const [member] = cluster.members as [TestMember];
    const at = await doorOf(member);
    const [first, second] = [await member.invite(), await member.invite()];
    cluster.secrets = [{ generation: 2, secret: random.bytes(32) }, ...cluster.secrets];
    expect((await join(at, first)).secrets).toHaveLength(2);
    cluster.secrets = [{ generation: 3, secret: random.bytes(32) }, cluster.secrets[0] as never];
    await expect(join(at, second)).rejects.toMatchObject({ code: 'JOIN_REFUSED' });
  });

  test('a member that was removed is not let in again by its old invitation', async () => {
    const cluster = await createCluster(systemClock);
    const [member] = cluster.members as [TestMember];
    const at = await doorOf(member);
    const invitation = await member.invite();
    const identity = newIdentity();
    await join(at, invitation, identity);
    cluster.remove(identity.node);
    await expect(join(at, invitation, identity)).rejects.toMatchObject({ code: 'JOIN_REFUSED' });
    expect(cluster.admissions).toHaveLength(1);
  });

  test('nobody there, no HTTP, another service, an answer of somebody without the token: each says so', async () => {
    const cluster = await createCluster(systemClock);
    const [member] = cluster.members as [TestMember];
    const invitation = await member.invite();
    const serve = async (say: string): Promise<Endpoint> => {
      const server: Server = createServer((socket) => {
        socket.on('error', () => undefined);
        socket.once('data', () => socket.end(say));
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      closing.push(() => new Promise((resolve) => server.close(resolve)));
      return { host: '127.0.0.1', port: (server.address() as { port: number }).port };
    };
    const messageOf = async (at: Endpoint): Promise<string> =>
      join(at, invitation).then(
        () => 'joined',
        (error: Error) => error.message,
      );
    expect(await messageOf({ host: '127.0.0.1', port: 1 })).toContain('cannot be reached');
    expect(await messageOf(await serve('220 mail\r\n'))).toContain('does not answer in HTTP');
    expect(await messageOf(await serve('HTTP/1.1 302 Found\r\n\r\n'))).toContain('status 302');
    const forged = 'x'.repeat(100);
    expect(await messageOf(await serve(`HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n${forged}`))).toContain(
      'does not know the invitation',
    );
    expect(await messageOf(await serve(`HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n${forged}`))).toContain(
      'broke off',
    );
    expect(await messageOf(await serve(''))).toContain('closed the connection');
  });

  test('it tries again, says why, and gives up with the last reason', async () => {
    const clock = createVirtualClock();
    const said: string[] = [];
    const going = joinCluster(
      { ...runtime, clock },
      {
        where: { kind: 'direct', endpoint: { host: '127.0.0.1', port: 1 } },
        invitation: parseInvitation(await (await createCluster(clock)).members[0]!.invite()),
        identity: newIdentity(),
        endpoints: [],
        attempts: 3,
        say: (text) => void said.push(text),
      },
    ).catch((error: unknown) => error);
    const done = going.then(() => undefined);
    let over = false;
    void done.then(() => (over = true));
    const isOver = (): boolean => over;
    while (!isOver()) {
      await systemClock.sleep(5);
      await clock.advance(1_000);
    }
    expect(await going).toMatchObject({ code: 'JOIN_ANSWER' });
    expect(said).toHaveLength(2);
    expect(said[0]).toMatch(/cannot be reached.* again in \d s \(1 of 3 attempts\)/);
  });
});

describe('invitations', () => {
  test('end by the running time of the node that made them, also over restarts, whatever the wall clock says', async () => {
    const clock = createVirtualClock();
    const cluster = await createCluster(clock);
    const [member] = cluster.members as [TestMember];
    const { selector } = parseInvitation(await member.invite(100_000));
    const id = selector.slice(0, 16);
    await clock.advance(40_000);
    clock.jump(10 * 365 * 86_400_000);
    await member.book.keep();
    const again = createBook({ clock, random, store: member.store, stateDirectory: '/state' });
    await again.load();
    expect(again.open()).toMatchObject([{ id, leftMs: 60_000 }]);
    clock.jump(-20 * 365 * 86_400_000);
    await clock.advance(59_999);
    expect(await again.redeem(id, 'a')).toBe(true);
    await clock.advance(1);
    expect(await again.redeem(id, 'a')).toBe(false);
  });

  test('are bound to the first who uses them, also after a restart; a full disk lets nobody in', async () => {
    const clock = createVirtualClock();
    const cluster = await createCluster(clock);
    const [member] = cluster.members as [TestMember];
    const { selector } = parseInvitation(await member.invite());
    const id = selector.slice(0, 16);
    member.store.full = true;
    await expect(member.book.redeem(id, 'a')).rejects.toMatchObject({ code: 'STATE_FILE' });
    await expect(member.invite()).rejects.toMatchObject({ code: 'STATE_FILE' });
    member.store.full = false;
    expect(await Promise.all(['b', 'c'].map((node) => member.book.redeem(id, node)))).toEqual([true, false]);
    const again = createBook({ clock, random, store: member.store, stateDirectory: '/state' });
    await again.load();
    expect([await again.redeem(id, 'c'), await again.redeem(id, 'b')]).toEqual([false, true]);
    expect(again.open()).toHaveLength(1);
  });

  test('are bounded in number, and a damaged file is refused', async () => {
    const clock = createVirtualClock();
    const [member] = (await createCluster(clock)).members as [TestMember];
    for (let made = 0; made < maximumInvitations; made++) await member.invite(1_000);
    await expect(member.invite()).rejects.toMatchObject({ code: 'JOIN_TOO_MANY' });
    await clock.advance(1_000);
    await member.invite();
    member.store.truncate('/state/invitations', 20);
    const again = createBook({ clock, random, store: member.store, stateDirectory: '/state' });
    await expect(again.load()).rejects.toMatchObject({ code: 'STATE_FILE' });
  });

  test('the file holds no token', async () => {
    const [member] = (await createCluster(systemClock)).members as [TestMember];
    const { token } = parseInvitation(await member.invite());
    const file = Buffer.from((await member.store.read('/state/invitations')) as Uint8Array);
    expect(file.includes(Buffer.from(token))).toBe(false);
    expect(file.toString()).not.toContain(Buffer.from(token).toString('base64'));
  });
});

describe('the handshake', () => {
  const token = random.bytes(16);
  const selector = 'a'.repeat(24);
  const identity = newIdentity();
  const begin = (with_: Uint8Array = token) =>
    knock(with_, selector, random, (ephemeral) => encodeRequest(identity, selector, ephemeral, []));

  test('both sides have what the other said; nothing of the token or the payload is in the messages', () => {
    const joiner = begin();
    const opened = openKnock(token, selector, joiner.message);
    const answer = opened?.answer(Buffer.from('welcome'), random) as Uint8Array;
    expect(Buffer.from(joiner.finish(answer) as Uint8Array).toString()).toBe('welcome');
    for (const message of [joiner.message, answer]) {
      expect(Buffer.from(message).includes(Buffer.from(token))).toBe(false);
      expect(Buffer.from(message).includes('welcome')).toBe(false);
      expect(Buffer.from(message).includes('signature')).toBe(false);
    }
  });

  test('another token, another selector, a changed byte: nothing opens', () => {
    const { message } = begin();
    expect(openKnock(random.bytes(16), selector, message)).toBeUndefined();
    expect(openKnock(token, 'b'.repeat(24), message)).toBeUndefined();
    for (let at = 0; at < message.length; at += 7) {
      const changed = Uint8Array.from(message);
      changed[at] = (changed[at] ?? 0) ^ 1;
      expect(openKnock(token, selector, changed)).toBeUndefined();
    }
    for (let length = 0; length < 60; length++)
      expect(openKnock(token, selector, message.subarray(0, length))).toBeUndefined();
  });

  test('an answer to another knock does not open', () => {
    const [one, two] = [begin(), begin()];
    const answer = openKnock(token, selector, one.message)?.answer(Buffer.from('x'), random) as Uint8Array;
    expect(two.finish(answer)).toBeUndefined();
  });

  test('a recorded request, sent again, gets an answer that only its sender reads, and admits nobody more', async () => {
    const cluster = await createCluster(systemClock);
    const [member] = cluster.members as [TestMember];
    const invitation = parseInvitation(await member.invite());
    const joiner = knock(invitation.token, invitation.selector, random, (ephemeral) =>
      encodeRequest(identity, invitation.selector, ephemeral, []),
    );
    for (let time = 0; time < 3; time++) await member.answer(invitation.selector, joiner.message, signal);
    expect(cluster.admissions).toEqual([identity.node]);
    cluster.remove(identity.node);
    expect(await member.answer(invitation.selector, joiner.message, signal)).toBeUndefined();
    expect(cluster.admissions).toEqual([identity.node]);
  });
});
