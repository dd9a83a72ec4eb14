/**
 * The sessions of a node: made when something is to be sent, renewed by time and count, ended with a member or its generation.
 *
 *   send() ─ none ─► initiation ─► (cookie ─► initiation) ─► response ─► session ─► what waited
 *
 * - An initiation counts only with a greater (incarnation, number) than any before from its sender: a recorded one makes no state.
 * - A new session as responder is used for sending once the peer has used it; until then the old one goes on.
 * - Of two nodes that open at the same time the one with the smaller id stays the initiator.
 */
import { jittered } from '../../../core/runtime/index.ts';
import { decoded, Writer } from '../wire.ts';
import {
  indexOf,
  initiationHead,
  initiationMac1At,
  initiationMac2At,
  initiationNoise,
  macBytes,
  responseHead,
  responseMac1At,
  responseNoise,
  responseReceiver,
  typeOf,
} from './datagram.ts';
import { FloodGate, openCookie, secondMac } from './flood.ts';
import { generationKeys, keysOfTry, macOf, prologueOf, sameMac, type GenerationKeys } from './keys.ts';
import { initiate, receive } from './noise.ts';
import type { Peer, SessionsOptions } from './model.ts';
import { Session } from './session.ts';

/** A session is renewed after this, and ends at the latest after `endAfterMs`. */
export const renewAfterMs = 600_000;
export const endAfterMs = 900_000;
/** A session of the generation before is renewed when it is so old: the peer may not have learned the new one yet. */
const renewGenerationAfterMs = 5_000;
/** A peer that was heard by its present session within this has not lost it. */
const silentMs = 1_000;
/** What waits for a session of one peer. */
const maximumWaiting = 8;
const firstRetryMs = 400;
const longestRetryMs = 800;
/** The initiator gives up after this many tries; the next send begins again. */
const maximumTries = 4;
const maximumIndex = 2 ** 32;

export class Sessions {
  readonly #options: SessionsOptions;
  readonly #boot: Uint8Array;
  readonly #peers = new Map<string, Peer>();
  readonly #byIndex = new Map<number, { readonly node: string; readonly session: Session }>();
  readonly #pendingByIndex = new Map<number, string>();
  readonly #gate: FloodGate;
  #keys: readonly GenerationKeys[] = [];
  #initiations = 0;
  #closed = false;

  constructor(options: SessionsOptions) {
    this.#options = options;
    this.#boot = options.random.bytes(8);
    this.#gate = new FloodGate(options.clock, options.random);
    this.secretsChanged();
  }

  /** Of the generations that are accepted now, the newest first; none after the close. */
  get keys(): readonly GenerationKeys[] {
    return this.#keys;
  }

