/** A tor's MetricsPort (feature/metrics): what it has counted for its onion services, in Prometheus' text form over HTTP/1.0. */
import type { Duplex } from 'node:stream';
import { formatEndpoint, parseEndpoint, type Endpoint, type Listener } from '../../../../core/runtime/index.ts';
import type { OptionLine, Refusal } from './configuration.ts';
import type { TorContext } from './context.ts';
import type { OnionService } from './service.ts';

const longestRequest = 1024;

/** A change that holds only when the rest of a SETCONF does. */
export interface PreparedMetrics {
  commit(): Promise<void>;
  rollback(): Promise<void>;
}

export class MetricsServer {
  readonly #tor: TorContext;
  readonly #services: () => Iterable<OnionService>;
  #listener: Listener | undefined;
  /** What MetricsPort says. */
  #value: string | undefined;

  constructor(tor: TorContext, services: () => Iterable<OnionService>) {
    this.#tor = tor;
    this.#services = services;
  }

  get endpoint(): Endpoint | undefined {
    return this.#listener?.endpoint;
  }

  /** As tor does: the new port is opened before the old one is closed. */
  async prepare(lines: readonly OptionLine[]): Promise<PreparedMetrics | Refusal> {
    const disabled = lines.some(([name, value]) => name === 'DisableNetwork' && value === '1');
    // tor reads the first line only.
    const value = disabled ? undefined : lines.find(([name]) => name === 'MetricsPort')?.[1];
    if (value === this.#value) return { commit: async () => undefined, rollback: async () => undefined };
    const fresh = value === undefined ? undefined : await this.#open(value);
    if (fresh !== undefined && 'code' in fresh) return fresh;
    return {
      commit: async () => {
        await this.close();
        this.#listener = fresh;
        this.#value = value;
      },
      rollback: async () => fresh?.close(),
    };
  }

  async #open(value: string): Promise<Listener | Refusal> {
    const [place = '', format = 'prometheus'] = value.split(' ');
    const refuse = (text: string): Refusal => ({ code: 513, text: `Unacceptable option value: ${text}` });
    if (format.toLowerCase() !== 'prometheus') return refuse(`MetricsPort unknown format: ${format}`);
    const endpoint = parseEndpoint(/^\d{1,5}$/.test(place) ? `127.0.0.1:${place}` : place);
    if (endpoint === undefined || 'path' in endpoint) {
      return refuse('MetricsPort address/port failed to parse or resolve.');
    }
    try {
      return await this.#tor.net.listen(endpoint, (socket) => this.#serve(socket));
    } catch {
      return { code: 553, text: 'Unable to set option: Failed to bind one of the listener ports.' };
    }
  }

  /** The policy rejects everybody unless it says otherwise. */
  get #allowed(): boolean {
    return this.#tor.configuration.lines.some(
      ([name, value]) => name === 'MetricsPortPolicy' && /^accept (127\.0\.0\.1|127\.0\.0\.0\/8|\*)$/.test(value),
    );
  }

  #serve(socket: Duplex): void {
    const leave = this.#tor.process.atEnd(() => socket.destroy());
    socket.on('error', () => undefined).once('close', leave);
    let request = '';
    socket.on('data', (chunk: Buffer) =>
      this.#tor.process.run(() => {
        request += chunk.toString('latin1');
        if (!this.#allowed || request.length > longestRequest) socket.destroy();
        else if (request.includes('\r\n\r\n')) {
          const { answer, open } = this.#answer(request);
          request = '';
          // After a good answer tor 0.4.9 leaves the connection open.
          if (open) socket.write(answer);
          else socket.end(answer);
        }
      }),
    );
  }

  #answer(request: string): { readonly answer: string; readonly open: boolean } {
    if (!request.startsWith('GET ')) return { answer: 'HTTP/1.0 405 Method Not Allowed\r\n\r\n', open: false };
    if (!request.startsWith('GET /metrics ')) return { answer: 'HTTP/1.0 404 Not Found\r\n\r\n', open: false };
    const services = [...this.#services()];
    const of = (name: string, help: string, values: readonly string[]): string =>
      `# HELP ${name} ${help}\n# TYPE ${name} counter\n${values.map((value) => `${name}${value}\n`).join('')}`;
    const body =
      of(
        'tor_hs_intro_num_total',
        'Total number of introduction received',
        services.map(({ address, introductions }) => `{onion="${address}"} ${introductions.read}`),
      ) +
      of(
        'tor_hs_intro_rejected_intro_req_count',
        'Total number of rejected introduction circuits',
        services.map(
          ({ address, introductions }) => `{onion="${address}",reason="subcredential"} ${introductions.unreadable}`,
        ),
      );
    const head = `HTTP/1.0 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ${body.length}\r\n\r\n`;
    return { answer: head + body, open: true };
  }

  /** As GETINFO net/listeners/metrics prints it. */
  describe(): readonly string[] {
    return this.endpoint === undefined ? [] : [`"${formatEndpoint(this.endpoint)}"`];
  }

  async close(): Promise<void> {
    const listener = this.#listener;
    this.#listener = undefined;
    this.#value = undefined;
    await listener?.close();
  }
}
