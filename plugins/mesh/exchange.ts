/**
 * How entries spread: what is new rides on the pings and acks of the next rounds; what still differs is found by digests.
 *
 *   digest differs ─► summary of 64 buckets ─► listing of what is in those that differ ─► want ─► the entries
 *
 * A round of that takes place at most once an interval, which grows with the cluster: in a large one something is always on its way.
 */
import { shuffled, type Clock, type Random } from '../../core/runtime/index.ts';
import type { Book } from './book.ts';
import {
  digestBytes,
  encodeMessage,
  maximumListed,
  messageHeaderBytes,
  writeMessage,
  type EntryKey,
  type Message,
} from './message.ts';
import { presenceKind, type Lease } from './record.ts';
import { maximumContentBytes } from './session/datagram.ts';
import { Bucket } from './session/flood.ts';
import { Writer } from './wire.ts';

/** News take at most so much of a ping, an ack or a lease. */
const maximumNewsBytes = 260;
const maximumNews = 256;
/** Datagrams of listings in one round. */
const maximumListings = 4;
const syncPerNodeMs = 20;
const shortestSyncMs = 400;
const longestSyncMs = 10_000;
/** Answers to summaries and wants, for all together. */
const served = { burst: 200, perSecond: 100 } as const;

interface News {
  readonly encoded: Buffer;
  readonly message: Message;
  left: number;
}

export class Exchange {
  readonly #book: Book;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #send: (node: string, messages: readonly Message[]) => void;
  readonly #news = new Map<string, News>();
  readonly #served: Bucket;
  #syncedAtMs = -Infinity;

  constructor(book: Book, clock: Clock, random: Random, send: (node: string, messages: readonly Message[]) => void) {
    this.#book = book;
    this.#clock = clock;
    this.#random = random;
    this.#send = send;
    this.#served = new Bucket(clock, served);
  }

  /** Lets a message ride on the next pings and acks; a later one under the same key takes its place. */
  spread(key: string, message: Message, size: number): void {
    this.#news.delete(key);
    if (this.#news.size >= maximumNews) this.#news.delete(this.#news.keys().next().value as string);
    // As many rounds as a rumour needs to reach everybody; the digests find whom it missed.
    const left = Math.ceil(Math.log2(size + 2)) + 1;
    const whole = encodeMessage(message);
    const fits = whole.length <= maximumNewsBytes - digestBytes - messageHeaderBytes;
    // Without its value a record is short enough; who lacks it pulls that.
    const told: Message = !fits && message.type === 'record' ? { ...message, value: undefined } : message;
    this.#news.set(key, { encoded: fits ? whole : encodeMessage(told), message: told, left });
  }

  /** The digest, and news as they fit. */
  carried(): Message[] {
    const messages: Message[] = [{ type: 'digest', digest: this.#book.entries.digest() }];
    let room = maximumNewsBytes - digestBytes - messageHeaderBytes;
    // Those that are there now: what goes behind the others would come up again, and again.
    const now = [...this.#news];
    for (const [key, news] of now) {
      if (news.encoded.length > room) continue;
      room -= news.encoded.length;
      messages.push(news.message);
      news.left--;
      // What was told goes behind what was not.
      this.#news.delete(key);
      if (news.left > 0) this.#news.set(key, news);
    }
    return messages;
  }

  digest(from: string, digest: Uint8Array): void {
    const { entries } = this.#book;
    if (entries.digest().equals(digest)) {
      this.#tire();
      return;
    }
    const now = this.#clock.monotonic();
    const size = this.#book.members.size;
    const intervalMs = Math.min(longestSyncMs, Math.max(shortestSyncMs, size * syncPerNodeMs));
    if (now - this.#syncedAtMs < intervalMs) return;
    this.#syncedAtMs = now;
    this.#send(from, [{ type: 'summary', buckets: entries.summary() }]);
  }

  /** Somebody holds the same: what is told of entries has probably reached everybody, and is soon told no more. */
  #tire(): void {
    for (const [key, news] of this.#news) {
      if (news.message.type === 'suspicion') continue;
      news.left >>= 1;
      if (news.left === 0) this.#news.delete(key);
    }
  }

  summary(from: string, buckets: Uint8Array): void {
    if (!this.#served.take()) return;
    const first = (kind: string): number => (kind === '+' || kind === '-' ? 0 : 1);
    const keys = shuffled(this.#random, this.#book.entries.differing(buckets)).sort(
      (a, b) => first(a.kind) - first(b.kind),
    );
    for (let at = 0; at < Math.min(keys.length, maximumListings * maximumListed); at += maximumListed) {
      this.#send(from, [{ type: 'listing', keys: keys.slice(at, at + maximumListed) }]);
    }
  }

  listing(from: string, keys: readonly EntryKey[]): void {
    const wanted = keys.filter((key) => this.#book.lacks(key));
    if (wanted.length === 0) return;
    this.#send(from, [{ type: 'want', keys: wanted }]);
  }

  /** Gives what is asked for; who asks for a member's presence may know nothing of its present life, and gets all that it says. */
  want(from: string, keys: readonly EntryKey[]): void {
    if (!this.#served.take()) return;
    const { entries } = this.#book;
    const all = keys.flatMap((key) => (key.kind === presenceKind ? [key, ...entries.of(key.node)] : [key]));
    const wanted = new Map(all.map((key) => [`${key.node} ${key.kind}`, key]));
    const messages = [...wanted.values()].flatMap((key) => this.#book.messageOf(key) ?? []);
    if (messages.length > 0) this.#send(from, messages);
  }

  /**
   * A lease was heard. Of a leader's life that is not known here its claim is not either, and this node might claim itself; nor is, it
   * may be, what a rival claims, who leads as this node does. It asks, with each lease, for where datagrams are lost a whole round
   * succeeds too seldom.
   */
  led(from: string, { node, incarnation, leading }: Lease, rival: boolean): void {
    const known = this.#book.entries.get(node, presenceKind);
    if (!leading || (!rival && known !== undefined && known.incarnation >= incarnation)) return;
    this.#send(from, [{ type: 'want', keys: [{ node, kind: presenceKind, incarnation, version: 1 }] }]);
  }

  /** Something came by a round: the next may follow at once. */
  progressed(): void {
    this.#syncedAtMs = Math.min(this.#syncedAtMs, this.#clock.monotonic() - longestSyncMs);
  }
}

/** Messages as the contents of as few datagrams as hold them. */
export function contentsOf(messages: readonly Message[]): Buffer[] {
  const contents: Buffer[] = [];
  let writer = new Writer();
  for (const message of messages) {
    const before = writer.length;
    writeMessage(writer, message);
    if (writer.length <= maximumContentBytes || before === 0) continue;
    const both = writer.done();
    contents.push(both.subarray(0, before));
    writer = new Writer().bytes(both.subarray(before));
  }
  if (writer.length > 0) contents.push(writer.done());
  return contents;
}
