/**
 * What a refusal costs, counted instead of timed: every call of node:crypto and every byte given to it. Who lacks an
 * invitation's token makes a member do exactly the same, whatever else is right or wrong; test/bench/join-timing.ts has the
 * stopwatch.
 */
import { describe, expect, test, vi } from 'vitest';
import { knock } from '../../../plugins/join/handshake.ts';
import { parseInvitation, selectorFor, tokenOf } from '../../../plugins/join/invitation.ts';
import { encodeRequest } from '../../../plugins/join/messages.ts';
import type { DoorAnswer } from '../../../core/engine/index.ts';
import { createVirtualClock } from '../../kit/sim/virtual-clock.ts';
import { createCluster, newIdentity, random, usedInvitation, type TestMember } from './support.ts';

const calls = vi.hoisted(() => [] as string[]);
/** node:crypto, which writes down what it is called for. */
vi.mock('node:crypto', async (importOriginal) => {
  const real = await importOriginal<typeof import('node:crypto')>();
  const sizes = (args: readonly unknown[]): string =>
    args.map((one) => (one instanceof Uint8Array ? one.length : typeof one === 'string' ? `"${one}"` : '')).join();
  const watched = (name: string, call: (...args: unknown[]) => unknown) =>
    function watch(...args: unknown[]): unknown {
      calls.push(`${name}(${sizes(args)})`);
      const result = call(...args);
      // What is made step by step is watched at each of them.
      for (const step of ['update', 'final', 'digest', 'setAAD', 'setAuthTag'] as const) {
        const made = result as Record<string, unknown> | undefined;
        if (typeof made?.[step] !== 'function') continue;
        const original = (made[step] as (...given: unknown[]) => unknown).bind(made);
        made[step] = (...given: unknown[]) => {
          calls.push(`.${step}(${sizes(given)})`);
          return original(...given);
        };
      }
      return result;
    };
  const wrapped = Object.entries(real).map(([name, value]) => [
    name,
    typeof value === 'function' && /^[a-z]/.test(name) ? watched(name, value as never) : value,
  ]);
  return Object.fromEntries(wrapped) as typeof real;
});

const signal = new AbortController().signal;

async function workOf(answer: DoorAnswer, selector: string, body: Uint8Array): Promise<readonly string[]> {
  calls.length = 0;
  expect(await answer(selector, body, signal)).toBeUndefined();
  return [...calls];
}

/** Requests of one length by somebody who lacks the token of the invitation that they name. */
async function refusals() {
  const clock = createVirtualClock();
  const cluster = await createCluster(clock, 2);
  const [member, other] = cluster.members as [TestMember, TestMember];
  const stranger = newIdentity();
  const byToken = (token: Uint8Array, selector: string): Uint8Array =>
    knock(token, selector, random, (ephemeral) => encodeRequest(stranger, selector, ephemeral, [])).message;
  const guess = (selector: string): [string, Uint8Array] => [selector, byToken(random.bytes(16), selector)];

  const expired = parseInvitation(await member.invite(60_000));
  await clock.advance(60_000);
  const used = await usedInvitation(member);
  const open = parseInvitation(await member.invite());
  const right = byToken(open.token, open.selector);
  const ofOther = parseInvitation(await other.invite());
  const changed = Uint8Array.from(right);
  changed[changed.length - 1] = (changed[changed.length - 1] as number) ^ 1;
  const outdated = { generation: 7, secret: random.bytes(32) };
  const noMember = selectorFor(random.bytes(10), 'y'.repeat(20));
  const requests: Record<string, [string, Uint8Array]> = {
    'no such invitation': guess(selectorFor(random.bytes(10), member.identity.node)),
    'of nobody here': guess(noMember),
    'an open one, a wrong token': guess(open.selector),
    'an open one of another member, a wrong token': guess(ofOther.selector),
    'an expired one, a wrong token': guess(expired.selector),
    'a used one, a wrong token': guess(used.selector),
    'a token of a generation that counts no more': [
      open.selector,
      byToken(tokenOf(outdated, open.selector), open.selector),
    ],
    'a recorded request for another path': [ofOther.selector, right],
    'a changed byte': [open.selector, changed],
    garbage: [open.selector, random.bytes(right.length)],
    zeros: [open.selector, new Uint8Array(right.length)],
  };
  return { cluster, member, open, requests };
}

describe('every refusal of somebody without the token is the same work', () => {
  test.each([['one generation'], ['two generations']])('while the cluster’s secret has %s', async (generations) => {
    const { cluster, member, requests } = await refusals();
    if (generations === 'two generations') {
      cluster.secrets = [{ generation: 2, secret: random.bytes(32) }, ...cluster.secrets];
    }
    const works = new Map<string, string[]>();
    for (const [name, [selector, body]] of Object.entries(requests)) {
      const work = JSON.stringify(await workOf(member.answer, selector, body));
      works.set(work, [...(works.get(work) ?? []), name]);
    }
    expect([...works.values()]).toEqual([Object.keys(requests)]);
    expect(JSON.parse([...works.keys()][0] as string)).toContain('createDecipheriv("chacha20-poly1305",32,12,)');
  });

  test('a body too short to be one costs as much as a whole one', async () => {
    const { member, open } = await refusals();
    const shortest = (await workOf(member.answer, open.selector, random.bytes(48))).length;
    for (const length of [1, 31, 47]) {
      expect((await workOf(member.answer, open.selector, random.bytes(length))).length).toBe(shortest);
    }
  });

  test.each<[string, (member: TestMember, selector: string, body: Uint8Array) => Promise<Uint8Array | undefined>]>([
    [
      'looks first whether there is such an invitation',
      async (member, selector, body) => {
        const known = member.book.open().some(({ id }) => selector.startsWith(id));
        return known ? member.answer(selector, body, signal) : undefined;
      },
    ],
    [
      'derives the token once more for those that are open',
      async (member, selector, body) => {
        const known = member.book.open().some(({ id }) => selector.startsWith(id));
        if (known) tokenOf({ generation: 1, secret: random.bytes(32) }, selector);
        return member.answer(selector, body, signal);
      },
    ],
  ])('the count catches a member that %s', async (_name, leaky) => {
    const { member, requests } = await refusals();
    const works = new Set<string>();
    for (const [selector, body] of Object.values(requests)) {
      const work = await workOf((path, bytes) => leaky(member, path, bytes), selector, body);
      works.add(JSON.stringify(work));
    }
    expect(works.size).toBeGreaterThan(1);
  });
});
