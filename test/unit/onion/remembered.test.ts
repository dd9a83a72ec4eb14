import { expect, test } from 'vitest';
import { remember } from '../../../core/onion/remembered.ts';

test('the last so many are kept; what is set again counts as new', () => {
  const map = new Map<string, number>();
  for (const key of ['a', 'b', 'a', 'c']) expect(remember(map, key, key.charCodeAt(0), 2)).toBe(key.charCodeAt(0));
  expect([...map.keys()]).toEqual(['a', 'c']);
});
