/**
 * One node's side of the mesh: joins its parts, and decides what comes of each message. Enter at `createMeshNode`.
 *
 *   transport ─► session/ ─► message.ts ─► here ─► book.ts (what is held) · members.ts (who is there) · prober.ts (who answers)
 *                                               · lease-news.ts (who leads) · exchange.ts (what differs) · pulls.ts · channel.ts
 */
import type { ClusterSecrets, MeshChange, NodeIdentity, PeerLife, Transport } from '../../core/engine/index.ts';
import type { Clock, Log, Random, Timer } from '../../core/runtime/index.ts';
import { createBeat } from './beat.ts';
import { blobOf, Book } from './book.ts';
import { createChannel } from './channel.ts';
import { contentsOf, Exchange } from './exchange.ts';
import { Introductions } from './introductions.ts';
import { Leads } from './leads.ts';
import { createLeaseNews } from './lease-news.ts';
import { Members } from './members.ts';
import { decodeContent, type Message } from './message.ts';
import { missingOf } from './missing.ts';
import type { MeshNode, MeshSettings } from './model.ts';
import { createNews } from './news.ts';
import { Observations } from './observations.ts';
import { Overlay } from './overlay.ts';
import { Prober } from './prober.ts';
import { piecesOf, Pulls } from './pulls.ts';
import { hashOf, isEndpoint } from './record.ts';
import { warnOfRemoval, type MemberRoster } from './roster.ts';
import { Sessions } from './session/sessions.ts';
import { Skews } from './skews.ts';
import { createVoice } from './voice.ts';

const forgetMs = 600_000;
const tickMs = 250;
/** A node whose own tick comes so late has stood still. */
const stoodStillMs = 2_000;
/** A leader silent for so many beats is suspect. */
const silentBeats = 4;
/** A sender whose clock has not been compared for so long is asked. */
const staleEchoMs = 45_000;

