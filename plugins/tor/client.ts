/**
 * A client of one tor: everything that the tor contract promises, over one control connection that keeps itself alive (link.ts).
 * Enter at `createTorClient`.
 */
import type { TorClient, TorConnectOptions } from '../../core/engine/contracts/tor.ts';
import { checked, getConf, getInfo, infoValue, refusal, setConf, succeed, wordPattern } from './commands.ts';
import { createConsensusSource } from './consensus-source.ts';
import { createDescriptors } from './descriptors.ts';
import { createLink, type TorRuntime } from './link.ts';

export type { TorRuntime } from './link.ts';

/** Makes a client that connects at once; `close` it. */
export function createTorClient(runtime: TorRuntime, options: TorConnectOptions): TorClient {
  const { client, begin } = createIdleTorClient(runtime, options);
  begin();
  return client;
}

export interface IdleTorClient {
  readonly client: TorClient;
  readonly begin: () => void;
  /** Called with why each attempt to connect failed, or the connection ended. Returns the unsubscriber. */
  readonly onFailure: (listener: (error: Error) => void) => () => void;
}

/** Makes a client that opens nothing before `begin` is called. */
export function createIdleTorClient(runtime: TorRuntime, options: TorConnectOptions): IdleTorClient {
  const link = createLink(runtime, options);
  const log = runtime.log.child({ tor: link.name });
  const consensus = createConsensusSource(link, { clock: runtime.clock, log });
  const descriptors = createDescriptors(link, runtime.clock);

  const client: TorClient = {
    name: link.name,
    get state() {
      return link.state;
    },
    get version() {
      return link.version;
    },
    get lastError() {
      return link.lastError;
    },
    ready: link.ready,
    onState: link.onState,
    onEvent: link.onEvent,
    getInfo: (key) => getInfo(link, key),
    getConf: (option) => getConf(link, option),
    setConf: (settings) => setConf(link, settings),
    signal: async (name) => {
      await succeed(link, `SIGNAL ${checked('signal', name, wordPattern)}`);
    },
    closeCircuit: async (id) => {
      await succeed(link, `CLOSECIRCUIT ${checked('circuit id', id, /^[A-Za-z0-9]{1,16}$/)}`);
    },
    consensus: consensus.current,
    onConsensus: consensus.onChange,
    serviceDescriptor: async (address) => {
      const key = `hs/service/desc/id/${address}`;
      const reply = await link.exchange(`GETINFO ${key}`);
      // "Not found in cache": the service is not there, or has made no descriptor yet.
      if (reply.code === 551 || reply.code === 552) return undefined;
      return infoValue(link, key, reply);
    },
    fetchDescriptor: descriptors.fetch,
    postDescriptor: descriptors.post,
    command: async (line, data) => {
      const reply = await link.exchange(line, data);
      if (reply.code !== 250) throw refusal(link, line.split(' ', 1)[0] ?? '', reply);
      return reply.lines.map((part) => (part.data === undefined ? part.text : `${part.text}\n${part.data}`));
    },
    close: link.close,
  };
  return { client, begin: link.begin, onFailure: link.onFailure };
}
