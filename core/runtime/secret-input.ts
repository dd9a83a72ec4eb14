/**
 * Where a secret may come from without passing through arguments or the environment: a terminal, without echo, or a file
 * descriptor that this process inherited.
 */
import { createReadStream, fstatSync, openSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { ReadStream } from 'node:tty';

export interface SecretInput {
  /**
   * Asks on this process' terminal and reads one line without echo; undefined where there is no terminal. Rejects when it is
   * interrupted (Ctrl-C, Ctrl-D) or too long. The bytes belong to the caller.
   */
  prompt(question: string): Promise<Uint8Array | undefined>;
  /** Reads a file descriptor to its end and closes it; one line break at the end is cut. Rejects when it is not open or too long. */
  descriptor(number: number): Promise<Uint8Array>;
}

/** No passphrase comes near this. */
export const longestSecret = 1_024;
const keys = { interrupt: 3, end: 4, backspace: [8, 127], enter: [10, 13] } as const;

/** Collects bytes in one buffer that is overwritten when it is done. */
function createCollector(): { push(byte: number): void; backspace(): void; take(): Uint8Array; clear(): void } {
  const buffer = new Uint8Array(new ArrayBuffer(longestSecret));
  let length = 0;
  const clear = (): void => {
    buffer.fill(0);
    length = 0;
  };
  return {
    push: (byte) => {
      if (length === longestSecret) throw new Error(`a secret has at most ${longestSecret} bytes`);
      buffer[length++] = byte;
    },
    // A character of UTF-8: its continuation bytes, then the first.
    backspace: () => {
      while (length > 0 && ((buffer[length - 1] ?? 0) & 0xc0) === 0x80) buffer[--length] = 0;
      if (length > 0) buffer[--length] = 0;
    },
    take: () => {
      const bytes = buffer.slice(0, length);
      clear();
      return bytes;
    },
    clear,
  };
}

/** One line from a terminal that is in raw mode. */
function readLine(terminal: ReadStream): Promise<Uint8Array> {
  const collector = createCollector();
  return new Promise((resolve, reject) => {
    const finish = (settle: () => void): void => {
      terminal.off('data', onData);
      terminal.off('error', onError);
      settle();
      collector.clear();
    };
    const onError = (error: Error): void => finish(() => reject(error));
    const onData = (chunk: Buffer): void => {
      try {
        for (const byte of chunk) {
          if (byte === keys.interrupt || byte === keys.end) throw new Error('it was interrupted');
          if ((keys.enter as readonly number[]).includes(byte)) {
            finish(() => resolve(collector.take()));
            return;
          }
          if ((keys.backspace as readonly number[]).includes(byte)) collector.backspace();
          else collector.push(byte);
        }
      } catch (error) {
        onError(error as Error);
      } finally {
        chunk.fill(0);
      }
    };
    terminal.on('data', onData).on('error', onError);
  });
}

/** All of a stream, which ends with it. */
async function readAll(stream: Readable): Promise<Uint8Array> {
  const collector = createCollector();
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      for (const byte of chunk) collector.push(byte);
      chunk.fill(0);
    }
    const bytes = collector.take();
    const end = bytes.at(-1) === 10 ? (bytes.at(-2) === 13 ? 2 : 1) : 0;
    const text = bytes.slice(0, bytes.length - end);
    bytes.fill(0);
    return text;
  } finally {
    collector.clear();
    stream.destroy();
  }
}

export const systemSecretInput: SecretInput = {
  prompt: async (question) => {
    let terminal: ReadStream;
    try {
      // Not standard input, which may be a file.
      terminal = new ReadStream(openSync('/dev/tty', 'r+'));
    } catch {
      return undefined;
    }
    // Before the question: what is typed from then on is not shown.
    terminal.setRawMode(true);
    try {
      process.stderr.write(question);
      return await readLine(terminal);
    } finally {
      terminal.setRawMode(false);
      terminal.destroy();
      process.stderr.write('\n');
    }
  },

  descriptor: async (number) => {
    const kind = fstatSync(number);
    const streams = kind.isFIFO() || kind.isSocket();
    return readAll(streams ? new Socket({ fd: number, writable: false }) : createReadStream('', { fd: number }));
  },
};
