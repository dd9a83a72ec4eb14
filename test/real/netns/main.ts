/** `npm run soak:cluster`: four nodes on machines of their own, over WireGuard with real tor, under every fault many times; prints one table. */
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { messageOf } from '../../../core/errors.ts';
import { systemRuntime } from '../../../core/runtime/index.ts';
import { missingPackages } from '../require.ts';
import { runCampaign } from './campaign.ts';
import { faultNames, type FaultName } from './faults.ts';
import { table } from './table.ts';

const usage = `npm run soak:cluster -- [--nodes 4] [--relays 5] [--faults kill:30,pause:10,partition:5,halves:5,one-way:5,tor:5,offline:3,redis:3] [--rest SECONDS] [--download SECONDS] [--logs DIRECTORY] [--json] [--keep]\n`;

const { values } = parseArgs({
  options: {
    nodes: { type: 'string', default: '4' },
    relays: { type: 'string', default: '5' },
    faults: { type: 'string', default: 'kill:30,pause:10,partition:5,halves:5,one-way:5,tor:5,offline:3,redis:3' },
    rest: { type: 'string', default: '5' },
    download: { type: 'string', default: '20' },
    logs: { type: 'string' },
    json: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

function fail(text: string): never {
  process.stderr.write(`${text}\n${usage}`);
  process.exit(2);
}

if (values.help) {
  process.stdout.write(usage);
  process.exit(0);
}
const faults = values.faults.split(',').flatMap((text): FaultName[] => {
  const [name = '', times = '1'] = text.split(':');
  if (!faultNames.some((known) => known === name) || !(Number(times) > 0)) fail(`no fault: ${text}`);
  return Array.from({ length: Number(times) }, () => name as FaultName);
});
const missing = missingPackages([
  'tor',
  'curl',
  'iproute2',
  'nftables',
  'redis-server',
  'wireguard-go',
  'wireguard-tools',
]);
if (missing.length > 0) fail(`install the Debian packages: ${missing.join(', ')}`);

try {
  const report = await runCampaign(systemRuntime(), {
    nodes: Number(values.nodes),
    relays: Number(values.relays),
    faults,
    restSeconds: Number(values.rest),
    downloadSeconds: Number(values.download),
    keep: values.keep,
    ...(values.logs === undefined ? {} : { logs: resolve(values.logs) }),
    progress: (text) => void process.stderr.write(`${text}\n`),
  });
  process.stdout.write(values.json ? `${JSON.stringify(report, null, 2)}\n` : table(report));
} catch (error) {
  process.stderr.write(`${messageOf(error)}\n`);
  process.exitCode = 1;
}
