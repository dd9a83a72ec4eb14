/**
 * How many introductions come through each introduction point. tor tells once a second what each circuit of its own has read
 * (CIRC_BW, control-spec 4.1.22, since 0.2.5); what the circuit of an introduction point reads once it is established are
 * INTRODUCE2 cells, one cell each, whatever the service makes of them. A tor that does not know the event tells nothing, and
 * nothing is concluded. Enter at `watchPoints`; `PointRates` is what it knows, pure.
 */
import type { TorClient, TorEvent } from '../../core/engine/index.ts';
import type { OnionAddress } from '../../core/onion/index.ts';
import { remember } from '../../core/onion/remembered.ts';
import type { Clock } from '../../core/runtime/index.ts';
import { fingerprintOf, introductionCircuit, introductionCircuits, type IntroductionCircuit } from '../tor/index.ts';

/** What C tor counts for a cell that comes in: its payload (CELL_PAYLOAD_SIZE). */
const cellBytes = 509;
/** tor's counter has 32 bits. */
const mostBytes = 2 ** 32 - 1;
/** A rate is smoothed over this long, as long as the detector's fast figure. */
const memoryMs = 3_000;
/** Of one tor: a service has at most 20 points in each of two descriptors. Beyond it the oldest are forgotten. */
const mostCircuits = 1_024;
/** What "most" is, where a verdict says that few points carry it … */
const mostShare = 0.8;
/** … and how many of those it names. */
const named = 3;

/** An introduction point: a relay, with what comes through all circuits of one service there. */
export interface PointRate {
  /** Its fingerprint, 40 hexadecimal digits. */
  readonly relay: string;
  /** Introductions per second, smoothed. */
  readonly perSecond: number;
}

interface Point {
  readonly address: OnionAddress;
  readonly relay: string;
  /** At `atMs`; it fades from then on. */
  perSecond: number;
  atMs: number;
  /** What is told next has the cells that built the circuit in it. */
  building: boolean;
}

const faded = ({ perSecond, atMs }: Point, nowMs: number): number =>
  perSecond * Math.exp(-Math.max(0, nowMs - atMs) / memoryMs);

export class PointRates {
  readonly #points = new Map<string, Point>();

  /** An established circuit. `building`: it has become so since tor told last what it has read. */
  add({ id, relay, address }: IntroductionCircuit, nowMs: number, building: boolean): void {
    const fingerprint = fingerprintOf(relay);
    if (fingerprint === undefined || this.#points.has(id)) return;
    const point: Point = { address, relay: fingerprint, perSecond: 0, atMs: nowMs, building };
    remember(this.#points, id, point, mostCircuits);
  }

  forget(id: string): void {
    this.#points.delete(id);
  }

  clear(): void {
    this.#points.clear();
  }

  /** The fields of a CIRC_BW. Those of other circuits, and what is no such event, change nothing. */
  take({ ID: id = '', READ: read = '' }: TorEvent['fields'], nowMs: number): void {
    const point = this.#points.get(id);
    const bytes = /^\d{1,10}$/.test(read) ? Number(read) : NaN;
    if (point === undefined || !(bytes <= mostBytes)) return;
    const cells = point.building ? 0 : Math.floor(bytes / cellBytes);
    point.perSecond = faded(point, nowMs) + cells / (memoryMs / 1_000);
    point.atMs = nowMs;
    point.building = false;
  }

  /** The points of a service, the one with most first. */
  of(address: OnionAddress, nowMs: number): PointRate[] {
    const rates = new Map<string, number>();
    for (const point of this.#points.values()) {
      if (point.address !== address) continue;
      rates.set(point.relay, (rates.get(point.relay) ?? 0) + faded(point, nowMs));
    }
    return [...rates]
      .map(([relay, perSecond]) => ({ relay, perSecond }))
      .sort((a, b) => b.perSecond - a.perSecond || (a.relay < b.relay ? -1 : 1));
  }
}

/** Says which points carry most when it is less than half of them; undefined when it is spread, or nothing comes. */
export function concentration(points: readonly PointRate[]): string | undefined {
  const total = points.reduce((sum, { perSecond }) => sum + perSecond, 0);
  let few = 0;
  for (let carried = 0; few < points.length && carried < mostShare * total; few++) {
    carried += (points[few] as PointRate).perSecond;
  }
  if (few === 0 || 2 * few >= points.length) return undefined;
  const figures = points
    .slice(0, Math.min(few, named))
    .map(({ relay, perSecond }) => `$${relay.slice(0, 8)}… ${perSecond.toFixed(1)}/s`);
  const more = few > named ? ', …' : '';
  return `mostly at ${few} of ${points.length} introduction points: ${figures.join(', ')}${more}`;
}

export interface PointWatch {
  /** The points of a service of this tor, the one with most first. */
  of(address: OnionAddress): PointRate[];
  release(): void;
}

export function watchPoints(tor: TorClient, clock: Clock): PointWatch {
  const rates = new PointRates();
  /** Circuits that have ended while tor was answering. */
  let ended: Set<string> | undefined;

  const look = async (): Promise<void> => {
    const meanwhile = new Set<string>();
    ended = meanwhile;
    const status = await tor.getInfo('circuit-status').catch(() => '');
    if (ended !== meanwhile) return;
    ended = undefined;
    for (const circuit of introductionCircuits(status)) {
      if (!meanwhile.has(circuit.id)) rates.add(circuit, clock.monotonic(), false);
    }
  };
  const onState = (): void => {
    ended = undefined;
    rates.clear();
    if (tor.state === 'ready') void look();
  };
  const onCircuit = (event: TorEvent): void => {
    const [id = '', status = ''] = event.words;
    const over = status === 'CLOSED' || status === 'FAILED';
    const circuit = over ? undefined : introductionCircuit(event);
    if (circuit !== undefined) rates.add(circuit, clock.monotonic(), true);
    else rates.forget(id);
    if (over && event.fields.PURPOSE === 'HS_SERVICE_INTRO') ended?.add(id);
  };
  const releases = [
    tor.onEvent('CIRC', onCircuit),
    tor.onEvent('CIRC_MINOR', onCircuit),
    tor.onEvent('CIRC_BW', ({ fields }) => rates.take(fields, clock.monotonic())),
    tor.onState(onState),
  ];
  onState();
  return {
    of: (address) => rates.of(address, clock.monotonic()),
    release: () => {
      for (const release of releases) release();
    },
  };
}
