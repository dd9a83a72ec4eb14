/** One session between two nodes: seals what goes, opens what comes, each counter once. */
import { createHash } from 'node:crypto';
import { ascii } from '../../../core/onion/bytes.ts';
import { counterOf, dataHeader, dataHeaderBytes, stampBytes, wireVersion } from './datagram.ts';
import { labels } from './keys.ts';
import { open, seal, type Secrets } from './noise.ts';
import { ReplayWindow } from './window.ts';

/** No session seals more datagrams; it is renewed long before. */
const maximumCounter = 2 ** 48;

export interface SessionEnd {
  readonly node: string;
  /** Random, chosen when the process starts. */
  readonly boot: Uint8Array;
}

export interface SessionOptions {
  readonly cluster: string;
  readonly self: SessionEnd;
  readonly peer: SessionEnd;
  readonly secrets: Secrets;
  /** Of the generation that it was made under. */
  readonly psk: Uint8Array;
  /** What the peer calls this session, and what this node does. */
  readonly remoteIndex: number;
  readonly localIndex: number;
  readonly endpoint: string;
  readonly madeAtMs: number;
}

/** The associated data of one direction: version, cluster, sender, receiver, their boots, and this very handshake. */
function binding({ cluster, secrets }: SessionOptions, sender: SessionEnd, receiver: SessionEnd): Buffer {
  const hash = createHash('sha256')
    .update(ascii(`${labels.data}\0`))
    .update(Buffer.of(wireVersion));
  for (const text of [cluster, sender.node, receiver.node]) hash.update(ascii(text));
  return hash.update(sender.boot).update(receiver.boot).update(secrets.hash).digest();
}

export interface Opened {
  /** The sender's monotonic clock when it sealed this, milliseconds since its boot. */
  readonly stampMs: number;
  readonly content: Buffer;
}

export class Session {
  readonly options: SessionOptions;
  /** Where the peer was heard last. */
  endpoint: string;
  /** True once the peer has shown that it has the keys too. */
  confirmed: boolean;
  /** The peer's boot id, for people and as a name. */
  readonly peerBoot: string;
  /** The associated data of each direction: room for a datagram's header, then what binds it to this session. */
  readonly #sendingData: Buffer;
  readonly #receivingData: Buffer;
  readonly #window = new ReplayWindow();
  #counter = 0;
  #newest = -1;

  constructor(options: SessionOptions, confirmed: boolean) {
    this.options = options;
    this.endpoint = options.endpoint;
    this.confirmed = confirmed;
    this.peerBoot = Buffer.from(options.peer.boot).toString('hex');
    const headed = (bound: Buffer): Buffer => Buffer.concat([Buffer.alloc(dataHeaderBytes), bound]);
    this.#sendingData = headed(binding(options, options.self, options.peer));
    this.#receivingData = headed(binding(options, options.peer, options.self));
  }

  /** The datagram for the content. Throws RangeError beyond the last counter. */
  seal(stampMs: number, content: Uint8Array): Buffer {
    if (this.#counter >= maximumCounter) throw new RangeError('a session has sealed all that it may');
    const counter = this.#counter++;
    const header = dataHeader(this.options.remoteIndex, counter);
    const plain = Buffer.allocUnsafe(stampBytes + content.length);
    plain.writeUIntBE(Math.floor(stampMs), 0, stampBytes);
    plain.set(content, stampBytes);
    this.#sendingData.set(header);
    return Buffer.concat([header, seal(this.options.secrets.sending, counter, this.#sendingData, plain)]);
  }

  /** What the datagram holds; undefined when it is forged, damaged, or has been opened before. */
  open(datagram: Uint8Array, from: string): Opened | undefined {
    const counter = counterOf(datagram);
    if (counter === undefined || !this.#window.fresh(counter)) return undefined;
    for (let at = 0; at < dataHeaderBytes; at++) this.#receivingData[at] = datagram[at] as number;
    const sealed = datagram.subarray(dataHeaderBytes);
    const plain = open(this.options.secrets.receiving, counter, this.#receivingData, sealed);
    if (plain === undefined || plain.length < stampBytes || !this.#window.take(counter)) return undefined;
    if (counter > this.#newest) {
      this.#newest = counter;
      this.endpoint = from;
    }
    this.confirmed = true;
    return { stampMs: plain.readUIntBE(0, stampBytes), content: plain.subarray(stampBytes) };
  }

  /** Forgets the keys. */
  close(): void {
    this.options.secrets.sending.fill(0);
    this.options.secrets.receiving.fill(0);
  }
}
