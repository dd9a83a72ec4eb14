/** The terminal that a command talks to: the process' own streams here, lists of lines in a test. */
import { createInterface } from 'node:readline/promises';
import kleur from 'kleur';
import { ChimeraError } from '../errors.ts';
import { exitCodes } from './exit.ts';

export interface Terminal {
  /** Whether text may carry colours. */
  readonly colours: boolean;
  /** Writes to standard output. */
  write(text: string): void;
  /** Writes to standard error. */
  writeError(text: string): void;
  /** True when standard output is a screen that can be painted anew. */
  readonly screen: boolean;
  /** True when standard error is a screen: a line of progress may be painted anew on it. */
  readonly progress?: boolean;
  /** How wide the screen is, characters; undefined when standard output is none. */
  readonly columns?: number | undefined;
  /** Asks the person at the terminal; false when the answer is anything but yes, or nobody is there. */
  confirm(question: string): Promise<boolean>;
  /** All of standard input. Rejects with CLI_FILE when it has more than `limitBytes`. */
  readInput(limitBytes: number): Promise<Uint8Array>;
}

/**
 * The streams of this process. A reader that goes away early (`| head`) ends the process in silence, as with other tools:
 * in order, when the command has something to take back at SIGTERM. Output that cannot be written (a full disk) is an error
 * of the command; a log that cannot be written ends no node.
 */
export function systemTerminal(): Terminal {
  let readerGone = false;
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') {
        if (stream === process.stderr) return;
        process.stderr.write(
          `error CLI_FILE: standard output cannot be written: ${error.message}\nfix: make room there, or send it elsewhere\n`,
        );
        process.exit(exitCodes.usage);
      }
      if (readerGone) return;
      readerGone = true;
      if (!process.emit('SIGTERM')) process.exit(0);
    });
  }
  return {
    colours: kleur.enabled,
    screen: process.stdout.isTTY,
    progress: process.stderr.isTTY,
    get columns() {
      return process.stdout.isTTY ? process.stdout.columns : undefined;
    },
    confirm: async (question) => {
      if (!process.stdin.isTTY) return false;
      const asking = createInterface({ input: process.stdin, output: process.stderr });
      const answer = await asking.question(`${question} [y/N] `);
      asking.close();
      return /^y(es)?$/i.test(answer.trim());
    },
    write: (text) => void process.stdout.write(text),
    writeError: (text) => void process.stderr.write(text),
    readInput: async (limitBytes) => {
      const chunks: Uint8Array[] = [];
      let length = 0;
      for await (const chunk of process.stdin as AsyncIterable<Uint8Array>) {
        chunks.push(chunk);
        length += chunk.length;
        if (length > limitBytes) {
          throw new ChimeraError('CLI_FILE', `standard input has more than ${limitBytes} bytes`, {
            remedy: 'give the file that the command asks for',
          });
        }
      }
      return new Uint8Array(Buffer.concat(chunks));
    },
  };
}
