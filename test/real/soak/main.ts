/** `npm run soak:real`: two whole time periods of every publisher, side by side; prints one table. */
import { parseArgs } from 'node:util';
import { messageOf } from '../../../core/errors.ts';
import { systemRuntime } from '../../../core/runtime/index.ts';
import { missingPackages } from '../require.ts';
import { publisherNames, runSoak, type PublisherName } from './soak.ts';
import { table } from './table.ts';

const usage = `npm run soak:real -- [--publishers ${publisherNames.join(',')}] [--minutes 16] [--kill-limit SECONDS] [--relays 17] [--json] [--keep]\n`;

const { values } = parseArgs({
  options: {
    publishers: { type: 'string', default: publisherNames.join(',') },
    minutes: { type: 'string', default: '16' },
    'kill-limit': { type: 'string', default: '500' },
    relays: { type: 'string', default: '17' },
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
const names = values.publishers.split(',');
const unknown = names.find((name) => !publisherNames.some((known) => known === name));
if (unknown !== undefined) fail(`unknown publisher: ${unknown}`);
const [minutes, killLimitSeconds, relays] = [values.minutes, values['kill-limit'], values.relays].map(Number) as [
  number,
  number,
  number,
];
if (![minutes, killLimitSeconds, relays].every((value) => value > 0)) fail('numbers must be positive');
const missing = missingPackages(names.includes('onionbalance') ? ['tor', 'curl', 'onionbalance'] : ['tor', 'curl']);
if (missing.length > 0) fail(`install the Debian packages: ${missing.join(', ')}`);

try {
  const report = await runSoak(systemRuntime(), {
    publishers: names as PublisherName[],
    minutes,
    killLimitSeconds,
    relays,
    keep: values.keep,
    progress: (text) => void process.stderr.write(`${text}\n`),
  });
  process.stdout.write(values.json ? `${JSON.stringify(report, null, 2)}\n` : table(report));
} catch (error) {
  process.stderr.write(`${messageOf(error)}\n`);
  process.exitCode = 1;
}
