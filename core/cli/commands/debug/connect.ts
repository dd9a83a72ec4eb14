/**
 * `chimera debug connect`: can a client reach an address? Opens a connection through tor's SOCKS port, on circuits of its
 * own, and sends one HTTP request when asked to.
 */
import type { Duplex } from 'node:stream';
import { ChimeraError, messageOf } from '../../../errors.ts';
import { parseOnionAddress } from '../../../onion/index.ts';
import {
  connectThroughSocks,
  formatEndpoint,
  parseEndpoint,
  withDeadline,
  type Endpoint,
} from '../../../runtime/index.ts';
import type { CommandContext, RegisterCommand } from '../../context.ts';
import { addExample, endpoint, jsonOption, secondsAsMs } from '../../options.ts';
import { endpointOrDefault } from './control.ts';
import { hex } from './descriptor-view.ts';

interface Target {
  readonly host: string;
  readonly port: number;
}

interface Options {
  readonly socks?: Endpoint;
  /** Milliseconds. */
  readonly timeout: number;
  readonly http?: string;
  readonly json?: true;
}

const defaultOnionPort = 80;
const largestAnswerBytes = 16 * 1024 * 1024;
const headLimitBytes = 64 * 1024;

/**
 * `HOST:PORT`, or an onion address with or without ".onion" and with or without a port (80). Throws CLI_USAGE or ONION_ADDRESS.
 */
export function parseTarget(text: string): Target {
  const bare = /^([a-z2-7]{56})(?::\d{1,5})?$/i.test(text) ? text.replace(/^[^:]+/, '$&.onion') : text;
  const withPort = /\.onion$/i.test(bare) ? `${bare}:${defaultOnionPort}` : bare;
  const parsed = parseEndpoint(withPort);
  if (parsed === undefined || 'path' in parsed || parsed.port === 0) {
    throw new ChimeraError('CLI_USAGE', `"${text.slice(0, 300)}" is neither HOST:PORT nor an onion address`, {
      remedy: 'give a host and a port, such as example.org:443, or an onion address (port 80 unless one is given)',
    });
  }
  const labels = parsed.host.toLowerCase().split('.');
  if (labels.at(-1) !== 'onion') return parsed;
  // Names in front of the address are the service's own business, as for virtual hosts.
  const address = parseOnionAddress(labels.slice(-2).join('.'));
  return { host: [...labels.slice(0, -2), address, 'onion'].join('.'), port: parsed.port };
}

interface HttpAnswer {
  readonly statusLine: string;
  readonly status: number;
  readonly bytes: number;
}

/** Sends a GET request and reads the whole answer. */
async function get(stream: Duplex, { host, port }: Target, path: string): Promise<HttpAnswer> {
  const authority = port === defaultOnionPort ? host : `${host}:${port}`;
  stream.write(`GET ${path} HTTP/1.1\r\nHost: ${authority}\r\nConnection: close\r\nAccept: */*\r\n\r\n`);
  const unfit = (what: string): ChimeraError =>
    new ChimeraError('HTTP_ANSWER', `${host}:${port} ${what}`, {
      remedy: 'check what listens behind this port; without --http only the connection is tried',
    });
  let head = '';
  let bytes = 0;
  try {
    for await (const chunk of stream as AsyncIterable<Uint8Array>) {
      bytes += chunk.length;
      if (head.length < headLimitBytes) head += Buffer.from(chunk).toString('latin1');
      if (bytes > largestAnswerBytes) break;
    }
  } catch (error) {
    if (bytes === 0) throw unfit(`broke the connection: ${messageOf(error)}`);
  }
  const [, statusLine, status] = /^(HTTP\/1\.[01] (\d{3})[^\r\n]{0,200})\r?\n/.exec(head) ?? [];
  if (statusLine === undefined) {
    throw unfit(bytes === 0 ? 'closed the connection without an answer' : 'answered, but not in HTTP');
  }
  return { statusLine, status: Number(status), bytes };
}

async function run(context: CommandContext, target: Target, options: Options): Promise<void> {
  const { runtime, output } = context;
  const { timeout: timeoutMs, http: path } = options;
  const { host, port } = target;
  if (path !== undefined && !/^\/[\x21-\x7e]*$/.test(path)) {
    throw new ChimeraError('CLI_USAGE', `--http ${path}: not a path`, { remedy: 'give a path such as /' });
  }
  const socks = await endpointOrDefault(runtime, options.socks, 'socks', 9050);
  const startedAtMs = runtime.clock.monotonic();
  const elapsedMs = (): number => Math.round(runtime.clock.monotonic() - startedAtMs);
  const isolation = hex(runtime.random.bytes(8));
  const stream = await connectThroughSocks(runtime, { socks, host, port, timeoutMs, isolation });
  try {
    const connectedMs = elapsedMs();
    const late = (): ChimeraError =>
      new ChimeraError('HTTP_ANSWER', `${host}:${port} did not answer in full within ${timeoutMs / 1000} s`, {
        remedy: 'wait longer, or check the server behind this port',
      });
    const answer =
      path === undefined
        ? undefined
        : await withDeadline(runtime.clock, Math.max(1, timeoutMs - connectedMs), late, () =>
            get(stream, target, path),
          );
    const answeredMs = elapsedMs();
    if (options.json) {
      output.json({
        ok: true,
        host,
        port,
        socks: formatEndpoint(socks),
        connectedMs,
        ...(answer && { http: { path, ...answer, answeredMs } }),
      });
      return;
    }
    output.line(`${output.good('connected')} to ${host}:${port} through ${formatEndpoint(socks)} in ${connectedMs} ms`);
    if (answer) output.line(`${answer.statusLine}, ${answer.bytes} bytes, complete after ${answeredMs} ms`);
  } finally {
    stream.destroy();
  }
}

export const registerConnect: RegisterCommand = (group, context) => {
  const command = group
    .command('connect')
    .description('connect to an onion service or a host through tor, as a client would')
    .argument('<target>', 'HOST:PORT, or an onion address with or without a port (80)', parseTarget)
    .option(
      '--socks <endpoint>',
      "tor's SOCKS port (default: unix:/run/tor/socks if it exists, else 127.0.0.1:9050)",
      endpoint,
    )
    .option('--http <path>', 'then send a GET request for this path')
    .addOption(jsonOption());
  command.addOption(
    command
      .createOption('--timeout <seconds>', 'the longest wait for everything')
      .argParser(secondsAsMs)
      .default(60_000, '60'),
  );
  command.action((target: Target, options: Options) => run(context, target, options));
  addExample(
    command,
    'chimera debug connect duckduckgogg42xjoc72x3sjasowoarfbgcmvfimaftt6twagswzczad.onion:80 --http /',
  );
};
