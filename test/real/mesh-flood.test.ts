/**
 * A flood over real UDP, on loopback: replayed and forged datagrams at ten thousand a second change nothing that the node holds or
 * shows, and it holds no more for them. CHIMERA_ATTACK_SCALE multiplies the count; 1000 gives 10⁶. How much of honest traffic
 * arrives meanwhile depends on the machine: `npm run bench` says.
 */
import { expect, test } from 'vitest';
import { benchFlood } from '../bench/flood.ts';

const scale = Number(process.env['CHIMERA_ATTACK_SCALE'] ?? 1);
const count = Math.max(20_000, 1_000 * scale);
const perSecond = 10_000;

test(
  'a flood changes nothing, and nothing of it stays',
  { timeout: 120_000 + (3_000 * count) / perSecond },
  async ({ annotate }) => {
    const figures = await benchFlood({ count, perSecond, quietSeconds: 5 });
    await annotate(JSON.stringify(figures));
    expect(figures.unchanged).toBe(true);
    expect(figures.grownBytes).toBeLessThan(4 * 1_048_576);
    expect(figures.sessions).toBeLessThanOrEqual(4);
    // It was there, and honest traffic too.
    expect(figures.taken).toBeGreaterThan(0.01);
    expect(figures.flooded).toBeGreaterThan(0);
  },
);
