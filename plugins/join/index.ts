/**
 * join: lets invited nodes into the cluster. They knock at the door of any member, over the master address or directly; the
 * member that made the invitation says yes once; the roster gets the admission, the joiner all that it needs.
 *
 *   invitation.ts what the operator hands over · book.ts which are open · handshake.ts, messages.ts what is said ·
 *   member.ts who lets in · joiner.ts who knocks
 */
import * as v from 'valibot';
import { integer, nonEmpty } from '../../core/config/schema.ts';
import {
  adminContract,
  clusterSecretsContract,
  definePlugin,
  electionContract,
  masterContract,
  nodeIdentityContract,
  peerChannelContract,
  proxyContract,
  rosterContract,
  type Json,
} from '../../core/engine/index.ts';
import { ChimeraError, messageOf } from '../../core/errors.ts';
import { parseEndpoint, type Endpoint } from '../../core/runtime/index.ts';
import { createDoor } from '../proxy/index.ts';
import { createBook, keepEveryMs, longestLifeMs } from './book.ts';
import { encodeInvitation, selectorFor, tokenOf } from './invitation.ts';
import { answerMember, createDoorAnswer, redeemTopic } from './member.ts';

export { createBook, invitationsPath, type InvitationBook } from './book.ts';
export { encodeInvitation, parseInvitation, selectorFor, tokenOf, type Invitation } from './invitation.ts';
export { joinCluster, type Joined, type JoinOptions, type Where } from './joiner.ts';

const endpoint = v.pipe(
  nonEmpty,
  v.check((text) => parseEndpoint(text) !== undefined, 'must be host:port or unix:/path'),
  v.transform((text) => parseEndpoint(text) as Endpoint),
);

const options = v.strictObject({
  /** A door of its own, for nodes that do not come over tor. */
  listen: v.optional(endpoint),
  /** How long an invitation is good when nobody says otherwise. */
  expires_secs: v.optional(integer(60, longestLifeMs / 1_000), 86_400),
});

const name = 'join';

export const join = definePlugin<v.InferOutput<typeof options>>({
  name,
  summary: 'Lets invited nodes into the cluster.',
  needs: [nodeIdentityContract, clusterSecretsContract, rosterContract],
  wants: [adminContract, electionContract, masterContract, peerChannelContract, proxyContract],
  section: name,
  options,
  apply(host, { listen, expires_secs }) {
    const { clock, net, random, store } = host.runtime;
    const identity = host.need(nodeIdentityContract);
    const secrets = host.need(clusterSecretsContract);
    const roster = host.need(rosterContract);
    const channel = host.want(peerChannelContract);
    const proxy = host.want(proxyContract);
    const admin = host.want(adminContract);
    const book = createBook({ clock, random, store, stateDirectory: host.stateDirectory });

    const address = (): string | undefined => {
      const known = host.want(masterContract)?.address;
      return known === undefined ? undefined : `${known}.onion`;
    };
    const epoch = (): number | undefined => host.want(electionContract)?.epoch;
    const answer = createDoorAnswer({
      identity,
      secrets,
      roster,
      channel,
      book,
      random,
      log: host.log,
      address,
      epoch,
    });
    proxy?.door(answer);
    channel?.answer(redeemTopic, (_from, question) => answerMember(book, question));

    admin?.command({
      name: 'invite',
      summary: 'Makes an invitation for one node.',
      run: async ({ expiresSecs = expires_secs }): Promise<Json> => {
        const least = 60;
        if (typeof expiresSecs !== 'number' || !(expiresSecs >= least && expiresSecs <= longestLifeMs / 1_000)) {
          throw new ChimeraError('ADMIN_COMMAND', `expiresSecs is a number from ${least} to ${longestLifeMs / 1_000}`);
        }
        const [newest] = secrets.current();
        if (newest === undefined) throw new ChimeraError('ENGINE_CONTRACT', 'there is no cluster secret');
        const selector = selectorFor(await book.make(expiresSecs * 1_000), identity.node);
        const invitation = encodeInvitation({ selector, token: tokenOf(newest, selector) });
        host.log.info('an invitation was made', { id: selector.slice(0, 6), expiresSecs });
        const self = roster.admitted().find(({ node }) => node === identity.node);
        return { invitation, address: address() ?? null, expiresSecs, endpoints: self?.endpoints ?? [] };
      },
    });
    admin?.status('invitations', () =>
      book.open().map(({ id, leftMs, boundTo }) => ({
        id: id.slice(0, 6),
        leftMs: Math.round(leftMs),
        usedBy: boundTo ?? null,
      })),
    );

    host.hooks.start.tapPromise(name, async () => {
      await book.load();
      host.background(async (signal) => {
        for (;;) {
          await clock.sleep(keepEveryMs, signal);
          await book.keep().catch((error: unknown) => host.log.warn('the invitations cannot be kept', { error }));
        }
      });
      if (proxy === undefined) {
        if (listen === undefined) {
          host.log.warn('nobody can join through this node: it has neither the plugin proxy nor join.listen');
        }
        // Joiners come to any head of the cluster.
        const remedy = 'add the plugin proxy, or use preset cluster';
        host.log.warn('requests for /.rb at the heads of this node go to the target', { remedy });
      }
      if (listen === undefined) return;
      const door = createDoor({ clock, log: host.log, answer: () => answer });
      try {
        const listener = await net.listen(listen, (stream) => {
          stream.on('error', () => undefined);
          void door.serve(stream, new Uint8Array(0));
        });
        host.defer(() => listener.close());
      } catch (error) {
        throw new ChimeraError('JOIN_LISTEN', `join.listen cannot be opened: ${messageOf(error)}`, {
          remedy: 'name an address and a port of this machine that are free',
          cause: error,
        });
      }
    });
    host.defer(() => book.keep().catch(() => undefined));
  },
});
export default join;
