/** How long a killed head stays in the master's descriptor, as seen at the HSDirs. */
import { introPointId, openDescriptor, parseOnionAddress, type OnionAddress } from '../../../core/onion/index.ts';
import { usablePeriods } from '../../../core/pipeline/index.ts';
import type { Runtime } from '../../../core/runtime/index.ts';
import type { TorClient } from '../../../core/engine/index.ts';
import { createTorClient } from '../../../plugins/tor/index.ts';
import type { PrivateTor } from '../../kit/network/private/index.ts';
import type { Head, Publisher } from './publisher.ts';

const intervalMs = 1_000;
const ownIntervalSeconds = 10;
const fetchLimitMs = 5_000;
/** Fetched from that many HSDirs in a row without the head: it is gone from all of them, or as good as. */
const rowLength = 6;

export interface Removal {
  readonly head: string;
  /** Seconds from SIGKILL to the first descriptor without it; undefined when none came within the limit. */
  readonly firstSeconds: number | undefined;
  /** Seconds to the first of a row of six fetches without it. */
  readonly allSeconds: number | undefined;
}

/** Kills one head with SIGKILL, then fetches the master's descriptor every second. */
export async function killAndWatch(
  runtime: Runtime,
  prober: TorClient,
  publisher: Publisher,
  limitSeconds: number,
): Promise<Removal> {
  const { clock } = runtime;
  const victim = publisher.heads[0] as Head;
  const { ids, address } = await introPointsOf(runtime, prober, publisher.master, victim.tor);
  const addOwn = async (): Promise<void> => {
    // The other half of the day has introduction points that only the HSDirs know.
    for (const id of await fetchOwn(runtime, prober, publisher.master, address)) ids.add(id);
  };
  await victim.tor.kill('SIGKILL');
  const killedMs = clock.monotonic();
  const elapsed = (): number => (clock.monotonic() - killedMs) / 1000;
  let first: number | undefined;
  let row: number[] = [];
  let ownAt = ownIntervalSeconds;
  while (elapsed() < limitSeconds && row.length < rowLength) {
    const at = elapsed();
    const own = at >= ownAt;
    if (own) ownAt += ownIntervalSeconds;
    const [published] = await Promise.all([
      fetchIds(runtime, prober, publisher.master).catch(() => undefined),
      own ? addOwn() : undefined,
    ]);
    if (published !== undefined) {
      const gone = !published.some((id) => ids.has(id));
      row = gone ? [...row, elapsed()] : [];
      if (gone) first ??= elapsed();
    }
    await clock.sleep(Math.max(0, intervalMs - (elapsed() - at) * 1000));
  }
  return { head: victim.name, firstSeconds: first, allSeconds: row.length < rowLength ? undefined : row[0] };
}

/** How many introduction points of the published descriptor belong to each head; what belongs to none is `unknown`. */
export async function pointsOfHeads(
  runtime: Runtime,
  prober: TorClient,
  publisher: Publisher,
): Promise<Readonly<Record<string, number>>> {
  const published = await fetchIds(runtime, prober, publisher.master);
  const heads = await Promise.all(
    publisher.heads.map(async (head) => ({
      head,
      ...(await introPointsOf(runtime, prober, publisher.master, head.tor)),
    })),
  );
  const count = (belongs: (id: string) => boolean): number => published.filter(belongs).length;
  return {
    ...Object.fromEntries(heads.map(({ head, ids }) => [head.name, count((id) => ids.has(id))])),
    unknown: count((id) => !heads.some(({ ids }) => ids.has(id))),
  };
}

/** The introduction points of a head's tor behind `master`, as it tells itself and the HSDirs tell, and the head's address. */
export async function introPointsOf(
  runtime: Runtime,
  prober: TorClient,
  master: OnionAddress,
  tor: PrivateTor,
): Promise<{ readonly ids: Set<string>; readonly address: OnionAddress | undefined }> {
  const client = clientOf(runtime, tor);
  try {
    await client.ready(10_000);
    const address = await serviceAddress(runtime, client);
    const text = address && (await client.serviceDescriptor(address));
    const own = text ? await idsIn(runtime, client, address as OnionAddress, text) : [];
    return { ids: new Set([...own, ...(await fetchOwn(runtime, prober, master, address))]), address };
  } finally {
    await client.close();
  }
}

async function fetchOwn(
  runtime: Runtime,
  prober: TorClient,
  master: OnionAddress,
  address: OnionAddress | undefined,
): Promise<string[]> {
  // In the shared identity mode a head has no descriptor but the master's.
  if (address === undefined || address === master) return [];
  return fetchIds(runtime, prober, address).catch(() => []);
}

export function clientOf(runtime: Runtime, tor: PrivateTor): TorClient {
  return createTorClient(runtime, { control: tor.control, cookiePath: tor.cookiePath, name: tor.name });
}

/** The address of the first onion service that this tor runs. */
async function serviceAddress(runtime: Runtime, client: TorClient): Promise<OnionAddress | undefined> {
  for (const line of await client.command('GETCONF HiddenServiceOptions')) {
    const directory = /^HiddenServiceDir="?([^"]+)/.exec(line)?.[1];
    const hostname = directory && (await runtime.store.read(`${directory}/hostname`));
    if (hostname) return parseOnionAddress(Buffer.from(hostname).toString('utf8').trim());
  }
  return undefined;
}

async function fetchIds(runtime: Runtime, client: TorClient, address: OnionAddress): Promise<string[]> {
  const { text } = await client.fetchDescriptor(address, { timeoutMs: fetchLimitMs });
  return idsIn(runtime, client, address, text);
}

async function idsIn(runtime: Runtime, client: TorClient, address: OnionAddress, text: string): Promise<string[]> {
  const periods = usablePeriods(await client.consensus());
  const now = Math.floor(runtime.clock.now() / 1000);
  return openDescriptor(text, { address, periods, now }).introPoints.map(introPointId);
}
