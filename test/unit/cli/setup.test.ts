import { afterEach, describe, expect, test } from 'vitest';
import { encodeSecretKeyFile, addressOfKey, masterKeyFromSeed, parseSecretKeyFile } from '../../../core/onion/index.ts';
import { systemRuntime, type Store } from '../../../core/runtime/index.ts';
import { readClusterSecrets, readNodeKey } from '../../../plugins/identity/index.ts';
import { openMasterKey } from '../../../plugins/signer/vault/index.ts';
import { createMemoryStore } from '../../kit/sim/memory-store.ts';
import {
  commands,
  epoch,
  failingAfter,
  member,
  open,
  passphrase,
  resolved,
  run,
  secrets,
  text,
} from './setup-support.ts';
import { runCli } from './support.ts';

describe('chimera init', () => {
  test('makes a sealed key, a node key, a secret, an invitation and a configuration that resolves, all with their modes', async () => {
    const store = createMemoryStore();
    const { exitCode, json, err } = await run(['init', '/node', '--json', '--target', '8081'], store);
    expect([exitCode, err]).toEqual([0, '']);
    const told = json() as { address: string; node: string; invitation: string; join: string };
    expect(store.files()).toEqual(
      ['chimera.toml', 'state/cluster_secrets', 'state/invitations', 'state/master.sealed', 'state/node_key'].map(
        (name) => `/node/${name}`,
      ),
    );
    const modes = await Promise.all(store.files().map((path) => store.mode(path)));
    expect(modes).toEqual([0o644, 0o600, 0o600, 0o600, 0o600]);
    expect(await store.mode('/node/state')).toBe(0o700);
    const key = await openMasterKey(
      (await store.read('/node/state/master.sealed')) as Uint8Array,
      Buffer.from(passphrase),
    );
    expect(`${addressOfKey(key.publicKey)}.onion`).toBe(told.address);
    const config = await resolved(store, '/node');
    expect(config.preset.name).toBe('cluster');
    expect(config.core.node.state_directory).toBe('/node/state');
    expect((await readNodeKey(store, '/node/state/node_key')).node).toBe(told.node);
    expect(told.join).toBe(`chimera join ${told.address} ${told.invitation}`);
  });

  test('nothing secret is in the configuration; what people see has what to do next', async () => {
    const store = createMemoryStore();
    const { out } = await run(['init', '/node', '--plain-key'], store);
    expect(out).toMatch(/Start this node\n {2}chimera run --config \/node\/chimera.toml\n/);
    expect(out).toMatch(/\n {2}chimera join [a-z2-7]{56}\.onion invite-[a-z2-7]{56}\n/);
    const config = await text(store, '/node/chimera.toml');
    expect(config).not.toMatch(/invite-|seed|generation/);
    expect((await resolved(store, '/node')).options.get('signer/file')).toEqual({
      identity_key_path: '/node/state/hs_ed25519_secret_key',
    });
    expect((await store.read('/node/state/hs_ed25519_secret_key'))?.length).toBe(96);
  });

  test('takes an existing key', async () => {
    const store = createMemoryStore();
    const key = masterKeyFromSeed(new Uint8Array(32).fill(7));
    await store.write('/hs_ed25519_secret_key', encodeSecretKeyFile(key));
    const { json } = await run(['init', '/node', '--json', '--key', '/hs_ed25519_secret_key'], store);
    expect(json().address).toBe(`${addressOfKey(key.publicKey)}.onion`);
  });

  test('never writes over anything: a second time it says so, and no byte changes', async () => {
    const store = createMemoryStore();
    await run(['init', '/node'], store);
    const before = await Promise.all(store.files().map((path) => text(store, path)));
    const { exitCode, err } = await run(['init', '/node'], store);
    expect(exitCode).toBe(2);
    expect(err).toContain('SETUP_EXISTS: /node/chimera.toml is there already');
    expect(await Promise.all(store.files().map((path) => text(store, path)))).toEqual(before);
  });

  test.each([0, 1, 2, 3, 4, 5, 6])(
    'ended before step %i, it goes on where it ended, with the keys that it had made',
    async (steps) => {
      const store = createMemoryStore();
      const first = await run(['init', '/node', '--plain-key'], failingAfter(store, steps));
      expect(first.err).toMatch(/error (CLI_FILE|IDENTITY_FILE|STATE_FILE): .*ENOSPC/);
      expect(await store.mode('/node/chimera.toml')).toBeUndefined();
      const kept = store.files().filter((path) => !path.endsWith('/invitations'));
      const before = await Promise.all(kept.map((path) => text(store, path)));
      expect((await run(['init', '/node', '--plain-key'], store)).exitCode).toBe(0);
      expect(await Promise.all(kept.map((path) => text(store, path)))).toEqual(before);
    },
  );

  test('refuses another key than that of an interrupted try, and a state directory that others may read', async () => {
    const store = createMemoryStore();
    await run(['init', '/node', '--plain-key'], failingAfter(store, 3));
    const other = encodeSecretKeyFile(masterKeyFromSeed(new Uint8Array(32).fill(8)));
    await store.write('/other', other);
    const { exitCode, err } = await run(['init', '/node', '--plain-key', '--key', '/other'], store);
    expect(exitCode).toBe(2);
    expect(err).toContain('SETUP_EXISTS');
    await store.makeDirectory('/open/state', 0o755);
    store.setMode('/open/state', 0o755);
    expect((await run(['init', '/open', '--plain-key'], store)).err).toContain('others could read');
  });

  test('where nobody gives a passphrase it says what to do', async () => {
    const store = createMemoryStore();
    const nobody = { ...secrets, prompt: async () => undefined };
    const { exitCode, err } = await runCli(['init', '/node'], {
      commands,
      secrets: nobody,
      runtime: { ...systemRuntime(), store },
    });
    expect(exitCode).toBe(2);
    expect(err).toContain('no terminal to ask for the passphrase');
  });
});

