/** How far members' wall clocks are apart: it is shown and told once, and changes nothing. */
import { expect, test } from 'vitest';
import { isChimeraError } from '../../../core/errors.ts';
import { createMeshService } from '../../../plugins/mesh/service.ts';
import { statusOf } from '../../../plugins/mesh/status.ts';
import { joinTransports } from '../../../plugins/transport/several.ts';
import { recordingLog, type LogLine } from '../plugins/support.ts';
import { testMesh, type TestMeshNode } from './mesh-node.ts';

function statusAt({ identity, mesh, roster }: TestMeshNode) {
  const service = createMeshService({ identity, transport: joinTransports([]) });
  service.settle(roster);
  service.run(mesh);
  return statusOf(service, mesh) as {
    readonly largestSkewMs: number;
    readonly members: readonly { readonly node: string; readonly skewMs: number | null }[];
  };
}

/** Two nodes for two minutes, the second with a wall clock that is so far ahead. */
async function together(aheadMs: number) {
  const { clock, bus, members, join } = testMesh(['a', 'b'], { delayMs: { minimum: 1, maximum: 30 } });
  const lines: LogLine[] = [];
  const a = join('a', members.entries, 'a', recordingLog(lines));
  const b = join('b', members.entries, 'b', undefined, aheadMs);
  b.mesh.publish('load', 1);
  a.mesh.lead(true);
  await clock.advance(120_000);
  const { largestSkewMs, members: shown, ...rest } = statusAt(a);
  const skewOf = (name: TestMeshNode): number | null | undefined =>
    shown.find(({ node }) => node === name.node)?.skewMs;
  const warnings = lines.filter(({ level }) => level === 'warn' || level === 'error');
  const others = shown.map((member) => ({ ...member, skewMs: null }));
  const course = {
    changes: a.changes(),
    states: a.states(),
    load: a.values('load'),
    sent: { ...bus.sent },
    rest,
    others,
  };
  return { largestSkewMs, skews: [skewOf(a), skewOf(b)], warnings, course, b };
}

test('a wall clock that is a minute ahead is shown, told once by a code, and changes nothing else', async () => {
  const right = await together(0);
  expect(right.largestSkewMs).toBeLessThan(100);
  expect(right.warnings).toEqual([]);
  const ahead = await together(60_000);
  const [own, others] = ahead.skews;
  expect(own).toBeNull();
  expect(Math.abs((others ?? 0) - 60_000)).toBeLessThan(100);
  expect(ahead.largestSkewMs).toBe(others);
  expect(ahead.warnings).toHaveLength(1);
  const { error, member } = ahead.warnings[0]?.fields ?? {};
  expect(isChimeraError(error) && error.code).toBe('MESH_CLOCK_SKEW');
  expect(member).toBe(ahead.b.node);
  expect(ahead.course).toEqual(right.course);
});

test('one that is behind is shown by its amount; up to half a minute nothing is told', async () => {
  const behind = await together(-45_000);
  expect(Math.abs(behind.largestSkewMs - 45_000)).toBeLessThan(100);
  expect(behind.skews[1]).toBeLessThan(-44_000);
  expect(behind.warnings).toHaveLength(1);
  expect((await together(29_000)).warnings).toEqual([]);
});
