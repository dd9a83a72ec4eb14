/** A tor's SOCKS port: SOCKS5 (RFC 1928) with or without user name and password (RFC 1929), CONNECT to onion addresses only. */
import type { Duplex } from 'node:stream';
import { parseOnionAddress, type OnionAddress } from '../../../../core/onion/index.ts';
import { socksReplies, type OnionClient } from './client.ts';
import type { TorContext } from './context.ts';
import { pipeStreams } from './stream-pipe.ts';

const version = 5;
const methods = { none: 0, password: 2, unacceptable: 0xff } as const;
const commandNotSupported = 0x07;
const addressTypes = { ipv4: 1, name: 3, ipv6: 4 } as const;
const longestHandshake = 1024;

interface Destination {
  readonly host: string;
  readonly port: number;
}

function reply(code: number): Buffer {
  return Buffer.from([version, code, 0, addressTypes.ipv4, 0, 0, 0, 0, 0, 0]);
}

/** The address of an onion host, subdomains dropped; undefined for any other host or a wrong checksum. */
function onionOf(host: string): OnionAddress | undefined {
  const label = /(?:^|\.)([^.]+)\.onion$/i.exec(host)?.[1];
  try {
    return label === undefined ? undefined : parseOnionAddress(label);
  } catch {
    return undefined;
  }
}

export interface Traffic {
  read: number;
  written: number;
}

export function serveSocks(tor: TorContext, client: OnionClient, traffic: Traffic, socket: Duplex): void {
  new SocksConnection(tor, client, traffic, socket).start();
}

class SocksConnection {
  readonly #tor: TorContext;
  readonly #client: OnionClient;
  readonly #traffic: Traffic;
  readonly #socket: Duplex;
  #received = Buffer.alloc(0);
  #step: 'methods' | 'password' | 'request' | 'waiting' = 'methods';
  #isolation = '';
  #answer: Buffer | undefined;
  #giveUp: () => void = () => undefined;

  constructor(tor: TorContext, client: OnionClient, traffic: Traffic, socket: Duplex) {
    this.#tor = tor;
    this.#client = client;
    this.#traffic = traffic;
    this.#socket = socket;
  }

  start(): void {
    const leave = this.#tor.process.atEnd(() => this.#socket.destroy());
    this.#socket.on('error', () => undefined);
    this.#socket.once('close', () => {
      leave();
      this.#giveUp();
    });
    this.#socket.on('data', this.#onData);
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#tor.process.run(() => {
      this.#received = Buffer.concat([this.#received, chunk]);
      if (this.#received.length > longestHandshake) this.#socket.destroy();
      else while (this.#advance()) continue;
      this.#flush();
    });
  };

  /** Takes one message of the handshake; false when it is not all there, or nothing more is expected. */
  #advance(): boolean {
    if (this.#socket.destroyed) return false;
    switch (this.#step) {
      case 'methods':
        return this.#readMethods();
      case 'password':
        return this.#readPassword();
      case 'request':
        return this.#readRequest();
      default:
        return false;
    }
  }

  /** Tor answers what it has read at once by the last answer only: who sends the handshake in one piece misses some. */
  #flush(): void {
    const answer = this.#answer;
    this.#answer = undefined;
    if (answer !== undefined && this.#socket.writable) this.#socket.write(answer);
  }

  #take(length: number): Buffer {
    const taken = this.#received.subarray(0, length);
    this.#received = this.#received.subarray(length);
    return taken;
  }

  #readMethods(): boolean {
    const count = this.#received[1];
    if (this.#received[0] !== undefined && this.#received[0] !== version) {
      this.#socket.destroy();
      return false;
    }
    if (count === undefined || this.#received.length < 2 + count) return false;
    const offered = this.#take(2 + count).subarray(2);
    if (offered.includes(methods.password)) {
      this.#step = 'password';
      this.#answer = Buffer.from([version, methods.password]);
    } else if (offered.includes(methods.none)) {
      this.#step = 'request';
      this.#answer = Buffer.from([version, methods.none]);
    } else {
      this.#socket.end(Buffer.from([version, methods.unacceptable]));
      return false;
    }
    return true;
  }

  #readPassword(): boolean {
    const nameLength = this.#received[1];
    if (nameLength === undefined) return false;
    const passwordLength = this.#received[2 + nameLength];
    if (passwordLength === undefined || this.#received.length < 3 + nameLength + passwordLength) return false;
    this.#isolation = this.#take(3 + nameLength + passwordLength).toString('latin1');
    this.#answer = Buffer.from([1, 0]);
    this.#step = 'request';
    return true;
  }

  #readRequest(): boolean {
    const data = this.#received;
    const type = data[3];
    if (type === undefined) return false;
    const addressLength =
      type === addressTypes.ipv4 ? 4 : type === addressTypes.ipv6 ? 16 : type === addressTypes.name ? data[4] : 0;
    if (addressLength === undefined) return false;
    const start = type === addressTypes.name ? 5 : 4;
    const end = start + addressLength + 2;
    if (data.length < end) return false;
    const message = this.#take(end);
    const bytes = message.subarray(start, end - 2);
    const host = type === addressTypes.name ? bytes.toString('latin1') : bytes.join('.');
    this.#step = 'waiting';
    if (message[1] !== 1) this.#refuse(commandNotSupported);
    else this.#connect({ host, port: message.readUInt16BE(end - 2) });
    return false;
  }

  #refuse(code: number): void {
    this.#flush();
    if (!this.#socket.destroyed) this.#socket.end(reply(code));
  }

  #connect({ host, port }: Destination): void {
    const address = onionOf(host);
    if (address === undefined) {
      // There are no exits here, and a wrong address is a general failure in tor too.
      this.#refuse(socksReplies.generalFailure);
      return;
    }
    this.#giveUp = this.#client.connect({
      address,
      port,
      isolation: this.#isolation,
      failed: (code) => {
        this.#giveUp = () => undefined;
        this.#refuse(code);
      },
      opened: (stream, service) => {
        this.#giveUp = () => undefined;
        this.#socket.off('data', this.#onData);
        if (this.#socket.destroyed) {
          stream.destroy();
          return;
        }
        this.#socket.write(reply(socksReplies.succeeded));
        if (this.#received.length > 0) stream.write(this.#received);
        pipeStreams(this.#socket, stream, {
          carriers: [this.#tor.process, service.process],
          carried: (bytes, direction) => {
            if (direction === 'up') this.#traffic.written += bytes;
            else this.#traffic.read += bytes;
          },
          ended: () => undefined,
        });
      },
    });
  }
}
