/** What came over each client circuit, in a table of bounded size: those with open streams, and the last of the others. */
import type { CircuitTraffic } from '../../core/engine/index.ts';

interface Entry {
  readonly circuit: string;
  readonly head: string;
  readonly firstAtMs: number;
  lastAtMs: number;
  streams: number;
  bytesIn: number;
  bytesOut: number;
  readonly cuts: Set<() => void>;
}

/** One stream's hold on its circuit's counts. */
export interface StreamCount {
  read(bytes: number): void;
  wrote(bytes: number): void;
  end(): void;
}

export interface CircuitTable {
  /** Counts a stream; `cut` ends it. */
  open(head: string, id: string, cut: () => void): StreamCount;
  all(): readonly CircuitTraffic[];
  cut(circuit: string): number;
}

/** `maximum` circuits are kept when none of their streams is open; the one unused for longest goes first. */
export function createCircuitTable(now: () => number, maximum: number): CircuitTable {
  const entries = new Map<string, Entry>();

  const makeRoom = (): void => {
    if (entries.size < maximum) return;
    for (const [circuit, { cuts }] of entries) {
      if (cuts.size > 0) continue;
      entries.delete(circuit);
      return;
    }
  };

  return {
    open: (head, id, cut) => {
      const circuit = `${head}#${id}`;
      const nowMs = now();
      const known = entries.get(circuit);
      // Its place in the map is that of its last use.
      entries.delete(circuit);
      if (known === undefined) makeRoom();
      const entry: Entry = known ?? {
        circuit,
        head,
        firstAtMs: nowMs,
        lastAtMs: nowMs,
        streams: 0,
        bytesIn: 0,
        bytesOut: 0,
        cuts: new Set(),
      };
      entries.set(circuit, entry);
      entry.streams++;
      entry.lastAtMs = nowMs;
      entry.cuts.add(cut);
      return {
        read: (bytes) => {
          entry.bytesIn += bytes;
          entry.lastAtMs = now();
        },
        wrote: (bytes) => {
          entry.bytesOut += bytes;
          entry.lastAtMs = now();
        },
        end: () => void entry.cuts.delete(cut),
      };
    },
    all: () => [...entries.values()].map(({ cuts, ...entry }) => ({ ...entry, open: cuts.size })),
    cut: (circuit) => {
      const cuts = [...(entries.get(circuit)?.cuts ?? [])];
      for (const cut of cuts) cut();
      return cuts.length;
    },
  };
}
