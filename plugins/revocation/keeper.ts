/**
 * Brings the members to one secret. Each knows which one it has, offers it to who has an earlier one, and takes a later one;
 * the order of ClusterSecrets makes all settle on the same. The older generation goes once everybody has the newer.
 */
import {
  nodeIdOf,
  type AdmittedNode,
  type ClusterSecrets,
  type NodeIdentity,
  type PeerChannel,
  type Roster,
} from '../../core/engine/index.ts';
import { ChimeraError } from '../../core/errors.ts';
import type { Clock, Log, Random } from '../../core/runtime/index.ts';
import { isLater, largestGeneration, openSealed, sealTo, secretName, type SealSubject } from '../identity/index.ts';
import { decodeMessage, decodeOffer, encodeMessage, encodeOffer, type Message, type Standing } from './message.ts';

const topic = 'cluster-secret';
/** One question of an honest member every few seconds, and some more around a change. */
const answersPerMinute = 60;
const minuteMs = 60_000;
/** A member that says a generation far beyond ours is at fault: nobody removes so many while we are away. */
const longestLeap = 1_000;

export interface Keeper {
  readonly standing: Standing;
  /** Whether this node knows, by itself or from a member, whom the newest secret was made without. After a join it does not at first. */
  readonly sure: boolean;
  /** Admitted others. */
  others(): readonly AdmittedNode[];
  /** Those of them that have not said that they have the newest secret. */
  waiting(): readonly AdmittedNode[];
  /** Compares with one member; true when both have the same afterwards. Never rejects. */
  compare(member: AdmittedNode): Promise<boolean>;
  /** The count of removals that the newest secret was made without, when this node has just made it. */
  made(removals: number): void;
}

export function createKeeper(parts: {
  readonly identity: NodeIdentity;
  readonly secrets: ClusterSecrets;
  readonly roster: Roster;
  readonly channel: PeerChannel;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly askTimeoutMs: number;
  /** As kept from the last run, if it is of the secret that is newest now. */
  readonly removals: number | undefined;
  /** Called after this node's standing changed. */
  readonly changed: () => void;
}): Keeper {
  const { identity, secrets, roster, channel, clock, random, log, askTimeoutMs } = parts;
  /** Which secret each member has, by its own word. */
  const confirmed = new Map<string, string>();
  const asked = new Map<string, number[]>();
  let counted: { readonly name: string; readonly removals: number } | undefined;
  let sureOf = '';

  const newest = () => {
    const [first] = secrets.current();
    if (first === undefined) throw new ChimeraError('ENGINE_CONTRACT', 'there is no cluster secret');
    return first;
  };
  const standing = (): Standing => {
    const first = newest();
    const name = secretName(first);
    if (counted === undefined) {
      counted = { name, removals: parts.removals ?? 0 };
      if (parts.removals !== undefined) sureOf = name;
    }
    // A secret that came by another way, as at a join: nothing is known of whom it was made without.
    if (counted.name !== name) counted = { name, removals: 0 };
    return { generation: first.generation, name, removals: counted.removals };
  };
  /** What it says that it has: not what a restart would make it forget, or the others would drop the one by which it could ask again. */
  const said = (): Standing => {
    const [, older] = secrets.current();
    if (secrets.kept || older === undefined) return standing();
    return { generation: older.generation, name: secretName(older), removals: 0 };
  };
  const count = (removals: number): void => {
    const { name, removals: before } = standing();
    const first = sureOf !== name;
    sureOf = name;
    if (removals <= before && !first) return;
    counted = { name, removals: Math.max(removals, before) };
    parts.changed();
  };

  const others = (): readonly AdmittedNode[] => roster.admitted().filter(({ node }) => node !== identity.node);
  const admitted = (node: string): AdmittedNode | undefined => others().find((each) => each.node === node);
  const subjectOf = (generation: number): SealSubject => ({
    purpose: topic,
    about: [`cluster ${roster.founder}`, `generation ${generation}`],
  });
  const lacks = (mine: Standing, other: Standing): boolean =>
    mine.generation > other.generation || (mine.generation === other.generation && mine.name > other.name);
  /** Until the roster has caught up, somebody whom the others have removed may still look like a member. */
  const mayGive = (): boolean => roster.removed().length >= standing().removals;

  /** This node's standing, with the secret for `member` when it lacks that. */
  const say = (member: AdmittedNode, other: Standing | undefined): Uint8Array => {
    const mine = standing();
    const wanted = other === undefined ? confirmed.get(member.node) !== mine.name : lacks(mine, other);
    if (!wanted || !mayGive()) return encodeMessage(said());
    const offer = encodeOffer({ secret: newest(), removals: mine.removals });
    const sealed = sealTo(identity, member.keys, subjectOf(mine.generation), offer, random);
    offer.fill(0);
    return encodeMessage(mine, sealed);
  };

  /** Takes what `member` says. Throws when it does not hold together. */
  const hear = async (member: AdmittedNode, message: Message): Promise<void> => {
    const mine = standing();
    if (lacks(message, mine) && message.sealed !== undefined) {
      const { generation } = message;
      if (generation > Math.min(largestGeneration, mine.generation + longestLeap)) {
        throw new ChimeraError(
          'SEALED_REFUSED',
          `${member.node} says generation ${generation} after ${mine.generation}`,
        );
      }
      const offer = decodeOffer(openSealed(identity, member.keys, subjectOf(generation), message.sealed));
      if (offer === undefined || secretName(offer.secret) !== message.name || !isLater(offer.secret, newest())) {
        throw new ChimeraError('SEALED_REFUSED', `${member.node} sealed another secret than it said`);
      }
      const kept = secrets.learn(offer.secret);
      count(offer.removals);
      log.info('a later generation of the cluster’s secret', { generation, member: member.node });
      await kept.catch((error: unknown) => log.error('the cluster’s secret cannot be kept', { error }));
      parts.changed();
    }
    confirmed.set(member.node, message.name);
    if (message.name === standing().name) count(message.removals);
  };

  channel.answer(topic, async (from, bytes) => {
    const member = admitted(from);
    const message = decodeMessage(bytes);
    if (member === undefined || message === undefined) {
      throw new ChimeraError('SEALED_REFUSED', `${from} is not admitted, or asks what is no question`);
    }
    const now = clock.monotonic();
    for (const node of asked.keys()) if (admitted(node) === undefined) asked.delete(node);
    const recent = (asked.get(from) ?? []).filter((at) => now - at < minuteMs);
    if (recent.length >= answersPerMinute) throw new ChimeraError('SEALED_REFUSED', `${from} asks too often`);
    asked.set(from, [...recent, now]);
    await hear(member, message);
    return say(member, message);
  });

  return {
    get standing() {
      return standing();
    },
    get sure() {
      return standing().name === sureOf;
    },
    others,
    waiting: () => {
      const { name } = standing();
      for (const node of confirmed.keys()) if (admitted(node) === undefined) confirmed.delete(node);
      return others().filter(({ node }) => confirmed.get(node) !== name);
    },
    compare: async (member) => {
      try {
        const answer = await channel.ask(member.node, topic, say(member, undefined), askTimeoutMs);
        const message = decodeMessage(answer);
        if (message === undefined) throw new ChimeraError('SEALED_REFUSED', 'its answer is none');
        // Removed while it thought about the answer.
        if (admitted(nodeIdOf(member.keys.signing)) === undefined) return false;
        await hear(member, message);
        return message.name === standing().name;
      } catch (error) {
        log.debug('a member does not say which secret it has', { member: member.node, error });
        return false;
      }
    },
    made: count,
  };
}
