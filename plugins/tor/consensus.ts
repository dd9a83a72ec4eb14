/**
 * The microdescriptor consensus (dir-spec, "Microdescriptor consensuses") and the microdescriptors, read for what the onion protocol
 * needs of them. Pure, total, and linear in what it is given. Enter at `parseConsensus`.
 */
import { hash } from 'node:crypto';
import { ChimeraError } from '../../core/errors.ts';
import { defaultRingRules, type Relay } from '../../core/onion/index.ts';
import type { Consensus } from '../../core/pipeline/model.ts';

export interface ParsedConsensus {
  readonly consensus: Consensus;
  /** HSDirs that are left out because tor has no microdescriptor of theirs (yet). */
  readonly withoutMicrodescriptor: number;
}

/** What the consensus says of one relay. */
interface Entry {
  identity: string;
  digest: string;
  hsdir: boolean;
  supported: boolean;
}

/** control-spec has no limit; the consensus parameters have these (path-spec, rend-spec-v3, prop324). */
const parameterLimits = {
  hsdir_n_replicas: [1, 16],
  hsdir_spread_store: [1, 128],
  hsdir_spread_fetch: [1, 128],
  cc_sendme_inc: [1, 254],
} as const;
const defaultSendmeIncrement = 31;
/** The ring of version 3 services takes relays that speak HSDir=2. */
const hsdirVersion = 2;

function malformed(what: string): ChimeraError {
  return new ChimeraError('TOR_CONSENSUS', `the consensus that tor gave cannot be read: ${what}`, {
    remedy: 'Wait until tor has bootstrapped; if it stays, remove the cached consensus in its data directory.',
  });
}

/** Reads `YYYY-MM-DD HH:MM:SS` (UTC) as unix seconds. */
export function parseTime(text: string): number | undefined {
  const match = /^(\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)$/.exec(text);
  if (match === null) return undefined;
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match.slice(1).map(Number);
  return Date.UTC(year, month - 1, day, hour, minute, second) / 1000;
}

/** True when a `pr` line's value (`Cons=1-2 HSDir=1-2 …`) has the HSDir version that is needed. */
function supportsHsdir(protocols: string): boolean {
  const versions = /(?:^| )HSDir=([0-9,-]{1,64})(?: |$)/.exec(protocols)?.[1];
  return (versions ?? '').split(',').some((range) => {
    const [low, high = low] = range.split('-').map(Number);
    return low !== undefined && high !== undefined && low <= hsdirVersion && hsdirVersion <= high;
  });
}

/** The Ed25519 identity of every microdescriptor in a concatenation, by the microdescriptor's digest (base64, no padding). */
export function microdescriptorIdentities(text: string): Map<string, Uint8Array> {
  const identities = new Map<string, Uint8Array>();
  let start = text.startsWith('onion-key') ? 0 : text.indexOf('\nonion-key') + 1;
  while (start < text.length && text.startsWith('onion-key', start)) {
    const next = text.indexOf('\nonion-key', start);
    const end = next < 0 ? text.length : next + 1;
    const body = text.slice(start, end);
    start = end;
    const at = body.indexOf('\nid ed25519 ');
    if (at < 0) continue;
    const valueStart = at + '\nid ed25519 '.length;
    const lineEnd = body.indexOf('\n', valueStart);
    const identity = base64(body.slice(valueStart, lineEnd < 0 ? body.length : lineEnd), 32);
    if (identity !== undefined) identities.set(hash('sha256', body, 'base64').slice(0, 43), identity);
  }
  return identities;
}

