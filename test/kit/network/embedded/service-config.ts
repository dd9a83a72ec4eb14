/** Onion services as configured: the HiddenService options of torrc or SETCONF, and the files in each HiddenServiceDir. */
import { decodeBase32 } from '../../../../core/onion/bytes.ts';
import {
  addressOfKey,
  encodePublicKeyFile,
  encodeSecretKeyFile,
  masterKeyFromSeed,
  parseOnionAddress,
  parseSecretKeyFile,
  type MasterKey,
  type OnionAddress,
} from '../../../../core/onion/index.ts';
import type { Endpoint, Random, Store } from '../../../../core/runtime/index.ts';
import { parseEndpoint } from '../../../../core/runtime/index.ts';
import { defaultIntroductionLimit, type IntroductionLimit } from '../rules/intro-point.ts';
import type { OptionLine } from './configuration.ts';

export interface ServicePort {
  readonly virtualPort: number;
  readonly target: Endpoint;
}

export interface ServiceConfig {
  /** Undefined for ADD_ONION. */
  readonly directory: string | undefined;
  readonly ports: readonly ServicePort[];
  readonly introPoints: number;
  /** Masters of an OnionBalance instance; undefined for any other service. */
  readonly masters: readonly OnionAddress[] | undefined;
  readonly exportCircuitId: boolean;
  readonly allowUnknownPorts: boolean;
  /** What each introduction point is asked to keep to; undefined for no limit. */
  readonly introductionLimit: IntroductionLimit | undefined;
  /** X25519 public keys of authorized clients. */
  readonly clients: readonly Uint8Array[];
}

/** Reads `80`, `80 127.0.0.1:8080`, `80 8080`, `80 unix:/path`. Undefined when it is none of them. */
export function parseServicePort(text: string, separator: ' ' | ','): ServicePort | undefined {
  const at = text.indexOf(separator);
  const port = at < 0 ? text : text.slice(0, at);
  const target = at < 0 ? undefined : text.slice(at + 1).trim();
  const virtualPort = /^\d{1,5}$/.test(port) ? Number(port) : 0;
  if (virtualPort < 1 || virtualPort > 65_535) return undefined;
  if (target === undefined || target === '') return { virtualPort, target: { host: '127.0.0.1', port: virtualPort } };
  if (/^\d{1,5}$/.test(target)) return { virtualPort, target: { host: '127.0.0.1', port: Number(target) } };
  const unquoted = target.replace(/^unix:"(.*)"$/, 'unix:$1');
  const endpoint = parseEndpoint(/^[\d.]+$/.test(unquoted) ? `${unquoted}:${virtualPort}` : unquoted);
  return endpoint === undefined ? undefined : { virtualPort, target: endpoint };
}

/** Undefined for what makes tor say "Failed to configure rendezvous options". Reads `ob_config` and client keys. */
export async function readServiceConfigs(
  store: Store,
  lines: readonly OptionLine[],
): Promise<ServiceConfig[] | undefined> {
  const groups: OptionLine[][] = [];
  for (const line of lines) {
    if (line[0] === 'HiddenServiceDir') groups.push([]);
    const group = groups.at(-1);
    if (group === undefined) return undefined;
    group.push(line);
  }
  const configs: ServiceConfig[] = [];
  for (const group of groups) {
    const config = await readGroup(store, group);
    if (config === undefined || configs.some((other) => other.directory === config.directory)) return undefined;
    configs.push(config);
  }
  return configs;
}

