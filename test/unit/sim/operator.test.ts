/** The simulated operator does what an error's remedy says to the file that it names, and to nothing else. */
import { expect, test } from 'vitest';
import { ChimeraError } from '../../../core/errors.ts';
import { createMemoryStore } from '../../kit/sim/memory-store.ts';
import { createSeededRandom } from '../../kit/sim/seeded-random.ts';
import { Operator } from '../../kit/sim/cluster/operator.ts';
import type { SimulatedNode, World } from '../../kit/sim/cluster/world.ts';

const directory = '/machines/n2';
const key = `${directory}/node_key`;
const revisions = `${directory}/revisions.json`;

async function setUp() {
  const store = createMemoryStore();
  await store.makeDirectory(directory);
  await store.write(key, 'key');
  await store.write(revisions, '{}');
  const world = {
    store,
    nodes: [],
    former: [{ name: 'n0' }],
    trace: { line: () => undefined },
    clock: { after: () => undefined },
  };
  const operator = new Operator(world as unknown as World, createSeededRandom('operator'));
  const told = (message: string): Promise<void> =>
    operator.repair({} as SimulatedNode, new ChimeraError('STATE_FILE', message));
  return { store, operator, told };
}

test('the passphrase is typed at no machine whose node was removed', async () => {
  const { operator } = await setUp();
  expect(operator.answer('n0')).toBeUndefined();
  expect(Buffer.from(operator.answer('n2') ?? []).toString()).toBe(operator.passphrase);
});

test('a directory that cannot be made, since the disk is full, is left alone', async () => {
  const { store, told } = await setUp();
  await told(`the state directory ${directory} cannot be made: ENOSPC: no space left on device, '${directory}'`);
  expect(store.files()).toEqual([key, revisions]);
});

test('a file with nonsense is removed, a key is restored from its copy', async () => {
  const { store, operator, told } = await setUp();
  operator.backUp(key, Buffer.from('key'));
  store.corrupt(key);
  await told(`state file ${revisions}: not JSON`);
  await told(`node key ${key}: has 3 bytes`);
  expect(store.files()).toEqual([key]);
  expect(Buffer.from((await store.read(key)) ?? []).toString()).toBe('key');
});
