/**
 * `npm run bench:join`: what the door's answers tell by their time, with a stopwatch: once at the work itself, once through the
 * proxy on real sockets. Requests of two kinds come in random turn; each search is first shown to find a leak that was planted.
 * Takes minutes and wants a quiet machine; test/unit/join/same-work.isolated.test.ts counts the work instead, and does not.
 */
import { afterEach, describe, expect, test } from 'vitest';
import * as v from 'valibot';
import { proxyContract, type DoorAnswer, type Host } from '../../core/engine/index.ts';
import { parseEndpoint, systemClock, systemNet, type Endpoint } from '../../core/runtime/index.ts';
import { knock } from '../../plugins/join/handshake.ts';
import { parseInvitation, selectorFor, tokenOf } from '../../plugins/join/invitation.ts';
import { encodeRequest } from '../../plugins/join/messages.ts';
import { notFound } from '../../plugins/proxy/door.ts';
import proxy from '../../plugins/proxy/index.ts';
import { isLeak, largestT, median } from '../kit/timing-leak.ts';
import { createCluster, newIdentity, random, usedInvitation, type TestMember } from '../unit/join/support.ts';
import { createBareHost } from '../unit/plugins/support.ts';

const roundCount = 3;
const limitMs = 600_000;
const spare = random.bytes(32);
const signal = new AbortController().signal;
const closing: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

interface Knock {
  readonly selector: string;
  readonly body: Uint8Array;
}
/** A kind of request; each one made is another. */
type Kind = () => Knock;

/** Requests of one length, none with the token of the invitation that it names. */
async function kinds() {
  const cluster = await createCluster(systemClock, 2);
  const [member, other] = cluster.members as [TestMember, TestMember];
  const stranger = newIdentity();
  const guess = (selector: string): Knock => {
    const message = (at: Uint8Array): Uint8Array => encodeRequest(stranger, selector, at, []);
    return { selector, body: knock(random.bytes(16), selector, random, message).message };
  };
  const open = parseInvitation(await member.invite());
  const ofOther = parseInvitation(await other.invite());
  const expired = parseInvitation(await member.invite(1));
  await systemClock.sleep(5);
  const used = await usedInvitation(member);
  const { length } = guess(open.selector).body;
  return {
    member,
    none: () => guess(selectorFor(random.bytes(10), member.identity.node)),
    others: {
      'an open invitation, a wrong token': () => guess(open.selector),
      'an open invitation, garbage': () => ({ selector: open.selector, body: random.bytes(length) }),
      'another member’s invitation': () => guess(ofOther.selector),
      'an expired invitation': () => guess(expired.selector),
      'a used invitation': () => guess(used.selector),
    } satisfies Record<string, Kind>,
  };
}

/** A member that looks first whether there is such an invitation: what it does without is a shorter path. */
const leaky =
  (member: TestMember): DoorAnswer =>
  async (selector, body) => {
    const known = member.book.open().some(({ id }) => selector.startsWith(id));
    return known ? member.answer(selector, body, signal) : undefined;
  };
/** A member that derives one key more where there is such an invitation: a few hundredths of a millisecond. */
const slightlyLeaky =
  (member: TestMember): DoorAnswer =>
  async (selector, body) => {
    const known = member.book.open().some(({ id }) => selector.startsWith(id));
    if (known) tokenOf({ generation: 1, secret: spare }, selector);
    return member.answer(selector, body, signal);
  };

/** Times of two kinds in random turn, milliseconds, each measured by `measure`. */
async function timesOf(a: Kind, b: Kind, count: number, measure: (knocks: readonly Knock[]) => Promise<number[]>) {
  const turns = Array.from({ length: 2 * count }, (_none, at) => at % 2).sort(() => random.float() - 0.5);
  const times = await measure(turns.map((turn) => (turn === 0 ? a() : b())));
  return [0, 1].map((kind) => times.filter((_time, at) => turns[at] === kind)) as [number[], number[]];
}

interface Search {
  readonly ts: number[];
  readonly medians: readonly [number, number];
}
async function search(
  a: Kind,
  b: Kind,
  count: number,
  measure: (knocks: readonly Knock[]) => Promise<number[]>,
): Promise<Search> {
  const ts: number[] = [];
  let medians: readonly [number, number] = [0, 0];
  for (let round = 0; round < roundCount; round++) {
    const [ofA, ofB] = await timesOf(a, b, count, measure);
    ts.push(largestT(ofA, ofB));
    medians = [median(ofA), median(ofB)];
  }
  return { ts, medians };
}
const inWords = (name: string, { ts, medians }: Search): string =>
  `${name}: ${medians.map((time) => time.toFixed(4)).join(' and ')} ms, t ${ts.map((t) => t.toFixed(1)).join(', ')}`;

