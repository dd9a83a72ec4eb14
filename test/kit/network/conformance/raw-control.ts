/**
 * A control connection that hides nothing: replies and events as the lines that came. For suites that check a control port
 * itself; whoever works with a tor uses plugins/tor.
 */
import { createHmac } from 'node:crypto';
import type { Duplex } from 'node:stream';
import type { Net, Store } from '../../../../core/runtime/index.ts';
import type { TorInstance } from '../network.ts';

export interface RawReply {
  /** Lines without CR LF, status codes included, data lines unescaped. */
  readonly lines: readonly string[];
  /** The last line's code. */
  readonly code: number;
}

export class RawControl {
  /** Every event so far, each with its lines. */
  readonly events: RawReply[] = [];
  readonly #socket: Duplex;
  #received = '';
  #lines: string[] = [];
  #inData = false;
  readonly #waiting: { readonly resolve: (reply: RawReply) => void; readonly reject: (error: Error) => void }[] = [];
  #closed: Error | undefined;

  private constructor(socket: Duplex) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.#take(chunk.toString('latin1')));
    socket.on('error', () => undefined);
    socket.once('close', () => {
      this.#closed = new Error('the control connection was closed');
      for (const { reject } of this.#waiting.splice(0)) reject(this.#closed);
    });
  }

  /** Connects without authenticating. */
  static async open(net: Net, tor: Pick<TorInstance, 'control'>): Promise<RawControl> {
    return new RawControl(await net.connect(tor.control));
  }

  /** Connects and authenticates by safe cookie, or with nothing when the port asks for nothing. */
  static async connect(net: Net, store: Store, tor: TorInstance): Promise<RawControl> {
    const control = await RawControl.open(net, tor);
    const reply = await control.authenticate(store, tor);
    if (reply.code !== 250) throw new Error(`the control port of ${tor.name} said ${reply.lines.join(' / ')}`);
    return control;
  }

  async authenticate(store: Store, tor: TorInstance): Promise<RawReply> {
    if (tor.cookiePath === undefined) return this.send('AUTHENTICATE');
    const cookie = (await store.read(tor.cookiePath)) ?? new Uint8Array();
    const clientNonce = Buffer.from('00112233445566778899aabbccddeeff', 'hex');
    const challenge = await this.send(`AUTHCHALLENGE SAFECOOKIE ${clientNonce.toString('hex')}`);
    const serverNonce = /SERVERNONCE=([0-9A-F]+)/.exec(challenge.lines[0] ?? '')?.[1] ?? '';
    const proof = createHmac('sha256', 'Tor safe cookie authentication controller-to-server hash')
      .update(Buffer.concat([cookie, clientNonce, Buffer.from(serverNonce, 'hex')]))
      .digest('hex');
    return this.send(`AUTHENTICATE ${proof}`);
  }

  get closed(): boolean {
    return this.#closed !== undefined;
  }

  /** Sends a command, with its data when it begins with `+`, and resolves with the next reply. */
  send(line: string, data?: string): Promise<RawReply> {
    if (this.#closed) return Promise.reject(this.#closed);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.sendOnly(line, data);
    });
  }

  /** Sends a command that gets no reply. */
  sendOnly(line: string, data?: string): void {
    const body =
      data === undefined
        ? ''
        : `${data
            .split('\n')
            .map((part) => (part.startsWith('.') ? `.${part}` : part))
            .join('\r\n')}${data.endsWith('\n') ? '' : '\r\n'}.\r\n`;
    this.#socket.write(`${line}\r\n${body}`, 'latin1');
  }

  /** The value of one GETINFO key; throws with tor's own words. */
  async getInfo(key: string): Promise<string> {
    const { lines, code } = await this.send(`GETINFO ${key}`);
    const [first = ''] = lines;
    if (code !== 250) throw new Error(first);
    if (first.startsWith('250+')) return lines.slice(1, -1).join('\n');
    return first.slice(`250-${key}=`.length);
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(text: string): void {
    this.#received += text;
    for (let end = this.#received.indexOf('\n'); end >= 0; end = this.#received.indexOf('\n')) {
      const line = this.#received.slice(0, end).replace(/\r$/, '');
      this.#received = this.#received.slice(end + 1);
      this.#takeLine(line);
    }
  }

  #takeLine(line: string): void {
    if (this.#inData) {
      if (line === '.') this.#inData = false;
      else this.#lines.push(line.startsWith('.') ? line.slice(1) : line);
      return;
    }
    this.#lines.push(line);
    if (line[3] === '+') this.#inData = true;
    if (line[3] !== ' ') return;
    const reply = { lines: this.#lines, code: Number(line.slice(0, 3)) };
    this.#lines = [];
    if (this.#isEvent(reply)) this.events.push(reply);
    else this.#waiting.shift()?.resolve(reply);
  }

  #isEvent(reply: RawReply): boolean {
    return (reply.lines[0] ?? '').startsWith('650');
  }
}
