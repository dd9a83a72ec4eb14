/** I8: a client's open stream to a head survives elections and publications; it ends with its own head's tor, and not before. */
import type { Duplex } from 'node:stream';
import { messageOf } from '../../../../../core/errors.ts';
import { connectThroughSocks, type Endpoint } from '../../../../../core/runtime/index.ts';
import type { Daemon } from '../node.ts';
import type { SimulatedNode } from '../world.ts';
import { isTorWell, type MakeChecker } from './checker.ts';

const everyMs = 20_000;
const limitMs = 60_000;

export const checkSessions: MakeChecker = ({ world, storm, broken }) => {
  let stream: Duplex | undefined;
  let head: string | undefined;
  let run: unknown;
  let daemon: Daemon | undefined;
  let received = '';
  let asked = 0;
  let answered = 0;
  let askedAtMs = 0;
  let connecting = false;
  let count = 0;

  const nodeOf = (name: string | undefined): SimulatedNode | undefined =>
    world.nodes.find((node) => node.name === name);
  const lost = (why: string): void => {
    const name = head;
    const sameRun = run;
    stream?.destroy();
    stream = undefined;
    head = undefined;
    const node = nodeOf(name);
    if (name === undefined || node === undefined) return;
    // A proxy goes with its daemon, and stands still with it.
    const unproxied = world.proxied && (node.daemon !== daemon || daemon?.life.state !== 'up');
    // A daemon that stops in order takes its head out of its tor.
    const stopped = storm.disturbances.some(({ kind, nodes }) => kind === 'operator' && nodes.includes(name));
    // Its tor is well, and has not been restarted.
    if (!stopped && !unproxied && node.parts.tor.run === sameRun && isTorWell(node)) {
      broken('I8', `the stream to the head of ${name} ${why}, and its tor is well`);
    }
  };
  const connect = async (): Promise<void> => {
    connecting = true;
    try {
      const opened = await connectThroughSocks(
        { net: world.net, clock: world.clock },
        {
          socks: world.client.socks as Endpoint,
          host: `${world.address}.onion`,
          port: 80,
          timeoutMs: limitMs,
          isolation: `session-${count++}`,
        },
      );
      received = '';
      asked = 1;
      answered = 0;
      opened.on('error', () => undefined);
      opened.on('data', (chunk: Buffer) => {
        for (const byte of chunk) if (byte === 0x0a) answered++;
        received = (received + chunk.toString('latin1')).slice(0, 64);
        if (head !== undefined || !received.includes('\n')) return;
        head = received.slice(0, received.indexOf('\n'));
        world.trace.line(`the client is connected to the head of ${head}`);
        const node = nodeOf(head);
        run = node?.parts.tor.run;
        daemon = node?.daemon;
      });
      opened.on('close', () => {
        if (stream === opened) lost('has ended');
      });
      stream = opened;
      opened.resume();
      opened.write('x');
      askedAtMs = world.nowMs;
    } catch (error) {
      // There may be nothing to connect to just now.
      world.trace.line(`the client cannot connect: ${messageOf(error)}`);
    }
    connecting = false;
  };
  return {
    sample: () => {
      if (connecting || world.nowMs - askedAtMs < everyMs) return;
      askedAtMs = world.nowMs;
      if (stream === undefined) {
        void connect();
        return;
      }
      if (answered < asked) {
        const tor = nodeOf(head)?.parts.tor;
        // What stands still answers later.
        const still = tor?.run?.process.frozen === true || (world.proxied && daemon?.life.state === 'paused');
        if (!still) lost('does not answer');
        return;
      }
      stream.write('x');
      asked++;
    },
  };
};
