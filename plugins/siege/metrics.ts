/**
 * tor's MetricsPort, where there is one: introductions that made no rendezvous circuit (malformed, replayed, throttled)
 * show only there. Only a MetricsPort on this machine's loopback is asked. Total: any answer gives counts or nothing.
 */
import type { Readable } from 'node:stream';
import type { TorClient } from '../../core/engine/index.ts';
import { ChimeraError } from '../../core/errors.ts';
import { parseEndpoint, withDeadline, type Clock, type Endpoint, type Net } from '../../core/runtime/index.ts';

const limitMs = 2_000;
const longestAnswer = 1 << 20;

/** What tor counted for one service since its start. */
export interface ServiceCounts {
  readonly introductions: number;
  readonly rejected: number;
}

/** Reads the Prometheus text: `tor_hs_intro_num_total{onion="…"} 12`. */
function parseMetrics(text: string): ReadonlyMap<string, ServiceCounts> {
  const counts = new Map<string, { introductions: number; rejected: number }>();
  const line = /^(tor_hs_intro_num_total|tor_hs_intro_rejected_intro_req_count)\{([^}\n]{0,512})\} (\d{1,15})/gm;
  for (const [, name, labels = '', value] of text.slice(0, longestAnswer).matchAll(line)) {
    const onion = /onion="([a-z2-7]{56})(?:\.onion)?"/.exec(labels)?.[1];
    if (onion === undefined || (counts.size >= 64 && !counts.has(onion))) continue;
    const known = counts.get(onion) ?? { introductions: 0, rejected: 0 };
    if (name === 'tor_hs_intro_num_total') known.introductions += Number(value);
    else known.rejected += Number(value);
    counts.set(onion, known);
  }
  return counts;
}

/** tor leaves the connection open after its answer (0.4.9): only the length tells that it is over. */
function isWhole(text: string): boolean {
  const head = text.indexOf('\r\n\r\n');
  const length = head < 0 ? undefined : /^content-length: (\d{1,9})\r$/im.exec(text.slice(0, head + 2))?.[1];
  return length !== undefined && text.length >= head + 4 + Number(length);
}

/** The MetricsPort of a tor, when it is on loopback. */
export async function metricsEndpoint(tor: TorClient): Promise<Endpoint | undefined> {
  for (const value of await tor.getConf('MetricsPort')) {
    const [place = ''] = value.split(' ');
    const endpoint = parseEndpoint(/^\d+$/.test(place) ? `127.0.0.1:${place}` : place);
    if (endpoint !== undefined && 'host' in endpoint && /^(127\.|localhost$|\[?::1)/.test(endpoint.host))
      return endpoint;
  }
  return undefined;
}

export async function readMetrics(
  net: Net,
  clock: Clock,
  endpoint: Endpoint,
): Promise<ReadonlyMap<string, ServiceCounts>> {
  const late = (): Error => new ChimeraError('TOR_TIMEOUT', `the MetricsPort did not answer in ${limitMs} ms`);
  return withDeadline(clock, limitMs, late, async (signal) => {
    const stream = await net.connect(endpoint, signal);
    stream.on('error', () => undefined);
    const onAbort = (): void => void stream.destroy();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      stream.write('GET /metrics HTTP/1.0\r\n\r\n');
      let text = '';
      for await (const chunk of stream as Readable as AsyncIterable<Buffer>) {
        text += chunk.toString('latin1');
        if (text.length > longestAnswer || isWhole(text)) break;
      }
      if (!text.startsWith('HTTP/1.0 200 ')) {
        throw new ChimeraError('TOR_REFUSED', 'the MetricsPort does not answer this machine: see MetricsPortPolicy');
      }
      return parseMetrics(text);
    } finally {
      signal.removeEventListener('abort', onAbort);
      stream.destroy();
    }
  });
}
