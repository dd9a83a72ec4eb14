/** OnionBalance in a process of its own, through `onionbalance_driver.py`. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Sample } from './sample.ts';

const python = '/usr/bin/python3';
const driver = 'test/bench/onionbalance_driver.py';

export interface PeerPublish extends Sample {
  /** Of it in the two revision counters. */
  readonly counters: Sample;
  readonly blindedKeys: readonly string[];
  readonly hsdirs: readonly (readonly string[])[];
}

export interface Peer {
  readonly address: string;
  readonly python: string;
  publish(): Promise<PeerPublish>;
  read(text: string): Promise<Sample>;
  stop(): void;
}

interface Times {
  readonly cpuNs: number;
  readonly wallNs: number;
}

interface Answer extends Times {
  readonly introPoints: number | readonly number[];
}

interface PublishAnswer extends Answer {
  readonly counters: Times;
  readonly blindedKeys: readonly string[];
  readonly hsdirs: readonly (readonly string[])[];
}

const sampleOf = ({ cpuNs, wallNs }: Times): Sample => ({ cpuMs: cpuNs / 1e6, wallMs: wallNs / 1e6 });

/** Starts OnionBalance with a fixture; rejects when it is not installed. */
export async function startPeer(fixturePath: string): Promise<Peer> {
  const child = spawn(python, [driver, fixturePath], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = new Promise<never>((_resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) =>
      reject(new Error(`OnionBalance's functions cannot be run (exit code ${code}): install "onionbalance"`)),
    );
  });
  ended.catch(() => undefined);
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const answer = async (): Promise<unknown> => {
    const line = await Promise.race([lines.next(), ended]);
    if (line.done === true) throw await ended;
    return JSON.parse(line.value);
  };
  const ask = async (request: object): Promise<unknown> => {
    child.stdin.write(`${JSON.stringify(request)}\n`);
    return await answer();
  };
  const hello = (await answer()) as { address: string; python: string };
  return {
    ...hello,
    publish: async () => {
      const { counters, blindedKeys, hsdirs, ...sample } = (await ask({ do: 'publish' })) as PublishAnswer;
      return { ...sampleOf(sample), counters: sampleOf(counters), blindedKeys, hsdirs };
    },
    read: async (text) => sampleOf((await ask({ do: 'read', text })) as Answer),
    stop: () => {
      child.kill();
    },
  };
}