export function createMeshNode(options: {
  readonly transport: Transport & { readonly endpoints?: readonly string[] };
  readonly identity: NodeIdentity;
  readonly secrets: ClusterSecrets;
  readonly roster: MemberRoster;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly settings: MeshSettings;
  /** Called after each change of the roster, and of where a member is. */
  readonly onRoster: () => void;
}): MeshNode {
  const { transport, identity, secrets, roster, clock, random, log, settings, onRoster } = options;
  const self = identity.node;
  const overlay = new Overlay(self);
  const members = new Members(
    {
      leaderSilentMs: silentBeats * settings.beaconIntervalMs,
      suspicionMs: settings.suspicionMs,
      forgetMs,
    },
    (node, there) => overlay.set(node, there),
  );
  // A later life has a greater number. The clock only orders one node's own lives; a peer that knows better corrects it.
  const book = new Book(identity, roster, members, clock.now());
  const leads = new Leads(roster.cluster);
  const observations = new Observations();
  const skews = new Skews(clock, log);
  const listeners = new Set<(change: MeshChange) => void>();
  let running = false;
  let dropped = 0;
  let tickedAtMs = clock.monotonic();
  let tickTimer: Timer | undefined;
  const releases: (() => void)[] = [];
  /** What has changed and is not told yet. */
  const changes: MeshChange[] = [];

  const drop = (why: string, from?: string): void => {
    dropped++;
    log.debug('a message was dropped', { from, why });
  };

  const tell = (): void => {
    for (const change of changes.splice(0)) for (const listener of listeners) listener(change);
  };

  const endpointsOf = (node: string): string[] => [
    ...new Set([...(book.presence(node)?.endpoints ?? []), ...(roster.get(node)?.endpoints ?? [])]),
  ];
  const sessions = new Sessions({
    cluster: roster.cluster,
    identity,
    secrets,
    transport,
    clock,
    random,
    incarnation: () => book.incarnation,
    peer: (node) => {
      const known = roster.get(node);
      const hints = (): string[] => (transport.hints?.(node) ?? []).filter(isEndpoint);
      const endpoints = (): string[] => [...new Set([...endpointsOf(node), ...hints()])];
      return known && { node, keys: known.keys, endpoints };
    },
    nodeOf: (key) => {
      const node = roster.nodeOf(key);
      return node !== undefined && roster.isMember(node) ? node : undefined;
    },
    events: {
      received: (node, content, stampMs, boot) => receive(node, content, stampMs, boot),
      echoed: (node, boot, sentAtMs, stampMs) => {
        const now = clock.monotonic();
        observations.echo(node, boot, sentAtMs, stampMs, now);
        heard(node, sentAtMs);
        tell();
      },
      outlived: (later) => voice.outlived(later),
      unanswered: (node, endpoint) => introductions.introduce(node, endpoint),
      dropped: (why) => drop(why),
    },
  });
  const introductions = new Introductions(options, () => sessions.keys, {
    told: (admission) => {
      if (book.admit(admission) !== 'new') return;
      rosterChanged([{ type: 'admission', admission }]);
      // It has tried, and waits before it tries again.
      const node = roster.nodeOf(admission.keys.agreement);
      if (node !== undefined) prober.ping(node);
    },
    dropped: (why) => drop(why),
  });
  const send = (node: string, messages: readonly Message[]): void => {
    for (const content of contentsOf(messages)) sessions.send(node, content);
  };
  const exchange = new Exchange(book, clock, random, send);
  const pulls = new Pulls(clock, (from, message) => send(from, [message]));
  const channel = createChannel({
    self,
    clock,
    random,
    pulls,
    isMember: (node) => roster.isMember(node),
    send: (node, message) => send(node, [message]),
    refused: (topic, error) => log.warn('a question of a member was refused', { topic, error }),
  });

  /** What rides on every ping and ack. */
  const carried = (): Message[] => {
    const mine = voice.shown();
    const others = leads.carried(clock.monotonic());
    const leases: Message[] = mine === undefined ? others : [mine, ...others.slice(1)];
    return [...leases, ...exchange.carried()];
  };

  const voice = createVoice({
    book,
    identity,
    clock,
    random,
    log,
    endpoints: () => transport.endpoints ?? [transport.endpoint],
    tell: (messages) => {
      if (!running) return;
      const leaders = members.leaders().map(({ node }) => node);
      for (const node of new Set([...overlay.neighbours, ...leaders])) send(node, messages);
    },
    spread: (key, message) => exchange.spread(key, message, overlay.size),
  });
  const news = createNews({
    book,
    overlay,
    exchange,
    pulls,
    voice,
    prober: () => prober,
    clock,
    random,
    probeTimeoutMs: settings.probeTimeoutMs,
    changes,
    tell,
    send,
    hasSession: (node) => sessions.has(node),
    drop: (why, from) => drop(why, from),
  });

  const prober: Prober = new Prober(
    {
      neighbours: () => overlay.neighbours,
      size: () => overlay.size,
      missing: missingOf(roster, members, self),
      helpers: () => overlay.neighbours.filter((node) => members.get(node)?.state === 'alive' && sessions.has(node)),
      leaders: () => members.leaders(),
      suspects: () => members.suspects().filter((node) => overlay.neighbours.includes(node)),
      heardAtMs: (node) => members.get(node)?.heardAtMs ?? -Infinity,
      send: (node, messages) => send(node, [...messages, ...carried()]),
      renew: (node) => sessions.renew(node),
      doubt: (node) => members.doubt(node),
      suspect: (node) => news.accuse(node, self),
    },
    clock,
    random,
    settings,
  );

  const beat = createBeat({
    self,
    clock,
    intervalMs: settings.beaconIntervalMs,
    voice,
    book,
    roster,
    members,
    overlay,
    hasSession: (node) => sessions.has(node),
    send,
  });

  const heard = (node: string, atMs: number): void => {
    const wasDead = members.get(node)?.state === 'dead';
    members.heard(node, atMs, clock.monotonic(), changes);
    const death = book.entries.get(node, '!');
    // It lives, and others believe that it does not: it alone can refute that.
    if (wasDead && death !== undefined && members.get(node)?.state === 'alive')
      send(node, [book.messageOf(death) as Message]);
  };

  const leaseNews = createLeaseNews({
    book,
    leads,
    overlay,
    exchange,
    clock,
    leading: () => voice.leading,
    heard,
    send,
  });

  const handle = (from: string, message: Message, atMs: number | undefined): void => {
    const now = clock.monotonic();
    switch (message.type) {
      case 'ping':
        send(from, [{ type: 'ack', nonce: message.nonce, wallMs: Math.max(0, Math.floor(clock.now())) }, ...carried()]);
        return;
      case 'ack':
        takeAck(from, message.nonce, message.wallMs);
        return;
      case 'probe':
        if (message.node !== self && roster.isMember(message.node)) prober.probe(from, message.nonce, message.node);
        return;
      case 'probed':
        if (!prober.probed(message.nonce, message.node) || atMs === undefined) return;
        // Of a leader only its own word and its leases count.
        if (members.get(message.node)?.leading !== true) heard(message.node, atMs - message.ageMs);
        return;
      case 'suspicion':
        news.suspicion(message);
        return;
      case 'lease':
        leaseNews.take(from, message, atMs);
        return;
      case 'digest':
        exchange.digest(from, message.digest);
        return;
      case 'summary':
        exchange.summary(from, message.buckets);
        return;
      case 'listing':
        exchange.listing(from, message.keys);
        return;
      case 'want':
        exchange.want(from, message.keys);
        return;
      case 'record':
        news.record(from, message);
        return;
      case 'admission':
        if (book.admit(message.admission) === 'new') rosterChanged([message], from);
        return;
      case 'removal':
        if (book.remove(message.removal, now, changes) === 'new') rosterChanged([message], from);
        return;
      case 'death':
        news.death(from, message);
        return;
      case 'pull': {
        const bytes = blob(from, message.blob);
        if (bytes !== undefined)
          for (const piece of piecesOf(message.blob, bytes, message.indexes)) send(from, [piece]);
        return;
      }
      case 'piece':
        pulls.take(message, from);
        return;
      case 'ask':
      case 'answer':
        channel.take(from, message);
    }
  };

  const takeAck = (from: string, nonce: number, wallMs: number): void => {
    const sentAtMs = prober.ack(from, nonce);
    if (sentAtMs === undefined || arrived === undefined) return;
    const now = clock.monotonic();
    observations.echo(from, arrived.boot, sentAtMs, arrived.stampMs, now);
    heard(from, sentAtMs);
    skews.told(from, wallMs, sentAtMs);
  };

  const blob = (from: string, name: string): Uint8Array | undefined => {
    const [what, node = '', kind = ''] = name.split(':');
    if (what !== 'r') return channel.blob(from, name);
    const entry = book.entries.get(node, kind);
    return entry !== undefined && blobOf(entry) === name ? entry.bytes : undefined;
  };

  let arrived: { readonly boot: string; readonly stampMs: number } | undefined;
  const receive = (from: string, content: Buffer, stampMs: number, boot: string): void => {
    if (!running) return;
    const now = clock.monotonic();
    const atMs = observations.time(from, boot, stampMs, now);
    if (atMs !== undefined) heard(from, atMs);
    if (observations.stale(from, now, staleEchoMs) && content.length > 0) prober.askClock(from);
    const messages = decodeContent(content);
    if (messages === undefined) drop('no messages of the mesh', from);
    arrived = { boot, stampMs };
    for (const message of messages ?? []) {
      if (roster.isMember(from)) handle(from, message, atMs);
      // One after another: the last words of a node count before it is gone.
      tell();
    }
  };

  const rosterChanged = (told: readonly Message[], from?: string): void => {
    book.rosterChanged();
    exchange.progressed();
    for (const message of told) {
      if (message.type === 'removal') {
        const { node } = message.removal;
        if (node === self) warnOfRemoval(log, message.removal);
        members.remove(node, changes, clock.monotonic());
        // Untold it would take the others for dead.
        sessions.end(node, contentsOf([message]));
        leads.forget(node);
        observations.forget(node);
        for (const known of [skews.all, prober.clocksAsked]) known.delete(node);
        news.passOn(`- ${node}`, message, from);
      } else if (message.type === 'admission')
        news.passOn(`+ ${hashOf(message.admission.signature).toString('latin1')}`, message, from);
    }
    onRoster();
    tell();
  };

  const tick = (): void => {
    const now = clock.monotonic();
    if (now - tickedAtMs >= stoodStillMs) members.stoodStill(now);
    tickedAtMs = now;
    for (const peer of members.tick(now, changes)) news.buried(peer);
    tell();
    tickTimer = clock.after(tickMs, tick);
  };

  const lifeOf = (node: string): PeerLife => {
    const state = node === self ? 'alive' : members.get(node)?.state;
    if (state === undefined) return 'joining';
    if (state !== 'alive') return state === 'suspect' ? 'unhealthy' : 'dead';
    const heads = book.entries.get(node, 'heads')?.value;
    return Array.isArray(heads) && heads.length > 0 ? 'healthy' : 'initializing';
  };

  return {
    members: () => {
      const now = clock.monotonic();
      const own = { node: self, state: 'alive' as const, heardAtMs: now, life: lifeOf(self) };
      const others = members.list(now, lifeOf);
      const after = others.findIndex(({ node }) => node > self);
      return others.toSpliced(after === -1 ? others.length : after, 0, own);
    },
    publish: (kind, value) => {
      if (!voice.publish(kind, value)) return;
      changes.push({ node: self, what: 'record', kind });
      tell();
    },
    records: (kind) => book.records(kind),
    record: (kind, node) => book.record(kind, node),
    onChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    get dropped() {
      return dropped;
    },
    lead: (leading) => {
      if (voice.leading === leading) return;
      voice.leading = leading;
      if (running) beat.now();
    },
    said: () => {
      if (book.presence(self) === undefined) voice.say();
      return book.entries.of(self).filter(({ record }) => record !== undefined);
    },
    learn: (entries) => {
      for (const entry of entries) book.adopt(entry, clock.monotonic(), changes);
      tell();
    },
    channel,
    rosterChanged,
    endpointsOf,
    lifeOf,
    skews: () => skews.all,
    get figures() {
      const kept = { pulls: pulls.size, questions: channel.size, clocks: observations.size, leaders: leads.size };
      return { ...sessions.size, ...kept, entries: [...book.entries.nodes()].length };
    },
    start: () => {
      running = true;
      tickedAtMs = clock.monotonic();
      if (book.presence(self) === undefined) voice.say();
      releases.push(
        transport.onMessage((from, bytes) => {
          if (!introductions.take(bytes)) sessions.take(bytes, from);
        }),
        secrets.onChange(() => sessions.secretsChanged()),
      );
      tell();
      prober.start();
      tick();
      if (voice.leading) beat.now();
    },
    leave: () => {
      if (!running) return;
      if (voice.leading) {
        voice.leading = false;
        beat.now();
      }
      voice.leave();
      running = false;
      prober.stop();
      pulls.close();
      channel.close();
      sessions.close();
      voice.close();
      beat.stop();
      tickTimer?.cancel();
      for (const release of releases) release();
    },
  };
}
