/** The keys of a directory authority: its v3 identity and certificate by tor-gencert, its relay identity by tor. */
import { ChimeraError } from '../../../../core/errors.ts';
import type { Runtime } from '../../../../core/runtime/index.ts';
import { runProgram } from './program.ts';
import type { AuthorityFacts } from './torrc.ts';

/**
 * Makes the keys below `dataDirectory`, where the authority will look for them.
 * The passphrase that tor-gencert insists on guards a key that is never used again and dies with the directory.
 */
export async function makeAuthorityKeys(
  runtime: Runtime,
  torCommand: string,
  dataDirectory: string,
  place: Pick<AuthorityFacts, 'name' | 'address' | 'orPort' | 'dirPort'>,
): Promise<AuthorityFacts> {
  const keys = `${dataDirectory}/keys`;
  await runtime.store.makeDirectory(keys);
  await Promise.all([
    runProgram(
      runtime,
      gencertBeside(torCommand),
      [
        '--create-identity-key',
        ...Object.entries({
          '-m': '12',
          '-a': `${place.address}:${place.dirPort}`,
          '-i': `${keys}/authority_identity_key`,
          '-s': `${keys}/authority_signing_key`,
          '-c': `${keys}/authority_certificate`,
          '--passphrase-fd': '0',
        }).flat(),
      ],
      { input: `${Buffer.from(runtime.random.bytes(16)).toString('hex')}\n` },
    ),
    runProgram(runtime, torCommand, [
      ...Object.entries({
        '--defaults-torrc': '/dev/null',
        '-f': '/dev/null',
        '--DataDirectory': dataDirectory,
        '--ORPort': String(place.orPort),
        '--Nickname': place.name,
      }).flat(),
      // /dev/null is not a regular file, and so a missing torrc.
      '--ignore-missing-torrc',
      '--list-fingerprint',
    ]),
  ]);
  return {
    ...place,
    v3Identity: await fingerprintIn(runtime, `${keys}/authority_certificate`, /^fingerprint ([0-9A-F]{40})$/m),
    fingerprint: await fingerprintIn(runtime, `${dataDirectory}/fingerprint`, / ([0-9A-F]{40})\s*$/),
  };
}

/** tor-gencert lies where tor lies. */
function gencertBeside(torCommand: string): string {
  return torCommand.includes('/') ? torCommand.replace(/[^/]+$/, 'tor-gencert') : 'tor-gencert';
}

async function fingerprintIn(runtime: Runtime, path: string, pattern: RegExp): Promise<string> {
  const bytes = await runtime.store.read(path);
  const found = bytes && pattern.exec(Buffer.from(bytes).toString('utf8'))?.[1];
  if (!found) {
    throw new ChimeraError('LAB_TOR_EXITED', `tor left no fingerprint in ${path}`, {
      remedy: 'Check that `tor` and `tor-gencert` are of the same package, 0.4.7 or newer.',
    });
  }
  return found;
}
