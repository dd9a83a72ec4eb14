/** Standalone: backends of which one is not what it seems. It is named and left out, the others are published. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { encodeBase32 } from '../../../core/onion/bytes.ts';
import { addressOfKey, clientPublicKey, masterKeyFromSeed, type OnionAddress } from '../../../core/onion/index.ts';
import { startBackend } from '../../kit/lab/backend.ts';
import {
  addTor,
  askTor,
  blindedKeysOf,
  directoryOf,
  makeMaster,
  published,
  runNode,
  runtime,
  stopped,
  tablesFor,
  type Master,
  type World,
} from './world.ts';

export function describeBackends(world: World): void {
  /** A backend of `master`; only a client that nobody has the key of can read its descriptor when `closed`. */
  const addBackend = async (master: Master, closed = false): Promise<OnionAddress> => {
    const directory = `${directoryOf(world)}/service`;
    if (closed) {
      mkdirSync(`${directory}/authorized_clients`, { recursive: true, mode: 0o700 });
      const client = encodeBase32(clientPublicKey(runtime.random.bytes(32)));
      writeFileSync(`${directory}/authorized_clients/one.auth`, `descriptor:x25519:${client}\n`);
    }
    const target = { host: '127.0.0.1', port: 1 };
    return askTor(await addTor(world), (tor) =>
      startBackend({ store: runtime.store, tor, directory, master: master.address, target }),
    );
  };
  const headOf = (address: OnionAddress): string => `node/${address.slice(0, 12)}`;

  test('a backend whose HSDirs hold somebody else’s descriptor, and one that Chimera may not read', async () => {
    const master = makeMaster(world);
    const texts = new Map<string, string>();
    world.uploads.add((blindedKey, _revision, text) => void texts.set(blindedKey, text));
    const good = await addBackend(master);
    const closed = await addBackend(master, true);
    const stranger = addressOfKey(masterKeyFromSeed(runtime.random.bytes(32)).publicKey);
    const goodText = (): string | undefined =>
      blindedKeysOf(world, good).flatMap((blindedKey) => texts.get(blindedKey) ?? [])[0];
    while (goodText() === undefined) await runtime.clock.sleep(20);
    for (const blindedKey of blindedKeysOf(world, stranger)) world.forgeries.set(blindedKey, goodText() ?? '');

    const tor = await addTor(world, {}, true);
    const node = runNode(
      world,
      tablesFor(tor.control, master, {
        preset: 'standalone',
        backends: { addresses: [stranger, closed, good], watch_port: 0 },
      }),
    );
    expect(await node.line(published)).toMatchObject({ heads: [headOf(good)] });
    const unfetched = await node.line(
      ({ message, head }) => message.includes('cannot be fetched') && head === headOf(stranger),
    );
    expect(unfetched.error).toMatchObject({ code: 'TOR_FETCH_FAILED' });
    expect(unfetched.error?.message).toContain(`${stranger}.onion`);
    const unread = await node.line(
      ({ message, head }) => message.includes('does not verify') && head === headOf(closed),
    );
    expect(unread.level).toBe('warn');
    expect(node.lines()).toContainEqual(
      expect.objectContaining({
        plugin: headOf(closed),
        error: expect.objectContaining({ code: 'ONION_DECRYPT' }) as object,
      }),
    );
    expect(await stopped(node)).toMatchObject({ code: 0 });
  });
}
