/**
 * The laws of a transport: what every carrier of datagrams must keep, over whatever it carries them. Enter at
 * `describeTransport` with a site of three transports; `transportLaws` are the same laws one by one, for other test runners.
 *
 * Datagrams may be lost, so what must arrive is sent again until it does; what must not arrive is given the time in which
 * something sent after it has arrived.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AdmittedNode } from '../../../core/engine/index.ts';
import { isChimeraError } from '../../../core/errors.ts';

/** A transport here, or one in another process: then each call is a promise, and what it throws a rejection. */
export interface TransportNode {
  readonly endpoint: string;
  readonly maximumBytes: number;
  send(endpoint: string, bytes: Uint8Array): void | Promise<void>;
  onMessage(listener: (fromEndpoint: string, bytes: Uint8Array) => void): () => void;
  admit?(peers: readonly AdmittedNode[]): void | Promise<void>;
  expect?(endpoint: string): void | Promise<void>;
}

export interface TransportSite {
  /** Three open transports that reach each other; the last is closed by a law. */
  readonly nodes: readonly [a: TransportNode, b: TransportNode, c: TransportNode];
  /** Endpoints of this transport's form at which nobody is. */
  readonly nowhere: readonly string[];
  /** Lets that much time pass. */
  wait(durationMs: number): Promise<void>;
  /** Who is admitted, for transports that want to know. */
  readonly admitted?: readonly AdmittedNode[];
  /** Puts bytes before a node's door that no transport of this kind has sent: raw datagrams, a foreign message on its channel. */
  throwGarbage?(node: TransportNode, bytes: Uint8Array): Promise<void>;
  /** Closes one node as its plugin does at the stop. */
  close(node: TransportNode): Promise<void>;
  /** Ends everything. */
  end(): Promise<void>;
}

export interface TransportLaw {
  readonly name: string;
  /** Throws when the law is broken. */
  readonly check: (site: TransportSite) => Promise<void>;
}

const tries = 250;
const tryMs = 20;

interface Heard {
  readonly from: string;
  readonly bytes: Uint8Array;
}

