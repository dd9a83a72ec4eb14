/**
 * Members that go for good and others that come, as an operator does it: `chimera peer remove` on one member, `chimera peer
 * invite` on another, and `chimera join` on a new machine, at the door of any. Each is tried until it is done, whoever dies meanwhile.
 */
import type { Duplex } from 'node:stream';
import type { AdminCommand } from '../../../../core/engine/index.ts';
import { messageOf } from '../../../../core/errors.ts';
import { parseEndpoint, type Endpoint, type Net } from '../../../../core/runtime/index.ts';
import { writeClusterSecrets } from '../../../../plugins/identity/index.ts';
import { keepEpoch } from '../../../../plugins/election/index.ts';
import { joinCluster, parseInvitation, type Joined, type Where } from '../../../../plugins/join/index.ts';
import { keepRoster } from '../../../../plugins/mesh/index.ts';
import type { SeededRandom } from '../seeded-random.ts';
import { endpointOf } from './bus.ts';
import { doorOf, type NodeParts } from './node.ts';
import type { SimulatedNode, World } from './world.ts';

/** A command that is not done by then is given to another member. */
const commandMs = 10_000;
const againMs = 3_000;
/** Of one attempt to join. */
const joinMs = 20_000;

/** Every byte that goes over a stream is told. */
function overheard(net: Net, tell: (bytes: Uint8Array) => void): Net {
  const listenTo = (stream: Duplex): Duplex => {
    const write = stream.write.bind(stream) as (...args: unknown[]) => boolean;
    const push = stream.push.bind(stream) as (...args: unknown[]) => boolean;
    const heard = <T>(chunk: T): T => {
      if (chunk instanceof Uint8Array) tell(chunk);
      return chunk;
    };
    return Object.assign(stream, {
      write: (chunk: unknown, ...rest: unknown[]) => write(heard(chunk), ...rest),
      push: (chunk: unknown, ...rest: unknown[]) => push(heard(chunk), ...rest),
    });
  };
  return { ...net, connect: async (endpoint, signal) => listenTo(await net.connect(endpoint, signal)) };
}

export class Membership {
  readonly #world: World;
  readonly #random: SeededRandom;
  #changing = false;

  constructor(world: World, random: SeededRandom) {
    this.#world = world;
    this.#random = random;
  }

  /** True from a removal on until another has joined. */
  get changing(): boolean {
    return this.#changing;
  }

  #one(): SimulatedNode | undefined {
    const awake = this.#world.awake();
    return awake.length === 0 ? undefined : awake[this.#random.int(awake.length)];
  }

  /** What the command answers; undefined when it fails, or its node dies or stands still. */
  async #run(node: SimulatedNode, name: string, args: Parameters<AdminCommand['run']>[0]): Promise<unknown> {
    const { clock, trace } = this.#world;
    const never = new AbortController().signal;
    const done = node.daemon?.commands.get(name)?.run(args, () => undefined, never);
    try {
      return await Promise.race([done, clock.sleep(commandMs)]);
    } catch (error) {
      trace.line(`${name} on ${node.name}: ${messageOf(error)}`);
      return undefined;
    }
  }

  /** Removes a member, whose daemon goes on as it is. Resolves when the news cannot be lost any more. */
  async remove(node: SimulatedNode): Promise<void> {
    const world = this.#world;
    this.#changing = true;
    world.expel(node);
    for (;;) {
      const remover = this.#one();
      if (remover !== undefined) {
        world.trace.line(`the operator removes ${node.name}, on ${remover.name}`);
        await this.#run(remover, 'peer-remove', { node: node.id });
      }
      const awake = world.awake();
      // Who cannot keep it forgets it with its process.
      const told = awake.filter(
        ({ daemon, parts }) => daemon?.roster?.removed().includes(node.id) === true && !parts.machine.diskFull,
      );
      if (told.length > 0 && told.length >= Math.min(2, awake.length)) break;
      await world.clock.sleep(againMs);
    }
    world.learnRoster();
  }

  /** A new machine knocks until it is let in, and is started. */
  async join(): Promise<void> {
    const world = this.#world;
    const node = await world.addMachine();
    const { directory, identity } = node.parts;
    const joined = await this.#letIn(node);
    await writeClusterSecrets(world.store, `${directory}/cluster_secrets`, joined.secrets, { fresh: true });
    await keepRoster(world.store, directory, joined.roster);
    await keepEpoch(world.store, directory, node.id, joined.epoch);
    world.trace.line(`${node.name} has joined as ${identity.node}`);
    world.enrol(node);
    world.learnRoster();
    this.#changing = false;
    await world.start(node);
  }

  /** Over the service's address where heads lead to the door, else directly at a member's. */
  #door({ tor }: NodeParts, member: SimulatedNode): Where {
    const { proxied, address } = this.#world;
    if (!proxied) return { kind: 'direct', endpoint: parseEndpoint(doorOf(member.parts.machine)) as Endpoint };
    return { kind: 'onion', host: `${address}.onion`, port: 80, socks: tor.socks as Endpoint };
  }

  async #letIn({ name, id, parts }: SimulatedNode): Promise<Joined> {
    const world = this.#world;
    const random = this.#random.fork(`join ${name}`);
    for (;;) {
      const inviter = this.#one();
      const answer = inviter && ((await this.#run(inviter, 'invite', {})) as { invitation: string } | undefined);
      const member = this.#one();
      if (answer !== undefined && member !== undefined) {
        const at = world.proxied ? 'the address' : member.name;
        world.trace.line(`${name} knocks at ${at}, invited by ${inviter?.name}`);
        const invitation = parseInvitation(answer.invitation);
        world.onSecret('the token of an invitation', invitation.token);
        const net = overheard(world.net.host(name), (bytes) => world.onBytes({ from: name, to: member.name, bytes }));
        try {
          return await joinCluster(
            { net, clock: world.clock, random },
            {
              where: this.#door(parts, member),
              invitation,
              identity: parts.identity,
              endpoints: [endpointOf(id)],
              attempts: 2,
              timeoutMs: joinMs,
            },
          );
        } catch (error) {
          world.trace.line(`${name} is not let in: ${messageOf(error)}`);
        }
      }
      await world.clock.sleep(againMs);
    }
  }
}
