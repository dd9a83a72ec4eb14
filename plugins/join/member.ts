/**
 * The member's side of a join: any member may be met, and whoever made the invitation decides. What is refused is refused
 * without a word, after the same work as for anything else that is no right token.
 */
import {
  nodeIdOf,
  type ClusterSecret,
  type ClusterSecrets,
  type DoorAnswer,
  type NodeIdentity,
  type PeerChannel,
  type Roster,
} from '../../core/engine/index.ts';
import { isChimeraError } from '../../core/errors.ts';
import type { Log, Random } from '../../core/runtime/index.ts';
import { sealTo } from '../identity/index.ts';
import type { InvitationBook } from './book.ts';
import { openKnock, type Opened } from './handshake.ts';
import { splitSelector, tokenOf } from './invitation.ts';
import { encodeReply, encodeSecrets, readRequest } from './messages.ts';

/** The topic under which members ask the inviter. */
export const redeemTopic = 'join';
const askLimitMs = 5_000;

export interface MemberSide {
  readonly identity: NodeIdentity;
  readonly secrets: ClusterSecrets;
  readonly roster: Roster;
  readonly channel: PeerChannel | undefined;
  readonly book: InvitationBook;
  readonly random: Random;
  readonly log: Log;
  /** The service's address, with ".onion"; undefined while it is not known. */
  readonly address: () => string | undefined;
  /** The epoch of the publisher, or the highest that is known; undefined without an election. */
  readonly epoch: () => number | undefined;
}

/** What one member asks the inviter: `<id> <node>`. */
const question = (id: string, node: string): Uint8Array => Buffer.from(`${id} ${node}`);

/** Answers other members' questions about this node's invitations. A rejection is a refusal. */
export async function answerMember(book: InvitationBook, bytes: Uint8Array): Promise<Uint8Array> {
  const match = /^([a-z2-7]{16}) ([a-z2-7]{20})$/.exec(Buffer.from(bytes.subarray(0, 64)).toString('latin1'));
  const [, id = '', node = ''] = match ?? [];
  if (match === null || !(await book.redeem(id, node))) throw new Error('no such invitation');
  return Buffer.of(1);
}

/** Whether the one who made the invitation lets `node` in by it. Rejects when that member cannot be asked. */
async function redeemed(side: MemberSide, selector: string, node: string): Promise<boolean> {
  const { id, inviter } = splitSelector(selector);
  if (side.identity.node.startsWith(inviter)) return side.book.redeem(id, node);
  const maker = side.roster.admitted().find((member) => member.node.startsWith(inviter));
  if (maker === undefined || side.channel === undefined) return false;
  await side.channel.ask(maker.node, redeemTopic, question(id, node), askLimitMs);
  return true;
}

export function createDoorAnswer(side: MemberSide): DoorAnswer {
  const { identity, log, random, roster, secrets } = side;
  /** Stands where there is no older generation; it opens nothing. */
  const decoy: ClusterSecret = { generation: 0, secret: random.bytes(32) };

  /** Tries both generations, always: what one of them opens. */
  const open = (selector: string, body: Uint8Array): Opened | undefined => {
    const [newest = decoy, older = decoy] = secrets.current();
    const first = openKnock(tokenOf(newest, selector), selector, body);
    const second = openKnock(tokenOf(older, selector), selector, body);
    return first ?? second;
  };

  return async (selector, body) => {
    const opened = open(selector, body);
    if (opened === undefined) return undefined;
    const request = readRequest(opened.payload, selector, opened.ephemeral);
    const cluster = roster.founder;
    if (request === undefined || cluster === undefined) return undefined;
    const node = nodeIdOf(request.keys.signing);
    try {
      if (!(await redeemed(side, selector, node))) {
        log.warn('a node was not let in: its invitation is used or over', { joiner: node });
        return undefined;
      }
      const known = roster.admitted().some((member) => member.node === node);
      if (!known) roster.admit(request.keys, request.endpoints);
      const subject = { purpose: 'join', about: [cluster, selector] };
      const payload = encodeReply({
        cluster,
        address: side.address() ?? null,
        epoch: side.epoch(),
        responder: identity.keys,
        roster: roster.entries(),
        secrets: sealTo(identity, request.keys, subject, encodeSecrets(secrets.current()), random),
      });
      log.info(known ? 'a member asked again how to join' : 'a node was let in', { joiner: node });
      return opened.answer(payload, random);
    } catch (error) {
      log.warn('a node was not let in', { joiner: node, why: isChimeraError(error) ? error.code : undefined, error });
      return undefined;
    }
  };
}
