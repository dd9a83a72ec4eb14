/** What `chimera debug merge` writes, read by stem (Debian's python3-stem), an implementation that is not ours. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { IntroPointView } from '../../core/cli/commands/debug/descriptor-view.ts';
import { descriptorOf, makeCast, publicPeriod, publicTimes, testingPeriod, testingTimes } from '../unit/cli/support.ts';
import { describeReal } from './require.ts';

const root = resolve(import.meta.dirname, '../..');

/** Verifies and decrypts the descriptor in a file for an address, and prints what is inside. */
const decode = `
import base64, json, sys
from stem.descriptor.hidden_service import HiddenServiceDescriptorV3
with open(sys.argv[1]) as file:
  descriptor = HiddenServiceDescriptorV3(file.read(), validate = True)
inner = descriptor.decrypt(sys.argv[2])
links = lambda point: {link.type: link for link in point.link_specifiers}
print(json.dumps({
  'lifetime': descriptor.lifetime,
  'revision': descriptor.revision_counter,
  'blindedKey': descriptor.signing_cert.signing_key().hex(),
  'singleOnionService': inner.is_single_service,
  'introPoints': [{
    'address': '%s:%i' % (links(point)[0].address, links(point)[0].port),
    'fingerprint': links(point)[2].value.hex().upper(),
    'ed25519': base64.b64encode(links(point)[3].value).decode().rstrip('='),
    'onionKey': point.onion_key_raw,
    'authKey': base64.b64encode(point.auth_key_cert.key).decode(),
    'encKey': point.enc_key_raw,
  } for point in inner.introduction_points],
}))
`;

interface Written {
  readonly file: string;
  readonly revision: number;
  readonly blindedKey: string;
  readonly introPoints: readonly (IntroPointView & { backend: string })[];
}

describeReal('chimera debug merge, read by stem', ['python3-stem'], () => {
  let directory: string;
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'chimera-stem-'));
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  test.each([
    ['the public network', publicTimes, publicPeriod, []],
    ['a testing network', testingTimes, testingPeriod, ['--testing-network']],
  ])('both descriptors, by the times of %s', async (_name, times, period, more) => {
    const { backends, master, keyFile } = await makeCast(period, times.validAfter);
    writeFileSync(join(directory, 'key'), keyFile);
    const named = backends.flatMap((backend, index) => {
      const file = join(directory, `backend${index}`);
      writeFileSync(file, descriptorOf(backend, { introPoints: 8, now: times.validAfter }));
      return ['--backend', `${backend.address}=${file}`];
    });
    const merged = spawnSync(
      process.execPath,
      ['--import', 'tsx', 'core/cli/main.ts', 'debug', 'merge', '--key', join(directory, 'key')].concat(
        ['--valid-after', String(times.validAfter), '--voting-seconds', String(times.freshUntil - times.validAfter)],
        ['--out', join(directory, 'out')],
        named,
        more,
      ),
      { cwd: root, encoding: 'utf8' },
    );
    expect([merged.stderr, merged.status]).toEqual(['', 0]);
    const written = JSON.parse(merged.stdout) as Record<'first' | 'second', Written>;

    for (const slot of ['first', 'second'] as const) {
      const { file, revision, blindedKey, introPoints } = written[slot];
      const stem = spawnSync('/usr/bin/python3', ['-c', decode, file, `${master.address}.onion`], { encoding: 'utf8' });
      expect(stem.stderr).toBe('');
      expect(JSON.parse(stem.stdout)).toEqual({
        lifetime: 180,
        revision,
        blindedKey,
        singleOnionService: false,
        introPoints: introPoints.map(({ id: _id, backend: _backend, ...point }) => point),
      });
      expect(introPoints).toHaveLength(20);
    }
  });
});
