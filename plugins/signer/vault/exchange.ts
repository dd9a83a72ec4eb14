/**
 * How members give each other the master key. The asker says a challenge and proves that it knows the newest secret of the
 * cluster, which a removed node does not, even where the news of its removal are late; the answer is the key, sealed to the asker's own agreement key as the roster knows it. Cluster, address, generation, challenge,
 * sender and receiver are associated data, so that no answer serves twice or elsewhere.
 *
 *   question   1 byte version · 4 bytes generation · 16 bytes challenge · 32 bytes HMAC-SHA-256 under that secret
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import type {
  AdmittedNode,
  ClusterSecret,
  ClusterSecrets,
  NodeIdentity,
  PeerChannel,
  Roster,
} from '../../../core/engine/index.ts';
import { ChimeraError } from '../../../core/errors.ts';
import { sameBytes } from '../../../core/onion/bytes.ts';
import { masterKeyFromExpanded, publicKeyOf, type MasterKey, type OnionAddress } from '../../../core/onion/index.ts';
import { shuffled, type Clock, type Log, type Random } from '../../../core/runtime/index.ts';
import { openSealed, sealTo, type SealSubject } from '../../identity/index.ts';

const topic = 'vault';
const version = 1;
const challengeLength = 16;
const proofLength = 32;
const questionLength = 5 + challengeLength + proofLength;
/** An honest node asks each peer once in a while until it has the key. */
const answersPerMinute = 6;
const minuteMs = 60_000;
/** Peers asked at a time. */
const atOnce = 3;

export interface Exchange {
  /** Asks every other member until one gives the key; undefined when none does. */
  ask(signal: AbortSignal): Promise<MasterKey | undefined>;
  /** The others that could be asked. */
  peers(): readonly AdmittedNode[];
}

interface Question {
  readonly generation: number;
  readonly challenge: Uint8Array;
  readonly proof: Uint8Array;
}

function proofOf(
  { generation, secret }: ClusterSecret,
  challenge: Uint8Array,
  asker: string,
  asked: string,
): Uint8Array {
  const about = [`chimera-vault-question ${version}`, String(generation), asker, asked].join('\n');
  return new Uint8Array(createHmac('sha256', secret).update(`${about}\n`).update(challenge).digest());
}

function encodeQuestion({ generation, challenge, proof }: Question): Uint8Array {
  const bytes = Buffer.alloc(questionLength);
  bytes.writeUInt8(version);
  bytes.writeUInt32BE(generation, 1);
  bytes.set(challenge, 5);
  bytes.set(proof, 5 + challengeLength);
  return new Uint8Array(bytes);
}

function decodeQuestion(bytes: Uint8Array): Question | undefined {
  if (bytes.length !== questionLength || bytes[0] !== version) return undefined;
  const generation = Buffer.from(bytes).readUInt32BE(1);
  return { generation, challenge: bytes.slice(5, 5 + challengeLength), proof: bytes.slice(5 + challengeLength) };
}

export function createExchange(parts: {
  readonly identity: NodeIdentity;
  readonly secrets: ClusterSecrets;
  readonly roster: Roster;
  readonly channel: PeerChannel;
  readonly address: OnionAddress;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly askTimeoutMs: number;
  /** The key, when this node has it. */
  readonly key: () => MasterKey | undefined;
}): Exchange {
  const { identity, secrets, roster, channel, address, clock, random, log, askTimeoutMs } = parts;
  /** When each node was answered lately, monotonic milliseconds. The roster bounds it. */
  const answered = new Map<string, number[]>();
  const subjectOf = ({ generation, challenge }: Pick<Question, 'generation' | 'challenge'>): SealSubject => ({
    purpose: topic,
    about: [
      `cluster ${roster.founder}`,
      `${address}.onion`,
      `generation ${generation}`,
      Buffer.from(challenge).toString('hex'),
    ],
  });
  const newest = (): ClusterSecret => {
    const [first] = secrets.current();
    if (first === undefined) throw new ChimeraError('ENGINE_CONTRACT', 'there is no cluster secret');
    return first;
  };
  const admitted = (node: string): AdmittedNode | undefined => roster.admitted().find((each) => each.node === node);
  const refuse = (why: string): ChimeraError => new ChimeraError('VAULT_REFUSED', why);

  channel.answer(topic, async (from, bytes) => {
    const asker = admitted(from);
    const question = decodeQuestion(bytes);
    if (asker === undefined) throw refuse(`${from} is not admitted`);
    if (question === undefined) throw refuse(`${from} asks what is no question`);
    const secret = newest();
    const proof = proofOf(secret, question.challenge, from, identity.node);
    if (question.generation !== secret.generation || !timingSafeEqual(proof, question.proof)) {
      throw refuse(`${from} does not know the newest secret, generation ${secret.generation}`);
    }
    const now = clock.monotonic();
    for (const node of answered.keys()) if (admitted(node) === undefined) answered.delete(node);
    const recent = (answered.get(from) ?? []).filter((at) => now - at < minuteMs);
    if (recent.length >= answersPerMinute) throw refuse(`${from} asks too often`);
    answered.set(from, [...recent, now]);
    const key = parts.key();
    if (key === undefined) throw refuse('this node does not have the key itself');
    log.info('the master key goes to a member, sealed to its key', { member: from });
    return sealTo(identity, asker.keys, subjectOf(question), key.expandedSecret, random);
  });

  /** One peer's answer, checked. Rejects with whatever was wrong. */
  const askOne = async ({ node, keys }: AdmittedNode): Promise<MasterKey> => {
    const challenge = random.bytes(challengeLength);
    const first = newest();
    const { generation } = first;
    const proof = proofOf(first, challenge, identity.node, node);
    const answer = await channel.ask(node, topic, encodeQuestion({ generation, challenge, proof }), askTimeoutMs);
    const subject = subjectOf({ generation, challenge });
    const secret = openSealed(identity, keys, subject, answer);
    try {
      const key = masterKeyFromExpanded(secret);
      if (sameBytes(key.publicKey, publicKeyOf(address))) return key;
      key.expandedSecret.fill(0);
      throw refuse(`${node} gave the key of another service`);
    } finally {
      secret.fill(0);
    }
  };

  const peers = (): AdmittedNode[] => roster.admitted().filter(({ node }) => node !== identity.node);
  return {
    peers,
    ask: async (signal) => {
      let left = shuffled(random, peers());
      while (left.length > 0 && !signal.aborted) {
        const asked = left.slice(0, atOnce);
        left = left.slice(atOnce);
        const results = await Promise.allSettled(asked.map(askOne));
        let found: MasterKey | undefined;
        for (const [index, result] of results.entries()) {
          const member = asked[index]?.node;
          if (result.status === 'rejected')
            log.debug('a member does not give the key', { member, error: result.reason });
          else if (found === undefined) {
            found = result.value;
            log.info('the master key came from a member', { member });
          } else result.value.expandedSecret.fill(0);
        }
        if (found !== undefined) return found;
      }
      return undefined;
    },
  };
}
