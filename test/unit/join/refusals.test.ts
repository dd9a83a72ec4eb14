/** What everybody who is refused at the door gets, and when: one answer for all, at whole steps; test/unit/proxy has the way there. */
import { duplexPair, type Duplex } from 'node:stream';
import { describe, expect, test } from 'vitest';
import type { DoorAnswer } from '../../../core/engine/index.ts';
import { silentLog, sleepOn, type Clock } from '../../../core/runtime/index.ts';
import { knock } from '../../../plugins/join/handshake.ts';
import { parseInvitation, type Invitation } from '../../../plugins/join/index.ts';
import { encodeRequest } from '../../../plugins/join/messages.ts';
import {
  answerStepMs,
  createDoor,
  longestDoorBody,
  maximumOpen,
  maximumStreams,
  notFound,
} from '../../../plugins/proxy/door.ts';
import { createVirtualClock, settle, type VirtualClock } from '../../kit/sim/virtual-clock.ts';
import { createCluster, newIdentity, random, type TestMember } from './support.ts';

interface Client {
  readonly stream: Duplex;
  heard: string;
  /** When the answer was whole, or the connection cut. */
  overAtMs: number | undefined;
}

function caller(clock: Clock, answer: DoorAnswer): (...parts: readonly (string | Uint8Array)[]) => Client {
  const door = createDoor({ clock, log: silentLog, answer: () => answer });
  return (...parts) => {
    const [stream, served] = duplexPair();
    served.on('error', () => undefined);
    const client: Client = { stream, heard: '', overAtMs: undefined };
    stream.on('error', () => undefined);
    stream.on('data', (chunk: Buffer) => (client.heard += chunk.toString('latin1')));
    const over = (): void => void (client.overAtMs ??= clock.monotonic());
    stream.once('end', over);
    served.once('close', over);
    void door.serve(served, new Uint8Array(0));
    for (const part of parts) stream.write(part);
    return client;
  };
}

const post = (path: string, length: number): string =>
  `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\n`;
const requestFor = ({ selector, token }: Invitation, identity = newIdentity()): [string, Uint8Array] => {
  const body = knock(token, selector, random, (ephemeral) => encodeRequest(identity, selector, ephemeral, [])).message;
  return [post(`/.rb/${selector}`, body.length), body];
};

async function house(clock: VirtualClock) {
  const cluster = await createCluster(clock, 2);
  const [member, other] = cluster.members as [TestMember, TestMember];
  const invite = async (by = member, lifeMs?: number): Promise<Invitation> => parseInvitation(await by.invite(lifeMs));
  const admitted = async (invitation: Invitation): Promise<string> => {
    const guest = newIdentity();
    const [, body] = requestFor(invitation, guest);
    expect(await member.answer(invitation.selector, body, new AbortController().signal)).toBeDefined();
    return guest.node;
  };
  return { cluster, member, other, invite, admitted };
}

