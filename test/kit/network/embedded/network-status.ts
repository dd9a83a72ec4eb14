/** The consensus and its relays in the texts that tor's control port gives. */
import { encodeBase64, encodeBase64Unpadded } from '../../../../core/onion/bytes.ts';
import type { SimulatedConsensus } from './consensus.ts';
import type { SimulatedRelay } from './relay.ts';
import { isoTime } from './tor-time.ts';

const protocols =
  'Conflux=1 Cons=1-2 Desc=1-4 DirCache=2 FlowCtrl=1-2 HSDir=2 HSIntro=4-5 HSRend=1-2 Link=3-5 LinkAuth=3 Microdesc=1-3 Padding=2 Relay=2-6';
export const torVersion = '0.4.9.11';

function flagsOf(relay: SimulatedRelay): string {
  return `${relay.authority ? 'Authority ' : ''}Exit Fast Guard HSDir Running Stable V2Dir Valid`;
}

function identityOf(relay: SimulatedRelay): string {
  return encodeBase64Unpadded(Buffer.from(relay.fingerprint, 'hex'));
}

/** One relay as `ns/all` and NEWCONSENSUS have it: the digest is the first 20 bytes of the microdescriptor's. */
export function routerStatus(relay: SimulatedRelay): string {
  const digest = encodeBase64Unpadded(relay.microdescriptorDigest.subarray(0, 20));
  return (
    `r ${relay.nickname} ${identityOf(relay)} ${digest} 2038-01-01 00:00:00 ${relay.host} ${relay.port} 0\n` +
    `s ${flagsOf(relay)}\nw Bandwidth=1000\n`
  );
}

export function allRouterStatuses(consensus: SimulatedConsensus): string {
  return consensus.relays.map(routerStatus).join('');
}

export function allMicrodescriptors(consensus: SimulatedConsensus): string {
  return consensus.relays.map((relay) => relay.microdescriptor).join('');
}

/** The microdescriptor consensus. Its signatures are missing: whoever reads it got it from its own tor, which checks them. */
export function microdescConsensus(consensus: SimulatedConsensus): string {
  const { times, sharedRandom, parameters } = consensus;
  const lines = [
    'network-status-version 3 microdesc',
    'vote-status consensus',
    'consensus-method 35',
    `valid-after ${isoTime(times.validAfter)}`,
    `fresh-until ${isoTime(times.freshUntil)}`,
    `valid-until ${isoTime(consensus.validUntil)}`,
    'voting-delay 4 4',
    'client-versions ',
    'server-versions ',
    'known-flags Authority Exit Fast Guard HSDir NoEdConsensus Running Stable StaleDesc Sybil V2Dir Valid',
  ];
  const names = Object.keys(parameters).sort();
  if (names.length > 0) lines.push(`params ${names.map((name) => `${name}=${parameters[name]}`).join(' ')}`);
  if (sharedRandom.previous) lines.push(`shared-rand-previous-value 3 ${encodeBase64(sharedRandom.previous)}`);
  if (sharedRandom.current) lines.push(`shared-rand-current-value 3 ${encodeBase64(sharedRandom.current)}`);
  for (const relay of consensus.relays) {
    lines.push(
      `r ${relay.nickname} ${identityOf(relay)} 2038-01-01 00:00:00 ${relay.host} ${relay.port} 0`,
      `m ${encodeBase64Unpadded(relay.microdescriptorDigest)}`,
      `s ${flagsOf(relay)}`,
      `v Tor ${torVersion}`,
      `pr ${protocols}`,
      'w Bandwidth=1000 Unmeasured=1',
    );
  }
  lines.push('directory-footer', '');
  return lines.join('\n');
}
