/**
 * What others say about others: records, deaths, suspicions. Each is checked by book.ts, makes members.ts move, and is passed on when it is
 * new and small.
 */
import type { MeshChange } from '../../core/engine/index.ts';
import { shuffled, type Clock, type Random } from '../../core/runtime/index.ts';
import { blobOf, type Book } from './book.ts';
import type { Exchange } from './exchange.ts';
import type { Peer } from './members.ts';
import { maximumInlineBytes, type Message, type Suspicion } from './message.ts';
import { closeNodes, type Overlay } from './overlay.ts';
import type { Prober } from './prober.ts';
import type { Pulls } from './pulls.ts';
import { presenceKind } from './record.ts';
import { Bucket } from './session/flood.ts';
import type { Voice } from './voice.ts';

/** What is new is passed on at once to so many, records with values up to this size whole. */
const urgentBytes = 256;
const urgentBranches = 4;
/**
 * In a cluster beyond a close one so much is passed on at once: who is missing, or is not, and what members say of themselves. When
 * all of a thousand say something at a time the rest goes with pings and is found by digests.
 */
const passedAlarms = { burst: 400, perSecond: 20 } as const;
const passedRecords = { burst: 400, perSecond: 2 } as const;
const largestAgeMs = 2 ** 32 - 1;
/** Stand for the several that must have agreed before somebody was found dead. */
const others = ['1', '2', '3', '4'];

export interface News {
  record(from: string, message: Extract<Message, { type: 'record' }>): void;
  death(from: string, message: Extract<Message, { type: 'death' }>): void;
  suspicion(message: Extract<Message, { type: 'suspicion' }>): void;
  /** Somebody, or this node, gets no answer. */
  accuse(node: string, accuser: string, ageMs?: number): void;
  /** It did not refute the suspicion in time. */
  buried(peer: Peer): void;
  /** Spreads what is new and small at once, and with the next pings. */
  passOn(key: string, message: Message, from?: string): void;
}

