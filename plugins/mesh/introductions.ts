/**
 * A member whose handshakes are not answered says who has let it in. The other may not have heard of that: whoever had, and could
 * tell, may have died since, and two that know each other by nobody else would never meet.
 *
 *   the tries of a handshake after the first ─► introduce() ─ sealed for the other by the cluster's secret ─► take() ─► the signed admission
 */
import { createHmac } from 'node:crypto';
import { nodeIdOf, type NodeIdentity, type Transport } from '../../core/engine/index.ts';
import { ascii } from '../../core/onion/bytes.ts';
import type { Clock, Random } from '../../core/runtime/index.ts';
import { encodeAdmission, readAdmission, type Admission } from './record.ts';
import type { MemberRoster } from './roster.ts';
import {
  introduction,
  introductionNonce,
  introductionNonceBytes,
  introductionOverhead,
  introductionSealed,
  maximumDatagramBytes,
  typeOf,
} from './session/datagram.ts';
import { Bucket } from './session/flood.ts';
import { labels, type GenerationKeys } from './session/keys.ts';
import { open, seal } from './session/noise.ts';
import { decoded } from './wire.ts';

/** So many are looked at, whoever sent them: a member says it three times in three seconds, by each generation of the secret that it has, and only until it is known. */
export const introductionsTaken = { burst: 32, perSecond: 8 } as const;

/** Of those who let each other in: as many may have come while the other was away. The founder is known to everybody. */
const longestChain = 4;

interface Parts {
  readonly identity: NodeIdentity;
  readonly roster: MemberRoster;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: Random;
}

interface Events {
  /** What another says to be its admission: whose signature it bears is still to be seen. */
  readonly told: (admission: Admission) => void;
  readonly dropped: (why: string) => void;
}

export class Introductions {
  readonly #parts: Parts;
  readonly #keys: () => readonly GenerationKeys[];
  readonly #events: Events;
  readonly #bucket: Bucket;

  /** `keys` are of the generations that are accepted now, the newest first. */
  constructor(parts: Parts, keys: () => readonly GenerationKeys[], events: Events) {
    this.#parts = parts;
    this.#keys = keys;
    this.#events = events;
    this.#bucket = new Bucket(parts.clock, introductionsTaken);
  }

  /** This node's own admission and those of who let each other in before it, the first of them first. */
  #chain(): Admission[] {
    const { identity, roster } = this.#parts;
    const chain: Admission[] = [];
    for (let node = identity.node; chain.length < longestChain; node = nodeIdOf(chain[0]?.signer as Uint8Array)) {
      const admission = roster.admission(node);
      if (admission === undefined || node === roster.cluster) break;
      chain.unshift(admission);
    }
    return chain;
  }

  /** Sends a member what it needs to know this node. */
  introduce(node: string, endpoint: string): void {
    const { random, transport } = this.#parts;
    for (const admission of this.#chain().map(encodeAdmission)) {
      if (admission.length + introductionOverhead > maximumDatagramBytes) continue;
      // By each generation: who was away may not have the newest.
      for (const generation of this.#keys()) {
        const nonce = random.bytes(introductionNonceBytes);
        transport.send(endpoint, introduction(nonce, seal(keyOf(generation, node, nonce), 0, ascii(node), admission)));
      }
    }
  }

  /** False for a datagram of another type. */
  take(datagram: Uint8Array): boolean {
    if (typeOf(datagram) !== 'introduction') return false;
    const { told, dropped } = this.#events;
    if (!this.#bucket.take()) {
      dropped('more introductions than are taken');
      return true;
    }
    const { node } = this.#parts.identity;
    const nonce = introductionNonce(datagram);
    const opened = this.#keys()
      .map((generation) => open(keyOf(generation, node, nonce), 0, ascii(node), introductionSealed(datagram)))
      .find((bytes) => bytes !== undefined);
    const admission = opened === undefined ? undefined : decoded(opened, readAdmission);
    if (admission === undefined) dropped('an introduction by a stranger, or to somebody else');
    else told(admission);
    return true;
  }
}

/** A key for this receiver and nonce alone, so that a counter of zero is used once for it. */
function keyOf({ cookie }: GenerationKeys, receiver: string, nonce: Uint8Array): Buffer {
  return createHmac('sha256', cookie)
    .update(ascii(`${labels.introduction}\0${receiver}`))
    .update(nonce)
    .digest();
}