describe('chimera join', () => {
  const doors: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const close of doors.splice(0)) await close();
  });
  /** A founder in memory with its door open; what `chimera join` needs to come in. */
  async function founded(knowsAddress = true) {
    const store = createMemoryStore();
    const told = (await run(['init', '/one', '--plain-key', '--json'], store)).json() as {
      address: string;
      invitation: string;
      node: string;
    };
    const founder = await member(store, '/one', knowsAddress ? told.address : undefined);
    const { port, close } = await open(founder.answer);
    doors.push(close);
    const args = ['join', `127.0.0.1:${port}`, told.invitation, '/two', '--attempts', '1'];
    return { store, ...told, ...founder, args, at: `127.0.0.1:${port}` };
  }

  test('makes the second node of what init has made, and the node resolves', async () => {
    const { store, args, address, node, nodes, entries, current } = await founded();
    const { exitCode, json, err } = await run([...args, '--advertise', '192.0.2.9:7411', '--json'], store);
    expect([exitCode, err]).toEqual([0, '']);
    const told = json() as { node: string };
    expect(told).toMatchObject({ address, cluster: node, start: 'chimera run --config /two/chimera.toml' });
    expect(nodes().find((one) => one.node === told.node)).toMatchObject({ endpoints: ['udp:192.0.2.9:7411'] });
    expect(await readClusterSecrets(store, '/two/state/cluster_secrets')).toEqual(current);
    expect(await store.read('/two/state/roster')).toEqual(new Uint8Array(entries()));
    expect(JSON.parse(await text(store, '/two/state/election.json'))).toEqual({ highestEpoch: epoch, claimedBy: null });
    const { options, preset } = await resolved(store, '/two');
    expect(preset.name).toBe('cluster');
    expect(options.get('signer/vault')).toMatchObject({ onion_address: address.slice(0, 56) });
    expect(await store.mode('/two/state/cluster_secrets')).toBe(0o600);
    expect((await run(args, store)).err).toContain('SETUP_EXISTS');
  });

  test.each([2, 3, 4, 5, 6])(
    'ended before step %i, it comes in by the same invitation the next time, as the same node',
    async (steps) => {
      const { store, args, nodes } = await founded();
      const first = await run(args, failingAfter(store, steps));
      expect(first.err).toMatch(/error (CLI_FILE|IDENTITY_FILE|STATE_FILE): .*ENOSPC/);
      expect((await run(args, store)).exitCode).toBe(0);
      expect(nodes()).toHaveLength(2);
    },
  );

  test('an invitation that another machine has used is refused, and says what to do', async () => {
    const { store, args } = await founded();
    await run(args, store);
    const { exitCode, err } = await run(
      args.map((one) => (one === '/two' ? '/three' : one)),
      store,
    );
    expect(exitCode).toBe(1);
    expect(err).toMatch(/JOIN_REFUSED: .* does not let this node in\nfix: make a new invitation/);
    expect(await store.mode('/three/chimera.toml')).toBeUndefined();
  });

  test('typos, arguments in the wrong order, nobody there, a wrong address: each says so, and the invitation stays good', async () => {
    const { store, args, at, invitation } = await founded();
    const mistyped = `${invitation.slice(0, -1)}${invitation.endsWith('a') ? 'b' : 'a'}`;
    const errorOf = async (...words: string[]): Promise<string> =>
      (await run(['join', ...words, '/two', '--attempts', '1'], store)).err;
    expect(await errorOf(at, mistyped)).toContain('JOIN_INVITATION: the invitation is mistyped');
    expect(await errorOf(at, 'secret')).toContain('begins with "invite-"');
    expect(await errorOf(at, mistyped)).not.toContain(mistyped);
    expect(await errorOf(invitation, at)).toContain('CLI_USAGE: the first argument is an invitation');
    expect(await errorOf('127.0.0.1:1', invitation)).toContain('JOIN_ANSWER: 127.0.0.1:1 cannot be reached');
    expect(await errorOf('nowhere', invitation)).toContain('CLI_USAGE');
    expect(await errorOf(`${'a'.repeat(56)}.onion`, invitation)).toContain('ONION_ADDRESS');
    const noTor = await run(
      ['join', `${await resolvedAddress(store)}.onion`, invitation, '/two', '--socks', '127.0.0.1:1'],
      store,
    );
    expect([noTor.exitCode, noTor.err]).toEqual([3, expect.stringContaining('SOCKS_CONNECT')]);
    expect((await run(args, store)).exitCode).toBe(0);
  });

  test('a member that does not know the address yet is no help over a direct one; nor is a founder’s directory a place to join', async () => {
    const { store, args } = await founded(false);
    expect((await run(args, store)).err).toContain('does not know the service’s address');
    await run(['init', '/half', '--plain-key'], failingAfter(store, 3));
    const { err } = await run(
      args.map((one) => (one === '/two' ? '/half' : one)),
      store,
    );
    expect(err).toContain('has begun to set up a cluster here');
  });
});

async function resolvedAddress(store: Store): Promise<string> {
  const key = await store.read('/one/state/hs_ed25519_secret_key');
  return addressOfKey(parseSecretKeyFile(key as Uint8Array).publicKey);
}
