/** The command line of the simulator: what would run nothing is refused, not done with success. */
import { expect, test } from 'vitest';
import { denser, noFaults } from '../../kit/sim/cluster/faults.ts';
import { readOptions, UsageError } from '../../sim/options.ts';

test('without options twenty seeds of an hour, each with 3 to 10 nodes', () => {
  const options = readOptions([]);
  expect(options).toMatchObject({ seeds: 20, from: 1, hours: 1, density: 1, among: undefined, traffic: undefined });
  expect(options.nodesOf('0')).toBe(3);
  expect(options.nodesOf('15')).toBe(10);
  expect(options.nodesOf('16')).toBe(3);
});

test('reads a swarm, one seed, sizes for the traffic', () => {
  expect(readOptions(['--seeds', '2', '--hours', '0.25', '--density', '4', '--faults', 'crash,loss'])).toMatchObject({
    seeds: 2,
    density: 4,
    hours: 0.25,
    among: ['crash', 'loss'],
  });
  const one = readOptions(['--seed', 'a name', '--nodes', '5', '--trace']);
  expect(one).toMatchObject({ seed: 'a name', trace: true });
  expect(one.nodesOf('a name')).toBe(5);
  expect(readOptions(['--traffic', '10,1000']).traffic).toEqual([10, 1000]);
});

test.each([
  ['--seeds', 'x'],
  ['--seeds', '0'],
  ['--seeds', '-1'],
  ['--from', '1.5'],
  ['--nodes', '11'],
  ['--nodes', '1'],
  ['--nodes', '3-20'],
  ['--nodes', '5-3'],
  ['--nodes', '3-4-5'],
  ['--nodes', 'many'],
  ['--density', '0'],
  ['--density', '0.5'],
  ['--density', '21'],
  ['--hours', '0'],
  ['--hours', 'Infinity'],
  ['--hours', 'x'],
  ['--workers', '0'],
  ['--traffic', '10,x'],
  ['--faults', 'crash,rain'],
  ['--seed', 'a name'],
  ['--sedes', '5'],
])('refuses %s %s', (option, value) => {
  expect(() => readOptions([option, value])).toThrow(UsageError);
});

test('four times as dense: what is a mean time between faults is a fourth, but of removals; shares and durations stay', () => {
  const faults = { ...noFaults, lossShare: 0.2, crashEverySecs: 400, crashSecs: 20, membershipEverySecs: 300 };
  expect(denser(faults, 4)).toEqual({ ...faults, crashEverySecs: 100 });
  expect(denser(faults, 1)).toEqual(faults);
});
