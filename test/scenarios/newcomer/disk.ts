/** A disk that is full: nothing is published with a counter that is not on it, and it goes on when there is room. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import {
  addTor,
  blindedKeysOf,
  directoryOf,
  makeMaster,
  published,
  runNode,
  stopped,
  tablesFor,
  watchUploads,
  type World,
} from './world.ts';

/** A disk of a few pages below `directory`; undefined where this process may not mount one. */
function mountSmallDisk(world: World): string | undefined {
  const path = `${directoryOf(world)}/disk`;
  mkdirSync(path);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'none', path], { stdio: 'ignore' });
  } catch {
    return undefined;
  }
  world.releases.push(async () => execFileSync('umount', [path]));
  return path;
}

/** Takes all the room that is left. */
function fill(path: string): void {
  for (const bytes of [65_536, 4_096, 1]) {
    for (let index = 0; ; index++) {
      try {
        writeFileSync(`${path}/filler-${bytes}-${index}`, Buffer.alloc(bytes));
      } catch {
        break;
      }
    }
  }
}

function makeRoom(path: string): void {
  execFileSync('sh', ['-c', 'rm "$0"/filler-*', path]);
}

export function describeDisk(world: World): void {
  /** What the node would know after a restart, by blinded key. */
  const kept = (disk: string): Readonly<Record<string, string>> =>
    JSON.parse(readFileSync(`${disk}/state/revisions.json`, 'utf8')) as Record<string, string>;

  test('full while it runs: the counter comes first', async ({ skip }) => {
    const disk = mountSmallDisk(world) ?? skip('this machine lets no test mount a disk');
    const master = makeMaster(world);
    const tor = await addTor(world);
    const ours = blindedKeysOf(world, master.address);
    const lost: string[] = [];
    const uploads = watchUploads(world, (blindedKey, revision) => {
      if (!ours.includes(blindedKey)) return;
      if (BigInt(kept(disk)[blindedKey] ?? -1) < revision) lost.push(`${revision} is out and not on the disk`);
    });
    const node = runNode(world, tablesFor(tor.control, master, { node: { state_directory: `${disk}/state` } }));
    const first = await node.line(published);
    const before = new Map(uploads);

    fill(disk);
    node.kill('SIGHUP');
    const { error } = await node.line(
      ({ message, error: one }) => message.startsWith('not published: ') && one?.code === 'STATE_FILE',
    );
    expect(error).toMatchObject({
      code: 'STATE_FILE',
      remedy: expect.stringContaining('make room on the disk') as string,
    });
    expect(error?.message).toMatch(/revisions\.json cannot be written: ENOSPC/);
    expect(ours.map((key) => uploads.get(key))).toEqual(ours.map((key) => before.get(key)));

    makeRoom(disk);
    await node.line((line) => published(line) && Number(line.cycle) > Number(first.cycle));
    expect(ours.some((key) => (uploads.get(key) ?? 0n) > (before.get(key) ?? 0n))).toBe(true);
    expect(await stopped(node)).toMatchObject({ code: 0 });
    expect(lost).toEqual([]);
  });

  test('full from the start: waits for room, and says so', async ({ skip }) => {
    const disk = mountSmallDisk(world) ?? skip('this machine lets no test mount a disk');
    const master = makeMaster(world);
    const tor = await addTor(world);
    mkdirSync(`${disk}/state`);
    fill(disk);
    const ours = blindedKeysOf(world, master.address);
    const uploads = watchUploads(world);
    const node = runNode(world, tablesFor(tor.control, master, { node: { state_directory: `${disk}/state` } }));
    const { error } = await node.line(({ level, error: one }) => level === 'error' && one?.code === 'STATE_FILE');
    expect(error?.message).toContain('ENOSPC');
    expect(error?.remedy).toContain('make room on the disk');
    await node.line(({ message }) => message === 'the head changed');
    expect(ours.filter((key) => uploads.has(key))).toEqual([]);
    makeRoom(disk);
    await node.line(published);
    expect(await stopped(node)).toMatchObject({ code: 0 });
  });

  test('full where the heads are', async ({ skip }) => {
    const disk = mountSmallDisk(world) ?? skip('this machine lets no test mount a disk');
    const tor = await addTor(world);
    fill(disk);
    const node = runNode(world, tablesFor(tor.control, makeMaster(world), { heads: { hidden_service_dir: disk } }));
    const { error } = await node.line(({ message }) => message === 'the head cannot be set up');
    expect(error).toMatchObject({ code: 'HEADS_DIRECTORY', remedy: expect.stringContaining('make room') as string });
    expect(await stopped(node)).toMatchObject({ code: 0 });
  });
}