describe('the work of a refusal', () => {
  const samples = 1_500;
  const stopwatch =
    (answer: DoorAnswer) =>
    async (knocks: readonly Knock[]): Promise<number[]> => {
      const times: number[] = [];
      for (const { selector, body } of knocks) {
        const startedAtMs = performance.now();
        await answer(selector, body, signal);
        times.push(performance.now() - startedAtMs);
      }
      return times;
    };

  test(
    'takes as long whatever the path and the body are, and a planted leak is found',
    { timeout: limitMs },
    async ({ annotate }) => {
      const { member, none, others } = await kinds();
      // The code is compiled first.
      await search(none, others['a used invitation'], 500, stopwatch(member.answer));
      for (const [name, answer] of [
        ['planted, the shorter path', leaky(member)],
        ['planted, one key derivation more', slightlyLeaky(member)],
      ] as const) {
        const found = await search(none, others['an open invitation, a wrong token'], samples, stopwatch(answer));
        await annotate(inWords(name, found));
        expect(isLeak(found.ts)).toBe(true);
      }
      for (const [name, kind] of Object.entries(others)) {
        const found = await search(none, kind, samples, stopwatch(member.answer));
        await annotate(inWords(name, found));
        expect({ name, leak: isLeak(found.ts) }).toEqual({ name, leak: false });
      }
    },
  );
});

describe('the answer at the door', () => {
  const samples = 320;
  const together = 16;
  const doors = 16;

  /** Several proxies before one member, since each takes eight requests a second. */
  async function frontsOf(answer: DoorAnswer): Promise<Endpoint[]> {
    const opened: Endpoint[] = [];
    for (let number = 0; number < doors; number++) {
      const bare = createBareHost();
      const host: Host = { ...bare.host, runtime: { ...bare.host.runtime, clock: systemClock, net: systemNet } };
      proxy.apply(host, v.parse(proxy.options as never, {}) as never);
      closing.push(() => bare.stop());
      const service = bare.given(proxyContract);
      service.door(answer);
      opened.push(parseEndpoint((await service.front('one/1', '1')).target) as Endpoint);
    }
    return opened;
  }

  /** A door without its steps, which answers as soon as it can. */
  async function hastyDoor(answer: DoorAnswer): Promise<Endpoint[]> {
    const listener = await systemNet.listen({ host: '127.0.0.1', port: 0 }, (stream) => {
      stream.on('error', () => undefined);
      stream.once('data', (bytes: Buffer) => {
        const text = bytes.toString('latin1');
        const selector = /\/\.rb\/([a-z2-7]{24}) /.exec(text)?.[1] ?? '';
        void answer(selector, bytes.subarray(text.indexOf('\r\n\r\n', 60) + 4), signal).then(() =>
          stream.end(notFound),
        );
      });
    });
    closing.push(() => listener.close());
    return [listener.endpoint];
  }

  const stopwatch =
    (at: readonly Endpoint[], atOnce: number) =>
    async (knocks: readonly Knock[]): Promise<number[]> => {
      const times: number[] = [];
      const one = async ({ selector, body }: Knock, number: number): Promise<void> => {
        const stream = await systemNet.connect(at[number % at.length] as Endpoint);
        stream.on('error', () => undefined);
        stream.write('PROXY TCP6 fc00:dead:beef:4dad::1:2a ::1 42 80\r\n');
        const head = `POST /.rb/${selector} HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n`;
        const startedAtMs = performance.now();
        stream.write(Buffer.concat([Buffer.from(head), body]));
        const chunks: Buffer[] = [];
        for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk);
        times[number] = performance.now() - startedAtMs;
        if (!Buffer.concat(chunks).equals(notFound)) throw new Error('another answer than 404');
      };
      let next = 0;
      const worker = async (): Promise<void> => {
        for (let number = next++; number < knocks.length; number = next++) await one(knocks[number] as Knock, number);
      };
      await Promise.all(Array.from({ length: atOnce }, worker));
      return times;
    };

  test(
    'takes as long even where the work leaks, and such a leak is found without the steps',
    { timeout: limitMs },
    async ({ annotate }) => {
      const { member, none, others } = await kinds();
      const known = others['an open invitation, a wrong token'];
      const hasty = await search(none, known, samples, stopwatch(await hastyDoor(leaky(member)), 1));
      await annotate(inWords('planted, without the steps', hasty));
      expect(isLeak(hasty.ts)).toBe(true);
      const hidden = await search(none, known, samples, stopwatch(await frontsOf(leaky(member)), together));
      await annotate(inWords('planted, behind the steps', hidden));
      const found = await search(none, known, samples, stopwatch(await frontsOf(member.answer), together));
      await annotate(inWords('as it is', found));
      expect([isLeak(hidden.ts), isLeak(found.ts)]).toEqual([false, false]);
    },
  );
});
