/**
 * A flood over real UDP, on loopback: replayed and forged datagrams change nothing that the node holds or shows, and it holds no more for
 * them. At ten thousand a second: CHIMERA_ATTACK_SCALE multiplies the count; 1000 gives 10⁶. And as fast as one process sends, which is
 * more than the node can read: what the kernel has no room for is the flood's, not a member's. `npm run bench` has the figures.
 */
import { expect, test } from 'vitest';
import { benchFlood, type FloodFigures } from '../bench/flood.ts';

const scale = Number(process.env['CHIMERA_ATTACK_SCALE'] ?? 1);
const count = Math.max(20_000, 1_000 * scale);
const perSecond = 10_000;
const peerSockets = 64;

function expectNothingOfIt(figures: FloodFigures): void {
  expect(figures.unchanged).toBe(true);
  expect(figures.grownBytes).toBeLessThan(4 * 1_048_576);
  expect(figures.sessions).toBeLessThanOrEqual(4);
  // It was there, and honest traffic too.
  expect(figures.taken).toBeGreaterThan(0.01);
  expect(figures.flooded).toBeGreaterThan(0);
}

test(
  'a flood changes nothing, and nothing of it stays',
  { timeout: 120_000 + (3_000 * count) / perSecond },
  async ({ annotate }) => {
    const figures = await benchFlood({ count, perSecond, quietSeconds: 5, peerSockets });
    await annotate(JSON.stringify(figures));
    expectNothingOfIt(figures);
  },
);

test(
  'of a million datagrams as fast as they go, honest traffic keeps nine tenths',
  { timeout: 240_000 },
  async (context) => {
    const figures = await benchFlood({ count: 1_000_000, perSecond: 0, quietSeconds: 5, peerSockets });
    await context.annotate(JSON.stringify(figures));
    expectNothingOfIt(figures);
    expect(figures.ratio).toBeGreaterThanOrEqual(0.9);
  },
);
