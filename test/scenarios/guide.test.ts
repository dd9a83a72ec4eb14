/** docs/guides/cluster.md on the embedded network, with the real command, over real sockets. */
import { describe } from 'vitest';
import { describeGuide } from './guide.ts';
import { addTor, createWorld } from './newcomer/world.ts';

describe('the guide to a cluster', { timeout: 60_000 }, () => {
  const world = createWorld();
  describeGuide(world, async () => ({ tor: await addTor(world, {}, true) }));
});
