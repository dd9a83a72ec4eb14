/**
 * A tor's control port: reads commands, one after another, and writes replies and events. What the commands mean is in
 * control-commands.ts.
 *
 *   connected → (PROTOCOLINFO, AUTHCHALLENGE) → AUTHENTICATE → open
 */
import type { Duplex } from 'node:stream';
import type { TorContext } from './context.ts';
import { ControlAuthentication, type Credentials } from './control-auth.ts';
import { ControlCommands } from './control-commands.ts';
import type { EventListener, EventName } from './event-bus.ts';
import type { ControlledTor } from './controlled-tor.ts';
import { torVersion } from './network-status.ts';

const longestCommand = 1024 * 1024;

export function serveControl(context: TorContext, tor: ControlledTor, credentials: Credentials, socket: Duplex): void {
  new ControlConnection(context, tor, credentials, socket).start();
}

class ControlConnection implements EventListener {
  readonly #context: TorContext;
  readonly #authentication: ControlAuthentication;
  readonly #commands: ControlCommands;
  readonly #socket: Duplex;
  #received = '';
  #open = false;
  #closing = false;
  #events: ReadonlySet<EventName> = new Set();
  /** Commands are answered in order, also when one of them takes its time. */
  #turn: Promise<void> = Promise.resolve();

  constructor(context: TorContext, tor: ControlledTor, credentials: Credentials, socket: Duplex) {
    this.#context = context;
    this.#socket = socket;
    this.#authentication = new ControlAuthentication(credentials, context.random);
    this.#commands = new ControlCommands(context, tor, {
      subscribe: (events) => {
        this.#events = events;
      },
      sendNow: (line) => this.#send([line]),
    });
  }

  start(): void {
    const { process, events } = this.#context;
    const leave = process.atEnd(() => this.#socket.destroy());
    events.add(this);
    this.#socket.on('error', () => undefined);
    this.#socket.once('close', () => {
      leave();
      events.remove(this);
      process.run(() => this.#commands.connectionClosed());
    });
    this.#socket.on('data', (chunk: Buffer) => process.run(() => this.#take(chunk.toString('latin1'))));
  }

  wants(name: EventName): boolean {
    return this.#open && !this.#closing && this.#events.has(name);
  }

  send(text: string): void {
    if (!this.#socket.destroyed && this.#socket.writable) this.#socket.write(text, 'latin1');
  }

  #send(lines: readonly string[]): void {
    this.send(lines.map((line) => `${line}\r\n`).join(''));
  }

  #close(): void {
    this.#closing = true;
    this.#socket.end();
  }

  #take(text: string): void {
    this.#received += text;
    while (!this.#closing) {
      const command = this.#nextCommand();
      if (command === undefined) break;
      this.#turn = this.#turn.then(() => this.#answer(command.line, command.data));
    }
    if (this.#received.length > longestCommand) {
      this.#send(['500 Line too long.']);
      this.#close();
    }
  }

  /** A whole command, or undefined while it is not all there. One that begins with `+` goes on to a line with a dot. */
  #nextCommand(): { readonly line: string; readonly data: string | undefined } | undefined {
    const end = this.#received.indexOf('\n');
    if (end < 0) return undefined;
    const line = this.#received.slice(0, end).replace(/\r$/, '');
    if (!line.startsWith('+')) {
      this.#received = this.#received.slice(end + 1);
      return { line, data: undefined };
    }
    const dot = /(?:^|\n)\.\r?\n/.exec(this.#received.slice(end));
    if (dot === null) return undefined;
    const body = this.#received.slice(end + 1, end + dot.index + 1);
    this.#received = this.#received.slice(end + dot.index + dot[0].length);
    return { line, data: body.replace(/\r\n/g, '\n').replace(/^\./gm, '') };
  }

  async #answer(line: string, data: string | undefined): Promise<void> {
    if (this.#closing || this.#socket.destroyed || this.#context.process.ended) return;
    const at = line.search(/[ \t]/);
    const name = at < 0 ? line : line.slice(0, at);
    const argument = at < 0 ? '' : line.slice(at + 1).trim();
    switch (name.toUpperCase()) {
      case 'QUIT':
        this.#send(['250 closing connection']);
        this.#close();
        return;
      case 'PROTOCOLINFO': {
        const bad = argument.split(/\s+/).find((word) => word !== '' && !/^\d+$/.test(word));
        if (bad === undefined) this.#send(this.#authentication.protocolInfo(torVersion));
        else this.#send([`513 No such version "${bad}"`]);
        if (bad !== undefined && !this.#open) this.#close();
        return;
      }
      case 'AUTHCHALLENGE':
      case 'AUTHENTICATE': {
        const reply =
          name.toUpperCase() === 'AUTHENTICATE'
            ? this.#authentication.authenticate(argument)
            : this.#authentication.challenge(argument);
        this.#send([reply.line]);
        if (reply.authenticated) this.#open = true;
        if (reply.close) this.#close();
        return;
      }
      default:
    }
    if (!this.#open) {
      this.#send(['514 Authentication required.']);
      this.#close();
      return;
    }
    const reply = await this.#commands.run(name, argument, data);
    this.#context.process.run(() => this.#send(reply));
  }
}
