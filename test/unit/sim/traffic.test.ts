/** What a node of a cluster sends at rest: within the bounds, and no more in a large cluster than in a small one. */
import { expect, test } from 'vitest';
import { measureTraffic } from '../../kit/sim/cluster/index.ts';

test('40 nodes send no more each than 10 do: at most 4 messages and 1 kB a second', async () => {
  const few = await measureTraffic({ nodes: 10, seconds: 60 });
  const many = await measureTraffic({ nodes: 40, seconds: 60 });
  for (const { messages, bytes, agreed } of [few, many]) {
    expect(agreed).toBe(true);
    expect(messages.mean).toBeLessThanOrEqual(4);
    expect(bytes.mean).toBeLessThanOrEqual(1_000);
    // Whoever passes leases on sends to twelve at most, twice a second.
    expect(messages.busiest).toBeLessThanOrEqual(32);
  }
  expect(many.messages.mean).toBeLessThan(1.1 * few.messages.mean);
  expect(many.bytes.mean).toBeLessThan(1.1 * few.bytes.mean);
});