async function readGroup(store: Store, group: readonly OptionLine[]): Promise<ServiceConfig | undefined> {
  const last = (name: string): string | undefined => group.findLast(([option]) => option === name)?.[1];
  const directory = group[0]?.[1] as string;
  const ports: ServicePort[] = [];
  for (const [name, value] of group) {
    if (name !== 'HiddenServicePort') continue;
    const port = parseServicePort(value, ' ');
    if (port === undefined) return undefined;
    ports.push(port);
  }
  const introPoints = Number(last('HiddenServiceNumIntroductionPoints') ?? 3);
  if (ports.length === 0 || !Number.isInteger(introPoints) || introPoints < 3 || introPoints > 20) return undefined;
  if ((last('HiddenServiceVersion') ?? '3') !== '3') return undefined;
  const exported = last('HiddenServiceExportCircuitID');
  if (exported !== undefined && exported !== 'haproxy') return undefined;
  const limit = readLimit(last);
  if (limit === 'wrong') return undefined;
  let masters: OnionAddress[] | undefined;
  if (last('HiddenServiceOnionBalanceInstance') === '1') {
    masters = await readMasters(store, directory);
    if (masters === undefined) return undefined;
  }
  return {
    directory,
    ports,
    introPoints,
    masters,
    exportCircuitId: exported === 'haproxy',
    allowUnknownPorts: last('HiddenServiceAllowUnknownPorts') === '1',
    introductionLimit: limit,
    clients: await readClients(store, directory),
  };
}

function readLimit(last: (name: string) => string | undefined): IntroductionLimit | undefined | 'wrong' {
  if (last('HiddenServiceEnableIntroDoSDefense') !== '1') return undefined;
  const { perSecond, burst } = defaultIntroductionLimit;
  const limit = {
    perSecond: Number(last('HiddenServiceEnableIntroDoSRatePerSec') ?? perSecond),
    burst: Number(last('HiddenServiceEnableIntroDoSBurstPerSec') ?? burst),
  };
  const fits = Number.isInteger(limit.perSecond) && Number.isInteger(limit.burst) && limit.burst >= limit.perSecond;
  return fits && limit.perSecond >= 0 ? limit : 'wrong';
}

/** The masters in `ob_config`; undefined when the file is missing or a line of it is wrong. */
async function readMasters(store: Store, directory: string): Promise<OnionAddress[] | undefined> {
  const bytes = await store.read(`${directory}/ob_config`);
  if (bytes === undefined) return undefined;
  const masters: OnionAddress[] = [];
  for (const line of Buffer.from(bytes).toString('utf8').split('\n')) {
    const text = line.replace(/#.*/, '').trim();
    if (text === '') continue;
    const address = /^MasterOnionAddress\s+(\S+)\.onion$/i.exec(text)?.[1];
    if (address === undefined) return undefined;
    try {
      masters.push(parseOnionAddress(address));
    } catch {
      return undefined;
    }
  }
  return masters;
}

async function readClients(store: Store, directory: string): Promise<Uint8Array[]> {
  const clients: Uint8Array[] = [];
  for (const name of await store.list(`${directory}/authorized_clients`)) {
    if (!name.endsWith('.auth')) continue;
    const bytes = await store.read(`${directory}/authorized_clients/${name}`);
    const text = Buffer.from(bytes ?? []).toString('utf8');
    const key = /^\s*descriptor:x25519:([A-Za-z2-7]{52})\s*$/.exec(text)?.[1];
    const decoded = key === undefined ? undefined : decodeBase32(key);
    if (decoded !== undefined && decoded.length === 32) clients.push(decoded);
  }
  return clients;
}

/** The service's key from its directory, made there when there is none, with `hostname` beside it. */
export async function loadServiceKey(store: Store, random: Random, directory: string): Promise<MasterKey> {
  await store.makeDirectory(directory);
  const path = `${directory}/hs_ed25519_secret_key`;
  const file = await store.read(path);
  const master = file === undefined ? masterKeyFromSeed(random.bytes(32)) : parseSecretKeyFile(file);
  if (file === undefined) {
    await store.write(path, encodeSecretKeyFile(master));
    await store.write(`${directory}/hs_ed25519_public_key`, encodePublicKeyFile(master.publicKey));
  }
  await store.write(`${directory}/hostname`, `${addressOfKey(master.publicKey)}.onion\n`);
  await store.makeDirectory(`${directory}/authorized_clients`);
  return master;
}
