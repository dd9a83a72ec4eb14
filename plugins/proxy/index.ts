/**
 * proxy: stands between the heads' virtual port and the operator's target. It passes everything on as it comes, but for
 * requests to `/.rb`, which the door answers; and it knows each client circuit by the line that tor puts before a stream.
 *
 *   splice.ts one stream · scanner.ts where requests begin · door-path.ts which are for the door · door.ts the answer ·
 *   proxy-line.ts tor's line · circuits.ts who comes
 */
import * as v from 'valibot';
import { integer, nonEmpty } from '../../core/config/schema.ts';
import { definePlugin, proxyContract, type DoorAnswer, type Front } from '../../core/engine/index.ts';
import { ChimeraError, messageOf } from '../../core/errors.ts';
import { formatEndpoint, parseEndpoint, type Endpoint, type Listener } from '../../core/runtime/index.ts';
import { createCircuitTable } from './circuits.ts';
import { createDoor } from './door.ts';
import { splice } from './splice.ts';

export { createDoor, parseDoorRequest, type Door } from './door.ts';

const options = v.strictObject({
  /** Where the heads lead: an address of this machine that its tors reach. */
  listen_host: v.optional(nonEmpty, '127.0.0.1'),
  /** Whether requests are followed. `raw` passes all, `/.rb` too. */
  protocol: v.optional(v.picklist(['http', 'raw'], 'must be "http" or "raw"'), 'http'),
  /** Passes tor's PROXY line on to the target. */
  pass_proxy_line: v.optional(v.boolean('must be true or false'), false),
  /** Streams at once, of all clients. */
  max_streams: v.optional(integer(16, 65_536), 4_096),
  /** Circuits remembered when their streams are over. */
  max_circuits: v.optional(integer(16, 1_000_000), 16_384),
});

const name = 'proxy';

/** A HiddenServicePort target: a port alone is one of this machine. */
function endpointOf(target: string): Endpoint {
  const port = /^\d{1,5}$/.test(target) ? Number(target) : undefined;
  return port === undefined ? (parseEndpoint(target) as Endpoint) : { host: '127.0.0.1', port };
}

export const proxy = definePlugin<v.InferOutput<typeof options>>({
  name,
  summary: 'Stands before the operator’s target, keeps /.rb from it, and counts by client circuit.',
  gives: [proxyContract],
  section: name,
  options,
  apply(host, { listen_host, protocol, pass_proxy_line, max_streams, max_circuits }) {
    const { clock, net } = host.runtime;
    const fronts = new Map<string, Promise<Front>>();
    const listeners = new Map<string, Set<Listener>>();
    const circuits = createCircuitTable(() => clock.monotonic(), max_circuits);
    const listening = new Set<(head: string, circuit: string | undefined) => void>();
    const tell = (head: string, circuit: string | undefined): void => {
      for (const listener of listening) listener(head, circuit);
    };
    let answer: DoorAnswer | undefined;
    let open = 0;
    const door = createDoor({ clock, log: host.log, answer: () => answer });

    const openFront = async (head: string, target: string): Promise<Front> => {
      try {
        const listener = await net.listen({ host: listen_host, port: 0 }, (stream) => {
          // Somebody always listens, so that a reset does not end the process.
          stream.on('error', () => undefined);
          if (open >= max_streams) {
            stream.destroy();
            tell(head, undefined);
            return;
          }
          open++;
          stream.once('close', () => open--);
          splice(stream, {
            runtime: { clock, net },
            target: endpointOf(target),
            door,
            http: protocol === 'http',
            passProxyLine: pass_proxy_line,
            count: (id, cut) => {
              tell(head, `${head}#${id}`);
              return circuits.open(head, id, cut);
            },
          }).catch((error: unknown) => {
            host.log.debug('a stream was not taken', { head, error });
            stream.destroy();
          });
        });
        listeners.set(head, (listeners.get(head) ?? new Set()).add(listener));
        return {
          target: formatEndpoint(listener.endpoint),
          settings: [['HiddenServiceExportCircuitID', 'haproxy']],
        };
      } catch (error) {
        throw new ChimeraError('PROXY_LISTEN', `proxy.listen_host = ${listen_host}: ${messageOf(error)}`, {
          remedy: 'name an address of this machine that its tor reaches',
          cause: error,
        });
      }
    };

    host.defer(async () => {
      await Promise.all([...listeners.values()].flatMap((ofHead) => [...ofHead].map((listener) => listener.close())));
    });
    host.give(proxyContract, {
      front: (head, target) => {
        const key = `${head}\n${target}`;
        let front = fronts.get(key);
        if (front === undefined) {
          front = openFront(head, target);
          fronts.set(key, front);
          front.catch(() => fronts.delete(key));
        }
        return front;
      },
      retire: async (head) => {
        for (const key of fronts.keys()) if (key.startsWith(`${head}\n`)) fronts.delete(key);
        const closing = [...(listeners.get(head) ?? [])];
        listeners.delete(head);
        await Promise.all(closing.map((listener) => listener.close()));
      },
      circuits: () => circuits.all(),
      onStream: (listener) => {
        listening.add(listener);
        return () => listening.delete(listener);
      },
      cut: (circuit) => circuits.cut(circuit),
      door: (next) => {
        if (answer !== undefined) throw new ChimeraError('ENGINE_CONTRACT', 'two plugins answer at the door');
        answer = next;
      },
    });
  },
});
export default proxy;
