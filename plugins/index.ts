/** The plugins that ship and can be named in a configuration's `plugins.add`. */
import type { AnyPlugin } from '../core/engine/index.ts';
import admin from './admin/index.ts';
import backends from './backends/index.ts';
import electionHighestId from './election/highest-id/index.ts';
import electionPriority from './election/priority/index.ts';
import electionTimeHash from './election/time-hash/index.ts';
import electionUptime from './election/uptime/index.ts';
import ghost from './ghost/index.ts';
import exposure from './exposure/index.ts';
import headsDisposable from './heads/disposable/index.ts';
import headsRegistry from './heads/registry/index.ts';
import headsShared from './heads/shared/index.ts';
import identity from './identity/index.ts';
import hydra from './hydra/index.ts';
import join from './join/index.ts';
import mergeDistinct from './merge/distinct/index.ts';
import mergeFairShare from './merge/fair-share/index.ts';
import mergeStacked from './merge/stacked/index.ts';
import mesh from './mesh/index.ts';
import operator from './operator/index.ts';
import proxy from './proxy/index.ts';
import publish from './publish/index.ts';
import repair from './repair/index.ts';
import restrictedDiscovery from './restricted-discovery/index.ts';
import revocation from './revocation/index.ts';
import schedule from './schedule/index.ts';
import siege from './siege/index.ts';
import signerFile from './signer/file/index.ts';
import signerVault from './signer/vault/index.ts';
import strategyFile from './strategy/file/index.ts';
import tor from './tor/index.ts';
import transportRedis from './transport/redis/index.ts';
import transportUdp from './transport/udp/index.ts';
import transportWireguard from './transport/wireguard/index.ts';

const all: readonly AnyPlugin[] = [
  admin,
  backends,
  electionHighestId,
  electionPriority,
  electionTimeHash,
  electionUptime,
  ghost,
  exposure,
  headsDisposable,
  headsRegistry,
  headsShared,
  identity,
  hydra,
  join,
  mergeDistinct,
  mergeFairShare,
  mergeStacked,
  mesh,
  operator,
  proxy,
  publish,
  repair,
  restrictedDiscovery,
  revocation,
  schedule,
  siege,
  signerFile,
  signerVault,
  strategyFile,
  tor,
  transportRedis,
  transportUdp,
  transportWireguard,
];

export const plugins: ReadonlyMap<string, AnyPlugin> = new Map(all.map((plugin) => [plugin.name, plugin]));
