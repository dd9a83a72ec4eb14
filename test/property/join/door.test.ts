/** Laws of joining: without an invitation nobody comes in, an invitation lets one node in, and an invitation is copied whole or refused. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ChimeraError } from '../../../core/errors.ts';
import { parseInvitation } from '../../../plugins/join/index.ts';
import { knock } from '../../../plugins/join/handshake.ts';
import { encodeRequest, readReply, readRequest, readSecrets } from '../../../plugins/join/messages.ts';
import { createVirtualClock } from '../../kit/sim/virtual-clock.ts';
import { createCluster, newIdentity, random, type TestMember } from '../../unit/join/support.ts';

const signal = new AbortController().signal;

describe('the door', () => {
  test('no sequence of requests without the invitation lets anybody in', async () => {
    const cluster = await createCluster(createVirtualClock(), 2);
    const [member] = cluster.members as [TestMember];
    const invitation = parseInvitation(await member.invite());
    const stranger = newIdentity();
    const genuine = knock(invitation.token, invitation.selector, random, (ephemeral) =>
      encodeRequest(stranger, invitation.selector, ephemeral, []),
    ).message;
    const byGuess = (token: Uint8Array, selector: string): Uint8Array =>
      knock(token, selector, random, (ephemeral) => encodeRequest(stranger, selector, ephemeral, [])).message;
    const selector = fc.oneof(fc.constant(invitation.selector), fc.stringMatching(/^[a-z2-7]{24}$/));
    const body = fc.oneof(
      fc.uint8Array({ maxLength: 600 }),
      fc.tuple(fc.nat(genuine.length - 1), fc.integer({ min: 1, max: 255 })).map(([at, by]) => {
        const changed = Uint8Array.from(genuine);
        changed[at] = (changed[at] ?? 0) ^ by;
        return changed;
      }),
      fc.uint8Array({ minLength: 16, maxLength: 16 }).map((token) => byGuess(token, invitation.selector)),
      fc.nat(genuine.length - 1).map((length) => genuine.slice(0, length)),
    );
    const law = fc.asyncProperty(fc.array(fc.tuple(selector, body), { maxLength: 5 }), async (requests) => {
      for (const [path, bytes] of requests) {
        if ((await member.answer(path, bytes, signal)) !== undefined) return false;
      }
      return cluster.admissions.length === 0;
    });
    await expect(fc.assert(law, { numRuns: 150 })).resolves.toBeUndefined();
    // The invitation itself is as good as before.
    expect(await member.answer(invitation.selector, genuine, signal)).toBeDefined();
  });

  test('an invitation lets exactly one node in, in whatever order and however often they ask', async () => {
    const law = fc.asyncProperty(fc.array(fc.nat(3), { minLength: 1, maxLength: 8 }), async (order) => {
      const cluster = await createCluster(createVirtualClock(), 2);
      const [maker, other] = cluster.members as [TestMember, TestMember];
      const { selector, token } = parseInvitation(await maker.invite());
      const messages = Array.from({ length: 4 }, () => {
        const identity = newIdentity();
        return knock(token, selector, random, (ephemeral) => encodeRequest(identity, selector, ephemeral, [])).message;
      });
      const answers = await Promise.all(
        order.map((who, at) => (at % 2 === 0 ? maker : other).answer(selector, messages[who] as Uint8Array, signal)),
      );
      const welcome = new Set(order.filter((_who, at) => answers[at] !== undefined));
      return welcome.size === 1 && cluster.admissions.length === 1;
    });
    await expect(fc.assert(law, { numRuns: 40 })).resolves.toBeUndefined();
  });
});

describe('texts and messages', () => {
  test('an invitation with one character changed, lost or added is refused, by name and without repeating it', async () => {
    const [member] = (await createCluster(createVirtualClock())).members as [TestMember];
    const text = await member.invite();
    expect(parseInvitation(` ${text.toUpperCase()}\n`)).toEqual(parseInvitation(text));
    const character = fc.constantFrom(...'abcdefghijklmnopqrstuvwxyz234567018-_'.split(''));
    const edit = fc.oneof(
      fc.tuple(fc.nat(text.length - 1), character).map(([at, by]) => text.slice(0, at) + by + text.slice(at + 1)),
      fc.nat(text.length - 1).map((at) => text.slice(0, at) + text.slice(at + 1)),
      fc.tuple(fc.nat(text.length), character).map(([at, by]) => text.slice(0, at) + by + text.slice(at)),
    );
    const law = fc.property(edit, (edited) => {
      if (edited === text) return true;
      try {
        parseInvitation(edited);
        return false;
      } catch (error) {
        return (
          error instanceof ChimeraError &&
          error.code === 'JOIN_INVITATION' &&
          !error.message.includes(edited.slice(10, 40))
        );
      }
    });
    expect(() => fc.assert(law, { numRuns: 500 })).not.toThrow();
  });

  test('any bytes are a message or none', () => {
    const bytes = fc.oneof(
      fc.uint8Array(),
      fc.json().map((text) => new TextEncoder().encode(text)),
    );
    const law = fc.property(bytes, (any) => {
      readRequest(any, 'a'.repeat(24), new Uint8Array(32));
      readReply(any);
      readSecrets(any);
    });
    expect(() => fc.assert(law)).not.toThrow();
  });
});
