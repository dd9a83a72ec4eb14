/** GETINFO: the keys that the simulated tor answers, in tor's forms (control_getinfo.c). */
import { encodeBase64 } from '../../../../core/onion/bytes.ts';
import type { OnionAddress } from '../../../../core/onion/index.ts';
import { isServiceOption } from './configuration.ts';
import type { TorContext } from './context.ts';
import type { ControlledTor } from './controlled-tor.ts';
import { dataLines, eventNames } from './event-bus.ts';
import {
  allMicrodescriptors,
  allRouterStatuses,
  microdescConsensus,
  routerStatus,
  torVersion,
} from './network-status.ts';
import { bootstrapStatus } from './bootstrap.ts';
import { onionOrUndefined } from './onion-argument.ts';
import { isoTime } from './tor-time.ts';

/** An answer, an error with its text (551), or undefined for a key that is not known (552). */
type Answer = string | { readonly error: string } | undefined;

/** The lines of the reply to GETINFO with these keys. */
export function answerGetInfo(
  context: TorContext,
  tor: ControlledTor,
  keys: readonly string[],
  ownServices: readonly OnionAddress[],
): readonly string[] {
  const lines: string[] = [];
  const unknown: string[] = [];
  for (const key of keys) {
    const answer = lookUp(context, tor, key, ownServices);
    if (answer === undefined) unknown.push(`Unrecognized key "${key}"`);
    else if (typeof answer !== 'string') return [`551 ${answer.error}`];
    else if (/[\r\n]/.test(answer)) lines.push(`250+${key}=`, ...dataLines(answer));
    else lines.push(`250-${key}=${answer}`);
  }
  if (unknown.length === 0) return [...lines, '250 OK'];
  return unknown.map((text, index) => `552${index === unknown.length - 1 ? ' ' : '-'}${text}`);
}

function lookUp(context: TorContext, tor: ControlledTor, key: string, ownServices: readonly OnionAddress[]): Answer {
  const consensus = context.consensus();
  const live = tor.bootstrapPercent === 100;
  const random = (value: Uint8Array | undefined): string => (value === undefined ? '' : encodeBase64(value));
  switch (key) {
    case 'version':
      return torVersion;
    case 'consensus/valid-after':
      return consensus && isoTime(consensus.times.validAfter);
    case 'consensus/fresh-until':
      return consensus && isoTime(consensus.times.freshUntil);
    case 'consensus/valid-until':
      return consensus && isoTime(consensus.validUntil);
    case 'consensus/packages':
      return '';
    case 'sr/current':
      return random(consensus?.sharedRandom.current);
    case 'sr/previous':
      return random(consensus?.sharedRandom.previous);
    case 'ns/all':
      return consensus === undefined ? '' : allRouterStatuses(consensus);
    case 'md/all':
      return consensus === undefined ? '' : allMicrodescriptors(consensus);
    case 'dir/status-vote/current/consensus-microdesc':
      return consensus === undefined
        ? { error: 'Could not open cached consensus. Make sure FetchUselessDescriptors is set to 1.' }
        : microdescConsensus(consensus);
    case 'dir/status-vote/current/consensus':
      return { error: 'Could not open cached consensus. Make sure FetchUselessDescriptors is set to 1.' };
    case 'circuit-status':
      return context.circuits
        .list()
        .map((circuit) => `${circuit.id} ${circuit.status} ${circuit.describe()}`)
        .join('\r\n');
    case 'stream-status':
    case 'orconn-status':
      return '';
    case 'status/bootstrap-phase':
      return `NOTICE ${bootstrapStatus(tor.bootstrapPercent)}`;
    case 'status/circuit-established':
    case 'status/enough-dir-info':
      return live && context.uplink.open ? '1' : '0';
    case 'network-liveness':
      return live ? 'up' : 'down';
    case 'dormant':
      return '0';
    case 'net/listeners/socks':
      return tor.listeners.socks.join(' ');
    case 'net/listeners/control':
      return tor.listeners.control.join(' ');
    case 'net/listeners/metrics':
      return tor.listeners.metrics.join(' ');
    case 'net/listeners/or':
    case 'net/listeners/dir':
      return '';
    case 'process/pid':
      return String(tor.pid);
    case 'traffic/read':
      return String(tor.traffic.read);
    case 'traffic/written':
      return String(tor.traffic.written);
    case 'uptime':
      return String(Math.max(0, Math.floor(context.now() - tor.startedAt)));
    case 'current-time/utc':
      return isoTime(context.now());
    case 'onions/current':
      return ownServices.join('\r\n');
    case 'onions/detached':
      return [...tor.services.detached].join('\r\n');
    case 'config-text':
      return context.configuration.lines
        .map(([name, value]) => `${name} ${value}\n`)
        .sort((a, b) => (isServiceOption(a.split(' ')[0] ?? '') || a < b ? -1 : 1))
        .join('');
    case 'events/names':
      return eventNames.join(' ');
    case 'signal/names':
      return 'RELOAD HUP SHUTDOWN DUMP USR1 DEBUG USR2 HALT TERM INT NEWNYM CLEARDNSCACHE HEARTBEAT ACTIVE DORMANT';
    case 'features/names':
      return 'VERBOSE_NAMES EXTENDED_EVENTS';
    case 'address':
      return { error: 'Address unknown' };
    default:
      return lookUpByPrefix(context, tor, key);
  }
}

function lookUpByPrefix(context: TorContext, tor: ControlledTor, key: string): Answer {
  const match = /^(hs\/service\/desc\/id|hs\/client\/desc\/id|ns\/id|md\/id)\/(.*)$/.exec(key);
  if (match === null) return undefined;
  const [, prefix, rest = ''] = match;
  if (prefix === 'ns/id' || prefix === 'md/id') {
    if (prefix === 'ns/id' && !/^\$?[0-9A-Fa-f]{40}/.test(rest)) return { error: 'Data not decodeable as hex' };
    const relay = context.network.relay(rest.replace(/^\$/, '').slice(0, 40).toUpperCase());
    if (relay === undefined || !context.consensus()?.relays.includes(relay)) return undefined;
    return prefix === 'ns/id' ? routerStatus(relay) : relay.microdescriptor;
  }
  const address = onionOrUndefined(rest);
  if (address === undefined) return { error: 'Invalid address' };
  const text = prefix === 'hs/service/desc/id' ? tor.serviceText(address) : tor.client.cachedText(address);
  return text ?? { error: 'Not found in cache' };
}
