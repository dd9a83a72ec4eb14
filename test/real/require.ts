/**
 * Suites that need programs of the system. Without them a suite is skipped and says which Debian package it wants;
 * with CHIMERA_REQUIRE_REAL=1, which CI sets, that is a failure instead.
 */
import { spawnSync } from 'node:child_process';
import { describe } from 'vitest';

/** Debian package → a command that succeeds only where it is installed. */
const probes = {
  curl: ['curl', '--version'],
  iproute2: ['ip', '-V'],
  nftables: ['nft', '--version'],
  onionbalance: ['onionbalance', '--help'],
  openssl: ['openssl', 'version'],
  'python3-stem': ['/usr/bin/python3', '-c', 'import stem'],
  'redis-server': ['redis-server', '--version'],
  tor: ['tor', '--version'],
  'wireguard-go': ['wireguard-go', '--version'],
  'wireguard-tools': ['wg', '--version'],
} as const satisfies Record<string, readonly [string, ...string[]]>;

export type DebianPackage = keyof typeof probes;

/** The packages of `wanted` that are not installed. */
export function missingPackages(wanted: readonly DebianPackage[]): DebianPackage[] {
  return wanted.filter((name) => {
    const [command, ...args] = probes[name];
    return spawnSync(command, args, { stdio: 'ignore' }).status !== 0;
  });
}

/**
 * `describe` for a suite that needs `packages`: skipped with the reason in its name where one is missing.
 * Throws instead of skipping with CHIMERA_REQUIRE_REAL=1.
 */
export function describeReal(name: string, packages: readonly DebianPackage[], suite: () => void): void {
  const missing = missingPackages(packages);
  const present = missing.length === 0;
  const title = present ? name : `${name} (skipped: install the Debian packages ${missing.join(', ')})`;
  if (!present && process.env.CHIMERA_REQUIRE_REAL === '1') throw new Error(`CHIMERA_REQUIRE_REAL=1, but ${title}`);
  const declare = present ? describe : describe.skip;
  declare(title, suite);
}