/** Base64 with or without padding that stands for exactly `length` bytes. */
function base64(text: string, length: number): Uint8Array | undefined {
  if (text.length > 2 * length || !/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return undefined;
  const bytes = Buffer.from(text, 'base64');
  return bytes.length === length ? new Uint8Array(bytes) : undefined;
}

/** A number of the `params` line, clamped to its limits as tor does. */
function parameterOf(
  parameters: ReadonlyMap<string, number>,
  name: keyof typeof parameterLimits,
  otherwise: number,
): number {
  const [low, high] = parameterLimits[name];
  return Math.min(high, Math.max(low, parameters.get(name) ?? otherwise));
}

/**
 * Reads a microdescriptor consensus and all microdescriptors. `testingNetwork` is tor's own TestingTorNetwork, which no consensus
 * tells. Throws TOR_CONSENSUS when the text is no such consensus; a relay that cannot be read is left out.
 */
export function parseConsensus(text: string, microdescriptors: string, testingNetwork: boolean): ParsedConsensus {
  if (!/^network-status-version 3 microdesc\s/.test(text.slice(0, 64)))
    throw malformed('it is no microdescriptor consensus of version 3');
  const header = new Map<string, string>();
  const entries: Entry[] = [];
  let entry: Entry | undefined;
  const supported = new Map<string, boolean>();

  for (let position = 0; position < text.length;) {
    const newline = text.indexOf('\n', position);
    const end = newline < 0 ? text.length : newline;
    const line = text.slice(position, end);
    position = end + 1;
    const space = line.indexOf(' ');
    const keyword = space < 0 ? line : line.slice(0, space);
    const value = space < 0 ? '' : line.slice(space + 1);
    if (keyword === 'directory-footer') break;
    if (keyword === 'r') {
      entry = { identity: value.split(' ', 2)[1] ?? '', digest: '', hsdir: false, supported: false };
      entries.push(entry);
    } else if (entry === undefined) header.set(keyword, value);
    else if (keyword === 'm') entry.digest = value;
    else if (keyword === 's') entry.hsdir = ` ${value} `.includes(' HSDir ');
    else if (keyword === 'pr') {
      let known = supported.get(value);
      if (known === undefined) {
        known = supportsHsdir(value);
        supported.set(value, known);
      }
      entry.supported = known;
    }
  }

  const validAfter = parseTime(header.get('valid-after') ?? '');
  const freshUntil = parseTime(header.get('fresh-until') ?? '');
  if (validAfter === undefined || freshUntil === undefined || freshUntil <= validAfter)
    throw malformed('valid-after and fresh-until are missing or make no interval');

  const parameters = new Map<string, number>();
  for (const setting of (header.get('params') ?? '').split(' ')) {
    const match = /^(\w{1,64})=(-?\d{1,10})$/.exec(setting);
    if (match !== null) parameters.set(match[1] as string, Number(match[2]));
  }
  const interval = parameters.get('hsdir_interval');
  const current = base64((header.get('shared-rand-current-value') ?? '').split(' ')[1] ?? '', 32);
  const previous = base64((header.get('shared-rand-previous-value') ?? '').split(' ')[1] ?? '', 32);

  const identities = microdescriptorIdentities(microdescriptors);
  const hsdirs: Relay[] = [];
  let withoutMicrodescriptor = 0;
  for (const relay of entries) {
    if (!relay.hsdir || !relay.supported) continue;
    const identity = base64(relay.identity, 20);
    const ed25519 = identities.get(relay.digest);
    if (identity === undefined || ed25519 === undefined) withoutMicrodescriptor++;
    else hsdirs.push({ fingerprint: Buffer.from(identity).toString('hex').toUpperCase(), ed25519 });
  }

  return {
    withoutMicrodescriptor,
    consensus: {
      times: { validAfter, freshUntil },
      rules: { testingNetwork, ...(interval === undefined ? {} : { hsdirIntervalMinutes: interval }) },
      ringRules: {
        replicas: parameterOf(parameters, 'hsdir_n_replicas', defaultRingRules.replicas),
        spreadStore: parameterOf(parameters, 'hsdir_spread_store', defaultRingRules.spreadStore),
        spreadFetch: parameterOf(parameters, 'hsdir_spread_fetch', defaultRingRules.spreadFetch),
      },
      sharedRandom: {
        ...(current === undefined ? {} : { current }),
        ...(previous === undefined ? {} : { previous }),
      },
      hsdirs,
      sendmeIncrement: parameterOf(parameters, 'cc_sendme_inc', defaultSendmeIncrement),
    },
  };
}