  /** How many sessions and handshakes there are, and with how many peers any was tried. */
  get size(): { readonly sessions: number; readonly pending: number; readonly peers: number } {
    return { sessions: this.#byIndex.size, pending: this.#pendingByIndex.size, peers: this.#peers.size };
  }

  has(node: string): boolean {
    return this.#peers.get(node)?.current !== undefined;
  }

  /** Seals and sends, or keeps a few until there is a session. What is lost is lost. */
  send(node: string, content: Uint8Array): void {
    if (this.#closed) return;
    const peer = this.#peerOf(node);
    if (peer === undefined) return;
    const session = this.#usable(peer);
    if (session !== undefined) {
      this.#sendBy(session, content);
      const ageMs = this.#now() - session.options.madeAtMs;
      const outdated = session.options.psk !== this.#keys[0]?.psk && ageMs > renewGenerationAfterMs;
      if (ageMs > renewAfterMs || outdated) this.#begin(node, peer);
      return;
    }
    if (peer.waiting.length >= maximumWaiting) peer.waiting.shift();
    peer.waiting.push(content);
    this.#begin(node, peer);
  }

  /** The peer does not answer: perhaps it has lost the session. Opens another beside it, unless it was heard a moment ago. */
  renew(node: string): void {
    const peer = this.#peerOf(node);
    if (peer === undefined || this.#closed || this.#now() - peer.openedAtMs < silentMs) return;
    this.#begin(node, peer);
  }

  /** Takes a datagram, whoever sent it. */
  take(datagram: Uint8Array, from: string): void {
    if (this.#closed) return;
    const type = typeOf(datagram);
    if (type === 'data') this.#takeData(datagram, from);
    else if (type === 'initiation') this.#takeInitiation(datagram, from);
    else if (type === 'response') this.#takeResponse(datagram, from);
    else if (type === 'cookie') this.#takeCookie(datagram);
    else this.#drop('no datagram of the mesh');
  }

  /** The member was removed: nothing of it stays. If there is a session it is sent `last` thrice: one may be lost. */
  end(node: string, last: readonly Uint8Array[] = []): void {
    const peer = this.#peers.get(node);
    if (peer === undefined) return;
    if (peer.current !== undefined)
      for (const content of [...last, ...last, ...last]) this.#sendBy(peer.current, content);
    peer.retry?.cancel();
    if (peer.pending !== undefined) this.#pendingByIndex.delete(peer.pending.index);
    for (const session of [peer.current, peer.previous, peer.next?.session]) this.#close(session);
    this.#peers.delete(node);
  }

  /** Derives the keys of the generations that are accepted now, and ends the sessions of others. */
  secretsChanged(): void {
    const { cluster, secrets } = this.#options;
    this.#keys = secrets.current().map((secret) => generationKeys(cluster, secret));
    // Two secrets may be of one generation for a moment: they are told apart by their keys.
    const accepted = new Set(this.#keys.map(({ psk }) => Buffer.from(psk).toString('latin1')));
    for (const peer of this.#peers.values()) {
      const kept = (session: Session | undefined): Session | undefined => {
        if (session === undefined || accepted.has(Buffer.from(session.options.psk).toString('latin1'))) return session;
        this.#close(session);
        return undefined;
      };
      peer.previous = kept(peer.previous);
      peer.current = kept(peer.current);
      if (kept(peer.next?.session) === undefined) peer.next = undefined;
    }
  }

  close(): void {
    this.#closed = true;
    for (const node of this.#peers.keys()) this.end(node);
    for (const { psk, mac, cookie } of this.#keys) for (const key of [psk, mac, cookie]) key.fill(0);
    this.#keys = [];
  }

  #now(): number {
    return this.#options.clock.monotonic();
  }

  #drop(why: string): void {
    this.#options.events.dropped(why);
  }

  #peerOf(node: string): Peer | undefined {
    if (this.#options.peer(node) === undefined || node === this.#options.identity.node) return undefined;
    let peer = this.#peers.get(node);
    if (peer === undefined) {
      peer = {
        current: undefined,
        previous: undefined,
        next: undefined,
        pending: undefined,
        tries: 0,
        lastTries: 0,
        retry: undefined,
        cookie: undefined,
        waiting: [],
        openedAtMs: -Infinity,
        highest: { incarnation: -1, number: -1 },
      };
      this.#peers.set(node, peer);
    }
    return peer;
  }

  /** The session to send by; one that is too old is closed. */
  #usable(peer: Peer): Session | undefined {
    const { current } = peer;
    if (current === undefined || this.#now() - current.options.madeAtMs < endAfterMs) return current;
    this.#close(current);
    peer.current = undefined;
    return undefined;
  }

  #sendBy(session: Session, content: Uint8Array): void {
    this.#options.transport.send(session.endpoint, session.seal(this.#now(), content));
  }

  #close(session: Session | undefined): void {
    if (session === undefined) return;
    this.#byIndex.delete(session.options.localIndex);
    session.close();
  }

  #freeIndex(): number {
    for (;;) {
      const index = this.#options.random.int(maximumIndex);
      if (!this.#byIndex.has(index) && !this.#pendingByIndex.has(index)) return index;
    }
  }

  /** Sends an initiation unless one is on its way, and again until it is answered or given up. */
  #begin(node: string, peer: Peer): void {
    if (peer.pending !== undefined || peer.retry !== undefined) return;
    peer.tries = 0;
    this.#initiate(node, peer);
  }

  #initiate(node: string, peer: Peer): void {
    const { cluster, identity, transport, random } = this.#options;
    const known = this.#options.peer(node);
    const keys = keysOfTry(this.#keys, peer.tries + 1 === maximumTries ? peer.lastTries++ : undefined);
    if (peer.pending !== undefined) this.#pendingByIndex.delete(peer.pending.index);
    peer.pending = undefined;
    peer.retry = undefined;
    if (known === undefined || keys === undefined || this.#closed || peer.tries >= maximumTries) {
      peer.waiting.length = 0;
      return;
    }
    const endpoints = [peer.current?.endpoint, ...known.endpoints()].filter((endpoint) => endpoint !== undefined);
    const endpoint = endpoints[peer.tries % Math.max(1, endpoints.length)];
    const payload = new Writer().bytes(this.#boot).u48(this.#options.incarnation()).u32(this.#initiations++).done();
    const initiation = initiate({
      prologue: prologueOf(cluster, node),
      own: { publicKey: identity.keys.agreement, agree: (key) => identity.agree(key) },
      responder: known.keys.agreement,
      ephemeral: random.bytes(32),
      payload,
    });
    if (initiation === undefined || endpoint === undefined) return;
    const index = this.#freeIndex();
    const head = initiationHead(index, initiation.message);
    const covered = Buffer.concat([head, macOf(keys.mac, node, head)]);
    const cookie = peer.cookie?.endpoint === endpoint ? peer.cookie.bytes : undefined;
    const mac2 = cookie === undefined ? Buffer.alloc(macBytes) : secondMac(cookie, covered);
    const datagram = Buffer.concat([covered, mac2]);
    peer.pending = { index, initiation, datagram, keys, sentAtMs: this.#now(), endpoint };
    this.#pendingByIndex.set(index, node);
    const waitMs = Math.min(longestRetryMs, firstRetryMs * 2 ** peer.tries++);
    peer.retry = this.#options.clock.after(jittered(random, waitMs, 0.2), () => this.#initiate(node, peer));
    transport.expect?.(endpoint);
    transport.send(endpoint, datagram);
    if (peer.tries > 1) this.#options.events.unanswered?.(node, endpoint);
  }

  #takeData(datagram: Uint8Array, from: string): void {
    const found = this.#byIndex.get(indexOf(datagram));
    // A peer that comes from elsewhere is heard too; who has only failed from there is not.
    const known = found?.session.endpoint === from;
    const looked = found !== undefined && (known || this.#gate.strangers.allows(from));
    const opened = looked ? found.session.open(datagram, from) : undefined;
    if (found === undefined || opened === undefined) {
      if (found !== undefined && !known) this.#gate.strangers.failed(from);
      this.#drop('no session opens it');
      return;
    }
    const { node, session } = found;
    const peer = this.#peers.get(node) as Peer;
    // Who goes on with the session before may have lost the present one, or never had it: a copy of it made it.
    if (session !== peer.previous) peer.openedAtMs = this.#now();
    // It is elsewhere now.
    if (!known && session.endpoint === from) this.#options.transport.expect?.(from);
    if (peer.next?.session === session) {
      const { answeredAtMs } = peer.next;
      peer.next = undefined;
      this.#use(peer, session);
      this.#options.events.echoed(node, session.peerBoot, answeredAtMs, opened.stampMs);
    }
    this.#options.events.received(node, opened.content, opened.stampMs, session.peerBoot);
  }

  /** A confirmed session takes the place of the current one, which still receives. */
  #use(peer: Peer, session: Session): void {
    this.#close(peer.previous);
    peer.previous = peer.current;
    peer.current = session;
    if (peer.pending !== undefined) this.#pendingByIndex.delete(peer.pending.index);
    peer.pending = undefined;
    peer.retry?.cancel();
    peer.retry = undefined;
    this.#options.transport.expect?.(session.endpoint);
    // The responder waits for something to confirm the session: an empty content does.
    const waiting = peer.waiting.splice(0);
    if (waiting.length === 0) waiting.push(new Uint8Array());
    for (const content of waiting) this.#sendBy(session, content);
  }

  #takeInitiation(datagram: Uint8Array, from: string): void {
    const { cluster, identity, random, transport, clock } = this.#options;
    if (!this.#gate.strangers.allows(from)) {
      this.#drop('too much that came to nothing from there');
      return;
    }
    const mac1 = datagram.subarray(initiationMac1At, initiationMac2At);
    const covered = datagram.subarray(0, initiationMac1At);
    const keys = this.#keys.find(({ mac }) => sameMac(mac1, macOf(mac, identity.node, covered)));
    if (keys === undefined) {
      this.#gate.strangers.failed(from);
      this.#drop('an initiation of somebody who does not know the cluster’s secret');
      return;
    }
    const admitted = this.#gate.admits(datagram, from, keys);
    if (admitted !== true) {
      this.#gate.strangers.failed(from);
      this.#drop('more initiations than are taken');
      if (admitted !== false) transport.send(from, admitted);
      return;
    }
    const own = { publicKey: identity.keys.agreement, agree: (key: Uint8Array) => identity.agree(key) };
    const received = receive({ prologue: prologueOf(cluster, identity.node), own, message: initiationNoise(datagram) });
    const node = received === undefined ? undefined : this.#options.nodeOf(received.initiator);
    const peer = node === undefined ? undefined : this.#peerOf(node);
    const said =
      received === undefined
        ? undefined
        : decoded(received.payload, (reader) => ({
            boot: reader.bytes(8),
            incarnation: reader.u48(),
            number: reader.u32(),
          }));
    if (received === undefined || node === undefined || peer === undefined || said === undefined) {
      this.#drop('an initiation of somebody who is not admitted');
      return;
    }
    const { highest } = peer;
    const stale = said.incarnation < highest.incarnation;
    if (!stale && said.incarnation === highest.incarnation && said.number <= highest.number) {
      this.#drop('an initiation that came before');
      return;
    }
    // Both open at once: the smaller id stays the initiator, unless its own try has had its time.
    if (!stale && peer.pending !== undefined && identity.node < node && peer.tries <= 2) return;
    const answer = new Writer()
      .u8(stale ? 1 : 0)
      .bytes(this.#boot)
      .u48(stale ? highest.incarnation : 0)
      .u48(Math.floor(this.#now()))
      .done();
    const done = received.answer({ psk: keys.psk, ephemeral: random.bytes(32), payload: answer });
    if (done === undefined) return;
    const localIndex = this.#freeIndex();
    const head = responseHead(localIndex, indexOf(datagram), done.message);
    const response = Buffer.concat([head, macOf(keys.mac, node, head)]);
    if (!stale) {
      peer.highest = { incarnation: said.incarnation, number: said.number };
      this.#close(peer.next?.session);
      const session = this.#make(node, said.boot, done.secrets, keys, indexOf(datagram), localIndex, from, false);
      peer.next = { session, answeredAtMs: clock.monotonic() };
    }
    transport.send(from, response);
  }

  #make(
    node: string,
    boot: Uint8Array,
    secrets: ConstructorParameters<typeof Session>[0]['secrets'],
    { psk }: GenerationKeys,
    remoteIndex: number,
    localIndex: number,
    endpoint: string,
    confirmed: boolean,
  ): Session {
    const { cluster, identity } = this.#options;
    const session = new Session(
      {
        cluster,
        self: { node: identity.node, boot: this.#boot },
        peer: { node, boot: Uint8Array.from(boot) },
        secrets,
        psk,
        remoteIndex,
        localIndex,
        endpoint,
        madeAtMs: this.#now(),
      },
      confirmed,
    );
    this.#byIndex.set(localIndex, { node, session });
    return session;
  }

  #takeResponse(datagram: Uint8Array, from: string): void {
    const node = this.#pendingByIndex.get(responseReceiver(datagram));
    const peer = node === undefined ? undefined : this.#peers.get(node);
    const pending = peer?.pending;
    if (node === undefined || peer === undefined || pending === undefined) {
      this.#drop('a response that nobody waits for');
      return;
    }
    const mac = macOf(pending.keys.mac, this.#options.identity.node, datagram.subarray(0, responseMac1At));
    const finished = sameMac(datagram.subarray(responseMac1At), mac)
      ? pending.initiation.finish(responseNoise(datagram), pending.keys.psk)
      : undefined;
    const said =
      finished === undefined
        ? undefined
        : decoded(finished.payload, (reader) => ({
            status: reader.u8(),
            boot: reader.bytes(8),
            incarnation: reader.u48(),
            stampMs: reader.u48(),
          }));
    if (finished === undefined || said === undefined) {
      this.#drop('a forged response');
      return;
    }
    this.#pendingByIndex.delete(pending.index);
    peer.pending = undefined;
    if (said.status !== 0) {
      this.#options.events.outlived(said.incarnation);
      // While it has not gone above that yet, the next try has its time.
      if (this.#options.incarnation() <= said.incarnation) return;
      peer.retry?.cancel();
      this.#initiate(node, peer);
      return;
    }
    const session = this.#make(
      node,
      said.boot,
      finished.secrets,
      pending.keys,
      indexOf(datagram),
      pending.index,
      from,
      true,
    );
    this.#use(peer, session);
    this.#options.events.echoed(node, session.peerBoot, pending.sentAtMs, said.stampMs);
  }

  #takeCookie(datagram: Uint8Array): void {
    const node = this.#pendingByIndex.get(indexOf(datagram));
    const peer = node === undefined ? undefined : this.#peers.get(node);
    const pending = peer?.pending;
    const cookie = pending === undefined ? undefined : openCookie(datagram.subarray(6), pending.datagram, pending.keys);
    if (node === undefined || peer === undefined || pending === undefined || cookie === undefined) {
      this.#drop('a cookie that nobody waits for');
      return;
    }
    // At the next retry: who asks for a cookie has enough to do.
    peer.cookie = { bytes: cookie, endpoint: pending.endpoint, atMs: this.#now() };
  }
}