export function createNews(options: {
  readonly book: Book;
  readonly overlay: Overlay;
  readonly exchange: Exchange;
  readonly pulls: Pulls;
  readonly voice: Voice;
  readonly prober: () => Prober;
  readonly clock: Clock;
  readonly random: Random;
  /** Evidence of so long ago is as good as now. */
  readonly probeTimeoutMs: number;
  readonly changes: MeshChange[];
  readonly tell: () => void;
  readonly send: (node: string, messages: readonly Message[]) => void;
  readonly hasSession: (node: string) => boolean;
  readonly drop: (why: string, from: string) => void;
}): News {
  const { book, overlay, exchange, pulls, voice, prober, clock, random, probeTimeoutMs, changes, tell, send } = options;
  const { members } = book;

  const alarms = new Bucket(clock, passedAlarms);
  const records = new Bucket(clock, passedRecords);
  /** What a node that has left said last goes along: of datagrams the later may be faster, and who has left is no longer heard. */
  const lastWords = (message: Message): Message[] => {
    if (message.type !== 'record' || message.record.kind !== presenceKind) return [];
    const { node } = message.record;
    if (book.presence(node)?.left !== true) return [];
    return book.entries.of(node).flatMap((entry) => {
      if (entry.kind === presenceKind || (entry.bytes?.length ?? Infinity) > urgentBytes) return [];
      return book.messageOf(entry) ?? [];
    });
  };
  const passOn: News['passOn'] = (key, message, from) => {
    exchange.spread(key, message, overlay.size);
    const bucket = message.type === 'record' && message.record.kind !== presenceKind ? records : alarms;
    const before = lastWords(message);
    const reachable = overlay.neighbours.filter((node) => node !== from && options.hasSession(node));
    for (const node of shuffled(random, reachable).slice(0, urgentBranches)) {
      if (overlay.size > closeNodes && !bucket.take()) return;
      send(node, [...before, message]);
    }
  };
  /** A record that is new: whole when it is small, otherwise so that whoever lacks it asks for it. */
  const passRecord = ({ record, value }: Extract<Message, { type: 'record' }>, from: string): void => {
    const told = record.length <= urgentBytes ? value : undefined;
    passOn(`${record.node} ${record.kind}`, { type: 'record', record, value: told }, from);
  };

  /** A neighbour is asked itself; of others the neighbours will tell. */
  const appeared = (node: string): void => {
    tell();
    if (overlay.neighbours.includes(node)) prober().investigate(node);
    else members.trust(node);
  };

  const accuse: News['accuse'] = (node, accuser, ageMs) => {
    const now = clock.monotonic();
    const peer = members.get(node);
    if (peer === undefined) return;
    const silentMs = now - peer.heardAtMs;
    const why = Number.isFinite(silentMs)
      ? `${node} is silent for ${(silentMs / 1_000).toFixed(1)} s`
      : `${node} does not answer`;
    if (!members.suspect(node, accuser, why, now, changes)) return;
    const { incarnation, version } = peer;
    const known = Math.min(ageMs ?? Infinity, silentMs, largestAgeMs);
    const suspicion: Suspicion = { node, incarnation, version, ageMs: known, accuser };
    passOn(`? ${node} ${accuser}`, { type: 'suspicion', suspicion });
    tell();
  };

  return {
    passOn,
    accuse,
    record: (from, message) => {
      const { record, value } = message;
      if (record.node === book.self) {
        voice.own(record);
        return;
      }
      const taken = book.take(record, value, clock.monotonic(), changes);
      if (taken === 'refused') options.drop('a record that no member has signed, or for which there is no room', from);
      if (taken === 'new') {
        if (record.kind === presenceKind) appeared(record.node);
        exchange.progressed();
        // In a close cluster its owner has told all.
        if (record.length <= urgentBytes || overlay.size > closeNodes) passRecord(message, from);
      }
      if (taken !== 'wanted') return;
      // A copy: what came lies in a datagram.
      const header = { ...record, hash: Uint8Array.from(record.hash), signature: Uint8Array.from(record.signature) };
      pulls.fetch(blobOf(record), from, record.length, (bytes) => {
        if (bytes === undefined || book.take(header, bytes, clock.monotonic(), changes) !== 'new') return;
        if (record.kind === presenceKind) appeared(record.node);
        exchange.progressed();
        const told: Message = { type: 'record', record: header, value: undefined };
        if (overlay.size > closeNodes) passRecord(told, from);
        else if (record.length > maximumInlineBytes) {
          exchange.spread(`${record.node} ${record.kind}`, told, overlay.size);
        }
        tell();
      });
    },
    death: (from, message) => {
      const { death } = message;
      if (voice.refuted(death) || !book.isNews(death)) return;
      const now = clock.monotonic();
      const peer = members.get(death.node);
      if (peer !== undefined && peer.state === 'alive' && peer.heardAtMs > now - probeTimeoutMs) {
        // This node knows better, and the one concerned can say so.
        send(death.node, [message]);
        return;
      }
      book.putDeath(death);
      exchange.progressed();
      const why = `${death.node} is dead, as others found`;
      for (const accuser of others) members.suspect(death.node, accuser, why, now, changes);
      passOn(`! ${death.node}`, message, from);
    },
    suspicion: (message) => {
      const { node, incarnation, version, accuser, ageMs } = message.suspicion;
      const peer = members.get(node);
      if (voice.refuted(message.suspicion) || peer?.incarnation !== incarnation || peer.version !== version) return;
      if (!peer.leading && peer.heardAtMs > clock.monotonic() - probeTimeoutMs) send(node, [message]);
      else accuse(node, accuser, ageMs);
    },
    buried: ({ node, incarnation, version }) => {
      const death = { node, incarnation, version };
      book.putDeath(death);
      passOn(`! ${node}`, { type: 'death', death });
    },
  };
}