describe('the door', () => {
  test('refuses whatever it refuses by the same bytes at the same time, the right token or not', async () => {
    const clock = createVirtualClock();
    const { cluster, member, other, invite, admitted } = await house(clock);
    const expired = await invite(member, 60_000);
    await clock.advance(60_000);
    const [used, open, away, removed] = [await invite(), await invite(), await invite(other), await invite()];
    await admitted(used);
    const gone = newIdentity();
    const back = requestFor(removed, gone);
    await member.answer(removed.selector, back[1], new AbortController().signal);
    cluster.remove(gone.node);
    other.away = true;
    const wrong = { selector: open.selector, token: random.bytes(16) };
    const stale = { selector: open.selector.replace(/^./, (first) => (first === 'a' ? 'b' : 'a')), token: open.token };
    const requests: Record<string, readonly (string | Uint8Array)[]> = {
      'a wrong token': requestFor(wrong),
      'another path, a genuine token': requestFor(stale),
      'an expired invitation': requestFor(expired),
      'a used invitation': requestFor(used),
      'an invitation of a member that is away': requestFor(away),
      'a node that was removed': back,
      garbage: [post(`/.rb/${open.selector}`, 300), random.bytes(300)],
      'one byte': [post(`/.rb/${open.selector}`, 1), 'x'],
      'the largest body': [post(`/.rb/${open.selector}`, longestDoorBody), random.bytes(longestDoorBody)],
      'too large a body': [post(`/.rb/${open.selector}`, longestDoorBody + 1), random.bytes(longestDoorBody + 1)],
      'an absurd length': [post(`/.rb/${open.selector}`, 9e15)],
      'more than it said': [post(`/.rb/${open.selector}`, 1), 'xx'],
      'a short path': [post('/.rb/a', 1), 'x'],
      'another method': [`GET /.rb/${open.selector} HTTP/1.1\r\n\r\n`],
      chunks: [`POST /.rb/${open.selector} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n`],
      'too long a head': [`POST /.rb/${open.selector} HTTP/1.1\r\nX: ${'x'.repeat(5_000)}`],
      'no request at all': ['\r\n\r\n'],
    };
    const call = caller(clock, member.answer);
    const beganAtMs = clock.monotonic();
    const clients = Object.values(requests).map((parts) => call(...parts));
    await clock.advance(10_000);
    const seen = Object.keys(requests).map((name, at) => {
      const { heard, overAtMs = NaN } = clients[at] as Client;
      return [name, heard === notFound.toString('latin1'), overAtMs - beganAtMs];
    });
    expect(seen).toEqual(Object.keys(requests).map((name) => [name, true, answerStepMs]));
    expect(cluster.admissions).toHaveLength(2);
  });

  test('counts the steps from before the work', async () => {
    // Time passes by work alone, and timers are due by when they were set.
    let nowMs = 0;
    const due: { readonly atMs: number; readonly run: () => void }[] = [];
    const after: Clock['after'] = (delayMs, run) => {
      const timer = { atMs: nowMs + delayMs, run };
      due.push(timer);
      return { cancel: () => void due.splice(due.indexOf(timer), 1) };
    };
    const clock: Clock = { now: () => nowMs, monotonic: () => nowMs, after, sleep: sleepOn(after) };
    const answeredAfter = async (workMs: number): Promise<number> => {
      nowMs = 0;
      const client = caller(clock, async () => {
        nowMs += workMs;
        return undefined;
      })(post(`/.rb/${'a'.repeat(24)}`, 1), 'x');
      await settle();
      while (client.overAtMs === undefined) {
        due.sort((a, b) => a.atMs - b.atMs);
        const next = due.shift();
        nowMs = Math.max(nowMs, next?.atMs ?? Infinity);
        next?.run();
        await settle();
      }
      expect(client.heard).toBe(notFound.toString('latin1'));
      return client.overAtMs;
    };
    expect(await answeredAfter(0)).toBe(answerStepMs);
    expect(await answeredAfter(1)).toBe(answerStepMs);
    expect(await answeredAfter(100)).toBe(answerStepMs);
  });

  test('tells slow clients the same as everybody, a step after the limit or after giving way, and they keep nobody else out', async () => {
    const clock = createVirtualClock();
    const { member, invite } = await house(clock);
    const call = caller(clock, member.answer);
    const request = requestFor(await invite());
    const slow = Array.from({ length: 3 * maximumOpen }, () => call('POST /.rb/'));
    const dripping = async (): Promise<void> => {
      for (const { stream, overAtMs } of slow) if (overAtMs === undefined && !stream.destroyed) stream.write('a');
      await clock.advance(500);
    };
    for (let count = 0; count < 4; count++) await dripping();
    const honest = call(...request);
    for (let count = 0; count < 20; count++) await dripping();
    expect(honest.heard).toContain('200 OK');
    expect(new Set(slow.map(({ heard }) => heard))).toEqual(new Set([notFound.toString('latin1')]));
    // Two thirds give way to the last third, one of that to the honest one.
    const overAtMs = slow.map((client) => client.overAtMs);
    const gaveWay = Array.from({ length: 2 * maximumOpen }, () => answerStepMs);
    const late = Array.from({ length: maximumOpen - 1 }, () => 10_000 + answerStepMs);
    expect(overAtMs).toEqual([...gaveWay, 2_000 + answerStepMs, ...late]);
  });

  test('refuses the newest in the same way where all places are taken by whole requests', async () => {
    const clock = createVirtualClock();
    let decide = (): void => undefined;
    const decision = new Promise<undefined>((resolve) => (decide = () => resolve(undefined)));
    const call = caller(clock, () => decision);
    const whole = [post(`/.rb/${'a'.repeat(24)}`, 1), 'x'];
    const asked = Array.from({ length: maximumOpen }, () => call(...whole));
    await settle();
    const [newest, slowest] = [call(...whole), call('POST')];
    await clock.advance(answerStepMs);
    for (const { heard, overAtMs } of [newest, slowest]) {
      expect([heard, overAtMs]).toEqual([notFound.toString('latin1'), answerStepMs]);
    }
    expect(asked.every(({ overAtMs }) => overAtMs === undefined)).toBe(true);
    decide();
    await clock.advance(answerStepMs);
    expect(new Set(asked.map(({ heard }) => heard))).toEqual(new Set([notFound.toString('latin1')]));
  });

  test('holds a bounded number of streams', async () => {
    const clock = createVirtualClock();
    const call = caller(clock, async () => undefined);
    const all = Array.from({ length: maximumStreams + 10 }, () => call('POST /.rb/'));
    await settle();
    expect(all.filter(({ overAtMs }) => overAtMs !== undefined)).toHaveLength(10);
    await clock.advance(10_000 + answerStepMs);
    expect(all.filter(({ heard }) => heard === notFound.toString('latin1'))).toHaveLength(maximumStreams);
  });
});
