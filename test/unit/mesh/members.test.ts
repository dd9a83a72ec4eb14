/** Who is there: the state machine alone. */
import { array, assert, integer, property } from 'fast-check';
import { expect, test } from 'vitest';
import type { MeshChange } from '../../../core/engine/index.ts';
import { Members } from '../../../plugins/mesh/members.ts';

const settings = { leaderSilentMs: 2_000, suspicionMs: 2_000, forgetMs: 600_000 };

test('whoever accuses and however often: what is passed on of one suspicion is bounded, or it would be passed on for ever', () => {
  assert(
    property(array(integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 60 }), (accusers) => {
      const members = new Members(settings, () => undefined);
      const changes: MeshChange[] = [];
      members.presence('a', 1, 1, false, 0, changes);
      const news = accusers.filter((accuser) => members.suspect('a', `n${accuser}`, 'silent', 10, changes));
      // The first four are told to the others, each once.
      expect(news).toEqual([...new Set(accusers)].slice(0, 4));
    }),
  );
});
