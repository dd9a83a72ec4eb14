/** Asynchronous events on their way to control connections. */

export const eventNames = [
  'CIRC',
  'CIRC_MINOR',
  'STREAM',
  'ORCONN',
  'BW',
  'DEBUG',
  'INFO',
  'NOTICE',
  'WARN',
  'ERR',
  'NEWDESC',
  'ADDRMAP',
  'DESCCHANGED',
  'NS',
  'STATUS_GENERAL',
  'STATUS_CLIENT',
  'STATUS_SERVER',
  'GUARD',
  'STREAM_BW',
  'CLIENTS_SEEN',
  'NEWCONSENSUS',
  'BUILDTIMEOUT_SET',
  'GOT_SIGNAL',
  'SIGNAL',
  'CONF_CHANGED',
  'CONN_BW',
  'CELL_STATS',
  'CIRC_BW',
  'TRANSPORT_LAUNCHED',
  'HS_DESC',
  'HS_DESC_CONTENT',
  'NETWORK_LIVENESS',
] as const;

export type EventName = (typeof eventNames)[number];

export interface EventListener {
  wants(name: EventName): boolean;
  /** `text` is the whole event as it goes over the wire. */
  send(text: string): void;
}

export class EventBus {
  readonly #listeners = new Set<EventListener>();

  add(listener: EventListener): void {
    this.#listeners.add(listener);
  }

  remove(listener: EventListener): void {
    this.#listeners.delete(listener);
  }

  /** Whether anybody listens. */
  wanted(name: EventName): boolean {
    for (const listener of this.#listeners) if (listener.wants(name)) return true;
    return false;
  }

  /** `format` is called only when somebody listens. It gives one or more lines, each without its CR LF. */
  emit(name: EventName, format: () => string | readonly string[]): void {
    let text: string | undefined;
    for (const listener of this.#listeners) {
      if (!listener.wants(name)) continue;
      if (text === undefined) {
        const formatted = format();
        text = `${typeof formatted === 'string' ? formatted : formatted.join('\r\n')}\r\n`;
      }
      listener.send(text);
    }
  }
}

/** CmdData of control-spec: dots doubled, CR LF at every end of line, the closing dot. No CR LF after it. */
export function dataLines(text: string): string[] {
  const lines = text.split(/\r?\n/);
  if (lines.at(-1) === '') lines.pop();
  return [...lines.map((line) => (line.startsWith('.') ? `.${line}` : line)), '.'];
}
