/** A transport that runs on another machine (agent.ts in a network namespace), as the laws of transports take it. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { ChimeraError, type ErrorCode } from '../../../core/errors.ts';
import type { WireguardOptions } from '../../../plugins/transport/wireguard/index.ts';
import type { TransportNode } from '../../kit/laws/transport.ts';
import type { Call } from './agent.ts';

export interface RemoteTransport extends TransportNode {
  readonly pid: number;
  /** Sends a datagram past the transport, from any port of its machine. */
  raw(host: string, port: number, bytes: Uint8Array): Promise<void>;
  close(): Promise<void>;
  /** What it has logged. */
  said(): string;
  /** Resolves when the process has ended. */
  kill(signal: NodeJS.Signals): Promise<void>;
}

interface Failure {
  readonly code: string;
  readonly message: string;
}
interface Line {
  readonly opened?: string;
  readonly maximumBytes?: number;
  readonly failed?: Failure;
  readonly from?: string;
  readonly bytes?: string;
  readonly id?: number;
  readonly error?: Failure;
}

const agent = fileURLToPath(new URL('agent.ts', import.meta.url));

function errorOf({ code, message }: Failure): Error {
  return code === '' ? new Error(message) : new ChimeraError(code as ErrorCode, message);
}

/** Starts the agent behind `enter`, the beginning of its command line. Rejects with what the transport's opening says. */
export async function startRemoteTransport(
  enter: readonly string[],
  options: WireguardOptions,
): Promise<RemoteTransport> {
  const words = [...enter, process.execPath, '--import', 'tsx', agent, JSON.stringify(options)];
  const child = spawn(words[0] as string, words.slice(1), { stdio: ['pipe', 'pipe', 'pipe'] });
  child.stdin.on('error', () => undefined);
  const ended = new Promise<void>((resolve) => {
    child.once('close', () => resolve());
  });
  const waiting = new Map<number, (error?: Failure) => void>();
  const listeners = new Set<(from: string, bytes: Uint8Array) => void>();
  let said = '';
  let serial = 0;
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));

  const opened = new Promise<Line>((resolve, reject) => {
    let rest = '';
    const take = (line: Line): void => {
      if (line.opened !== undefined) resolve(line);
      else if (line.failed !== undefined) reject(errorOf(line.failed));
      else if (line.id !== undefined) {
        waiting.get(line.id)?.(line.error);
        waiting.delete(line.id);
      } else {
        const bytes = Uint8Array.from(Buffer.from(line.bytes ?? '', 'base64'));
        for (const listener of listeners) {
          try {
            listener(line.from ?? '', bytes);
          } catch {
            // A listener of the laws that throws; the other machine has its own.
          }
        }
      }
    };
    child.stdout.on('data', (chunk: Buffer) => {
      const lines = (rest + chunk.toString()).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) take(JSON.parse(line) as Line);
    });
    void ended.then(() => {
      reject(new Error(`the agent has ended: ${said}`));
      for (const settle of waiting.values()) settle();
      return undefined;
    });
  });
  const call = (words: Omit<Call, 'id'>): Promise<void> =>
    new Promise((resolve, reject) => {
      const id = serial++;
      waiting.set(id, (error) => (error === undefined ? resolve() : reject(errorOf(error))));
      child.stdin.write(`${JSON.stringify({ id, ...words })}\n`);
    });
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

  const { opened: endpoint = '', maximumBytes = 0 } = await opened;
  return {
    pid: child.pid as number,
    endpoint,
    maximumBytes,
    send: (to, bytes) => call({ method: 'send', endpoint: to, bytes: text(bytes) }),
    onMessage: (listener) => {
      const entry = (from: string, bytes: Uint8Array): void => listener(from, bytes);
      listeners.add(entry);
      return () => listeners.delete(entry);
    },
    admit: (admitted) =>
      call({ method: 'admit', admitted: admitted.map(({ node, endpoints }) => ({ node, endpoints })) }),
    raw: (host, port, bytes) => call({ method: 'raw', endpoint: host, port, bytes: text(bytes) }),
    close: () => call({ method: 'close' }),
    said: () => said,
    kill: async (signal) => {
      child.kill(signal);
      await ended;
    },
  };
}
