import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { contract, severalContract, type AnyPlugin, type Contract } from '../../../core/engine/index.ts';
import { orderPlugins } from '../../../core/engine/order.ts';
import { expectCode } from '../onion/support.ts';
import { plugin } from './support.ts';

const [x, y, z] = [contract<number>('x'), contract<number>('y'), contract<number>('z')] as const;
const make = (
  name: string,
  gives: readonly Contract<unknown>[] = [],
  needs: readonly Contract<unknown>[] = [],
  wants: readonly Contract<unknown>[] = [],
): AnyPlugin => plugin(name, undefined, { gives, needs, wants });
const order = (...plugins: AnyPlugin[]): string[] => orderPlugins(plugins).map(({ name }) => name);

test('givers come before those who need them; the rest stays as listed', () => {
  expect(order(make('c', [], [y]), make('b', [y], [x]), make('d'), make('a', [x]))).toEqual(['a', 'b', 'c', 'd']);
  expect(order(make('one'), make('two'), make('three'))).toEqual(['one', 'two', 'three']);
});

test('a want prefers an order when somebody gives, and asks for nobody', () => {
  expect(order(make('user', [], [], [x]), make('giver', [x]))).toEqual(['giver', 'user']);
  expect(order(make('user', [], [], [x]))).toEqual(['user']);
});

test('a want closes no circle, not even through what its giver needs', () => {
  expect(order(make('a', [x], [], [y]), make('b', [y], [], [x])).toSorted()).toEqual(['a', 'b']);
  expect(order(make('a', [x], [], [y]), make('b', [y], [x]))).toEqual(['a', 'b']);
  expect(order(make('a', [x], [], [z]), make('b', [y], [x]), make('c', [z], [y]))).toEqual(['a', 'b', 'c']);
});

test('a contract for several: each giver comes before who needs it, and before a giver that wants the others', () => {
  const many = severalContract<number>('many');
  expect(order(make('user', [], [many]), make('last', [many], [], [many]), make('first', [many]))).toEqual([
    'first',
    'last',
    'user',
  ]);
  expectCode('ENGINE_CONTRACT', () => order(make('user', [], [many])));
});

describe('refuses', () => {
  test('a need that nobody gives, by name', () => {
    const error = expectCode('ENGINE_CONTRACT', () => order(make('a', [], [x])));
    expect(error.message).toBe('a needs x, which no plugin gives');
    expect(error.remedy).toContain('plugins.add');
  });

  test('a contract with two givers, by their names', () => {
    const error = expectCode('ENGINE_CONTRACT', () => order(make('a', [x]), make('b', [x])));
    expect(error.message).toBe('a and b both give x');
  });

  test('a circle, drawn', () => {
    const error = expectCode('ENGINE_CONTRACT', () =>
      order(make('a', [x], [y]), make('b', [y], [z]), make('c', [z], [x])),
    );
    expect(error.message).toContain('a → b → c → a');
    expectCode('ENGINE_CONTRACT', () => order(make('self', [x], [x])));
  });

  test('a name listed twice', () => {
    expect(expectCode('ENGINE_PLUGIN', () => order(make('a'), make('a'))).message).toContain('a is listed twice');
  });

  test.each([undefined, null, 5, {}, { name: 'x' }, { apply: () => undefined }])('what is no plugin: %j', (value) => {
    expectCode('ENGINE_PLUGIN', () => orderPlugins([value as never]));
  });
});

test('any needs without a circle are met, in any listing', () => {
  const contracts = Array.from({ length: 8 }, (_, index) => contract<number>(`c${index}`));
  const graph = fc.array(fc.subarray([...contracts.keys()]), { minLength: 8, maxLength: 8 });
  const law = fc.property(
    graph,
    graph,
    fc.shuffledSubarray([...contracts.keys()], { minLength: 8 }),
    (needs, wants, listing) => {
      const pick = (indexes: readonly number[] = []): Contract<unknown>[] =>
        indexes.flatMap((index) => contracts[index] ?? []);
      // Each gives its own contract and needs only earlier ones; wants may be anything.
      const plugins = listing.map((index) =>
        make(`p${index}`, pick([index]), pick(needs[index]?.filter((other) => other < index)), pick(wants[index])),
      );
      const sorted = orderPlugins(plugins);
      const given = new Set<string>();
      for (const { gives = [], needs: needed = [] } of sorted) {
        if (needed.some(({ name }) => !given.has(name))) return false;
        for (const { name } of gives) given.add(name);
      }
      return sorted.length === plugins.length && new Set(sorted).size === plugins.length;
    },
  );
  expect(() => fc.assert(law)).not.toThrow();
});
