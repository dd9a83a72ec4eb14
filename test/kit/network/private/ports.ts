/** Free TCP ports on loopback. */
import type { Listener, Runtime } from '../../../../core/runtime/index.ts';

const lowest = 10_240;
const triesPerPort = 200;

/**
 * `count` different ports that nothing listens on. They lie below the range from which the kernel takes the source
 * ports of outgoing connections: twenty tors that connect to each other while they start would else take some of them
 * between this check and the tor that is to listen there, or while a tor restarts.
 */
export async function freePorts(runtime: Runtime, count: number): Promise<number[]> {
  const range = await runtime.store.read('/proc/sys/net/ipv4/ip_local_port_range');
  const ephemeral = range ? Number(Buffer.from(range).toString('utf8').trim().split(/\s+/)[0]) : 32_768;
  const below = ephemeral > lowest + 1_000 ? ephemeral : 65_536;
  const listeners = new Map<number, Listener>();
  try {
    for (let tries = 0; listeners.size < count; tries++) {
      const port = lowest + runtime.random.int(below - lowest);
      if (listeners.has(port)) continue;
      try {
        listeners.set(port, await runtime.net.listen({ host: '127.0.0.1', port }, (stream) => stream.destroy()));
      } catch (error) {
        if (tries > count * triesPerPort) throw error;
      }
    }
    return [...listeners.keys()];
  } finally {
    await Promise.all([...listeners.values()].map((listener) => listener.close()));
  }
}
