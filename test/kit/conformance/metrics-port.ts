/**
 * What siege does with a tor's MetricsPort, checked against whichever tor: it finds the operator's, opens one where there is
 * none, reads it, and leaves everything as it was.
 */
import assert from 'node:assert/strict';
import type { TorClient } from '../../../core/engine/contracts/tor.ts';
import type { OnionAddress } from '../../../core/onion/index.ts';
import { silentLog, type Log, type Runtime } from '../../../core/runtime/index.ts';
import { createMetricsPort } from '../../../plugins/siege/index.ts';

/** `tor` has the service, and no MetricsPort. */
export async function checkMetricsPort(
  { net, clock }: Pick<Runtime, 'net' | 'clock'>,
  tor: TorClient,
  service: OnionAddress,
): Promise<void> {
  const warnings: unknown[] = [];
  const log: Log = {
    ...silentLog,
    warn: (_message, fields = {}) => void warnings.push((fields.error as { code?: string } | undefined)?.code),
    child: () => log,
  };
  const make = (open: boolean) => createMetricsPort(tor, { net, clock, log }, { open });
  const conf = async (): Promise<readonly (readonly string[])[]> => [
    await tor.getConf('MetricsPort'),
    await tor.getConf('MetricsPortPolicy'),
  ];
  const free = async (): Promise<string> => {
    const listener = await net.listen({ host: '127.0.0.1', port: 0 }, (stream) => stream.destroy());
    await listener.close();
    return 'port' in listener.endpoint ? `127.0.0.1:${listener.endpoint.port} prometheus` : '';
  };
  assert.deepEqual(await conf(), [[], []]);

  const idle = make(false);
  await idle.find();
  assert.equal((await idle.read()).size, 0);
  assert.deepEqual(await conf(), [[], []]);

  const own = make(true);
  await own.find();
  const [[value = ''] = [], policy] = await conf();
  assert.match(value, /^127\.0\.0\.1:\d+ prometheus$/);
  assert.deepEqual(policy, ['accept 127.0.0.1']);
  const counts = (await own.read()).get(service);
  assert.ok(counts !== undefined && counts.introductions >= 0 && counts.rejected >= 0);
  await own.find();
  assert.deepEqual((await conf())[0], [value]);
  assert.ok((await own.read()).has(service));
  await own.close();
  assert.deepEqual(await conf(), [[], []]);
  assert.deepEqual(await tor.getInfo('net/listeners/metrics'), '');

  // The operator's own is read, and stays.
  const theirs = await free();
  await tor.setConf([
    ['MetricsPort', theirs],
    ['MetricsPortPolicy', 'accept 127.0.0.1'],
  ]);
  const guest = make(true);
  await guest.find();
  assert.ok((await guest.read()).has(service));
  await guest.close();
  assert.deepEqual(await conf(), [[theirs], ['accept 127.0.0.1']]);
  assert.deepEqual(warnings, []);

  // An operator's policy stays, though nothing can be read under it: a warning, and no port is left behind.
  await tor.setConf([['MetricsPort'], ['MetricsPortPolicy', 'accept 127.0.0.2']]);
  const refused = make(true);
  await refused.find();
  assert.equal((await refused.read()).size, 0);
  assert.deepEqual(await conf(), [[], ['accept 127.0.0.2']]);
  await refused.find();
  assert.deepEqual(warnings, ['SIEGE_METRICS_PORT']);
  await refused.close();
  await tor.setConf([['MetricsPortPolicy']]);
}