function hold(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

let serial = 0;
/** Bytes that no other law sends, `length` of them (at least 4). */
function fresh(length = 32): Uint8Array {
  const bytes = new Uint8Array(length);
  new DataView(bytes.buffer).setUint32(0, ++serial);
  for (let at = 4; at < length; at++) bytes[at] = (serial * 31 + at * 7) % 256;
  return bytes;
}

const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

/** Everything that a node hears from now on. */
function listen(node: TransportNode): { readonly heard: Heard[]; readonly stop: () => void } {
  const heard: Heard[] = [];
  const stop = node.onMessage((from, bytes) => heard.push({ from, bytes: Uint8Array.from(bytes) }));
  return { heard, stop };
}

/** Sends until the receiver has it; gives what it heard. */
async function carry(
  site: TransportSite,
  from: TransportNode,
  to: TransportNode,
  bytes = fresh(),
  endpoint = to.endpoint,
): Promise<Heard> {
  const { heard, stop } = listen(to);
  try {
    for (let attempt = 0; attempt < tries; attempt++) {
      await from.send(endpoint, bytes);
      await site.wait(tryMs);
      const got = heard.find((one) => same(one.bytes, bytes));
      if (got !== undefined) return got;
    }
    throw new Error(`${bytes.length} bytes did not arrive at ${endpoint} in ${tries} tries`);
  } finally {
    stop();
  }
}

/** Long enough for whatever was sent before to arrive: both ways have carried something since. */
async function quiet(site: TransportSite): Promise<void> {
  const [a, b] = site.nodes;
  await carry(site, a, b);
  await carry(site, b, a);
  await site.wait(4 * tryMs);
}

/** Endpoints that are none of any transport. */
const nonsense = [
  '',
  ':',
  'nobody',
  'udp',
  'udp:',
  'udp:127.0.0.1',
  'udp:127.0.0.1:0',
  'udp:127.0.0.1:99999',
  'udp:localhost:9',
  'udp:[::1',
  'udp:[fe80::1%lo]:9',
  'udp:255.255.255.255:9',
  'udp:224.0.0.1:9',
  'redis:',
  'redis:*',
  'wireguard:',
  'wireguard:@',
  'memory:',
  'gopher:127.0.0.1:70',
  '\0',
  '\u{1f525}:\r\n',
  'x'.repeat(100_000),
];

export const transportLaws: readonly TransportLaw[] = [
  {
    name: 'the own endpoint is a short printable text with a scheme, the same each time, and nobody else’s',
    check: async ({ nodes }) => {
      for (const node of nodes) {
        const { endpoint } = node;
        hold(/^[a-z][a-z0-9]*:[\x21-\x7e]{1,200}$/.test(endpoint), `${JSON.stringify(endpoint)} is no endpoint`);
        hold(node.endpoint === endpoint, 'it is another when asked again');
      }
      hold(new Set(nodes.map(({ endpoint }) => endpoint)).size === nodes.length, 'two nodes have the same');
    },
  },
  {
    name: 'carries what is sent, whole and unchanged, whatever its size, and takes at least 1,232 bytes',
    check: async (site) => {
      const [a, b] = site.nodes;
      hold(a.maximumBytes >= 1_232, `it takes only ${a.maximumBytes} bytes`);
      for (const size of [4, 5, 255, 256, 1_024, 1_232, a.maximumBytes]) await carry(site, a, b, fresh(size));
      const one = Uint8Array.of(7);
      await carry(site, b, a, one);
    },
  },
  {
    name: 'what is too large is MESH_TOO_LARGE, and nothing of it arrives',
    check: async (site) => {
      const [a, b] = site.nodes;
      const { heard, stop } = listen(b);
      for (const size of [a.maximumBytes + 1, 2 * a.maximumBytes, 100_000]) {
        let thrown: unknown;
        try {
          await a.send(b.endpoint, new Uint8Array(size));
        } catch (error) {
          thrown = error;
        }
        hold(isChimeraError(thrown, 'MESH_TOO_LARGE'), `${size} bytes gave ${String(thrown)}`);
      }
      await quiet(site);
      stop();
      hold(
        heard.every(({ bytes }) => bytes.some((byte) => byte !== 0)),
        'a part of it arrived',
      );
    },
  },
  {
    name: 'an answer to the endpoint that a message came from arrives at its sender',
    check: async (site) => {
      const { nodes } = site;
      for (const [from, to] of [
        [nodes[0], nodes[1]],
        [nodes[1], nodes[0]],
        [nodes[2], nodes[0]],
      ] as const) {
        const got = await carry(site, from, to);
        await carry(site, to, from, fresh(), got.from);
      }
    },
  },
  {
    name: 'only the addressee hears it',
    check: async (site) => {
      const [a, b, c] = site.nodes;
      const { heard, stop } = listen(c);
      const sent = fresh();
      await carry(site, a, b, sent);
      await carry(site, a, c);
      await quiet(site);
      stop();
      hold(!heard.some(({ bytes }) => same(bytes, sent)), 'somebody else heard it');
    },
  },
  {
    name: 'the sender may change its bytes after sending, and the listener those that it was given',
    check: async (site) => {
      const [a, b] = site.nodes;
      const { heard, stop } = listen(b);
      const spoil = b.onMessage((_from, bytes) => bytes.fill(0xee));
      const sent = fresh();
      for (let attempt = 0; attempt < tries && !heard.some(({ bytes }) => same(bytes, sent)); attempt++) {
        const copy = Uint8Array.from(sent);
        await a.send(b.endpoint, copy);
        copy.fill(0xff);
        await site.wait(tryMs);
      }
      stop();
      spoil();
      hold(
        heard.some(({ bytes }) => same(bytes, sent)),
        'what arrived is not what was sent',
      );
      hold(!heard.some(({ bytes }) => bytes.every((byte) => byte === 0xff)), 'what was changed later arrived');
    },
  },
  {
    name: 'who has unsubscribed hears nothing more, and others still do',
    check: async (site) => {
      const [a, b] = site.nodes;
      const first = listen(b);
      const second = listen(b);
      first.stop();
      first.stop();
      const sent = fresh();
      await carry(site, a, b, sent);
      second.stop();
      hold(first.heard.length === 0, 'it was told after it had unsubscribed');
      hold(
        second.heard.some(({ bytes }) => same(bytes, sent)),
        'the other listener was not told',
      );
    },
  },
  {
    name: 'a listener that throws harms neither the others nor the transport',
    check: async (site) => {
      const [a, b] = site.nodes;
      const stop = b.onMessage(() => {
        throw new Error('a listener of a conformance suite');
      });
      try {
        await carry(site, a, b);
      } finally {
        stop();
      }
      await carry(site, a, b);
    },
  },
  {
    name: 'sending to nobody, to nonsense or to oneself throws nothing and harms nothing',
    check: async (site) => {
      const [a, b] = site.nodes;
      for (const endpoint of [...nonsense, ...site.nowhere, a.endpoint, `${b.endpoint}x`, ` ${b.endpoint}`]) {
        for (const bytes of [new Uint8Array(), fresh(), fresh(a.maximumBytes)]) {
          try {
            await a.send(endpoint, bytes);
          } catch (error) {
            throw new Error(`sending to ${JSON.stringify(endpoint.slice(0, 80))} throws ${String(error)}`, {
              cause: error,
            });
          }
        }
      }
      await quiet(site);
    },
  },
  {
    name: 'an empty datagram is none',
    check: async (site) => {
      const [a, b] = site.nodes;
      const { heard, stop } = listen(b);
      await a.send(b.endpoint, new Uint8Array());
      await quiet(site);
      stop();
      hold(!heard.some(({ bytes }) => bytes.length === 0), 'it arrived');
    },
  },
  {
    name: 'a flood to nobody does not keep honest datagrams back',
    check: async (site) => {
      const [a] = site.nodes;
      const bytes = fresh(a.maximumBytes);
      for (let count = 0; count < 5_000; count++) {
        await a.send(site.nowhere[count % site.nowhere.length] as string, bytes);
      }
      await quiet(site);
    },
  },
  {
    name: 'garbage before the door is not taken for a datagram if it cannot be one, and the node goes on',
    check: async (site) => {
      const [, b] = site.nodes;
      if (site.throwGarbage === undefined) return;
      const { heard, stop } = listen(b);
      for (const size of [0, 1, 2, 3, 30, 300, 1_232, 1_233, 4_000, 9_000]) {
        for (const fill of [0x00, 0x41, 0xff]) await site.throwGarbage(b, new Uint8Array(size).fill(fill));
      }
      await quiet(site);
      stop();
      const wrong = heard.find(({ bytes }) => bytes.length === 0 || bytes.length > b.maximumBytes);
      hold(wrong === undefined, `${wrong?.bytes.length} bytes were taken for a datagram`);
      hold(
        heard.every(({ from }) => /^[a-z][a-z0-9]*:[\x21-\x7e]{1,200}$/.test(from)),
        'it came from nowhere',
      );
    },
  },
  {
    name: 'who is admitted may be anybody: nonsense among them throws nothing and harms nothing',
    check: async (site) => {
      const [a, b] = site.nodes;
      if (a.admit === undefined || b.admit === undefined) return;
      const key = new Uint8Array(32).fill(9);
      const stranger: AdmittedNode = {
        node: 'stranger',
        keys: { signing: key, agreement: key },
        endpoints: [...nonsense, ...site.nowhere, b.endpoint],
        admittedBy: 'stranger',
      };
      const { admitted = [] } = site;
      await a.admit([...admitted, stranger, stranger]);
      await quiet(site);
      await a.admit([stranger, ...admitted]);
      await quiet(site);
      await a.admit(admitted);
    },
  },
  {
    name: 'whom a node expects is heard as everybody is, and everybody else too; nonsense and nobody are expected in vain',
    check: async (site) => {
      const [a, b, c] = site.nodes;
      if (a.expect === undefined) return;
      const { from } = await carry(site, b, a);
      // More than once, and among more than anything keeps apart: what was expected first is forgotten.
      for (const endpoint of [from, ...nonsense, ...site.nowhere, a.endpoint, from, b.endpoint])
        await a.expect(endpoint);
      const { heard, stop } = listen(a);
      const [expected, stranger] = [fresh(), fresh()];
      hold((await carry(site, b, a, expected)).from === from, 'it comes from elsewhere now');
      await carry(site, c, a, stranger);
      for (let count = 1; count <= 100; count++) {
        await a.expect(from.replace(/:\d+$/, `:${20_000 + count}`));
      }
      await carry(site, b, a);
      await carry(site, a, b, fresh(), from);
      await quiet(site);
      stop();
      hold(
        heard.every(({ bytes }) => bytes.length >= 4),
        'something came that nobody sent',
      );
    },
  },
  {
    name: 'closed: hears and sends nothing, throws nothing, may be closed again, and the others go on',
    check: async (site) => {
      const [a, b, c] = site.nodes;
      const { endpoint } = c;
      const atA = listen(a);
      const atC = listen(c);
      await site.close(c);
      await site.close(c);
      await c.expect?.(a.endpoint);
      atA.heard.length = 0;
      atC.heard.length = 0;
      const [out, back] = [fresh(), fresh()];
      for (let count = 0; count < 3; count++) {
        await c.send(a.endpoint, out);
        await a.send(endpoint, back);
        await site.wait(tryMs);
      }
      await carry(site, a, b);
      await carry(site, b, a);
      await site.wait(4 * tryMs);
      atA.stop();
      atC.stop();
      hold(!atA.heard.some(({ bytes }) => same(bytes, out)), 'it still sends');
      hold(!atC.heard.some(({ bytes }) => same(bytes, back)), 'it still hears');
    },
  },
];

/** Declares one test a law, in order, over one site. */
export function describeTransport(name: string, open: () => Promise<TransportSite>): void {
  describe(`transport ${name}`, () => {
    let site: TransportSite;
    beforeAll(async () => {
      site = await open();
    });
    afterAll(() => site?.end());
    test.each(transportLaws)('$name', async (law) => {
      await expect(law.check(site)).resolves.toBeUndefined();
    });
  });
}
