/**
 * One head of this node as a possible ghost: its role (rule.ts), the rendezvous it has, which of them it keeps, and what it
 * counts. The plugin tells it what happens; it answers with the circuits that are to be closed.
 */
import {
  learnBackground,
  step,
  suspects,
  type Background,
  type GhostInput,
  type GhostSettings,
  type GhostState,
} from './rule.ts';

/** New rendezvous per second that a shedding head keeps, with as many at once. */
export interface ShedSettings {
  readonly perSecond: number;
}

export class GhostHead {
  state: GhostState = { role: 'idle' };
  /** Told by the publisher: more comes than may be replaced. */
  shedding = false;
  /** Refused since it refuses, or sheds. */
  closed = 0;
  /** Since the role began. */
  introductions = 0;
  background: Background = { seconds: 0, introductions: 0 };
  /** Its open rendezvous; `joined` ones carry a client. */
  readonly #open = new Map<string, 'building' | 'joined'>();
  readonly #settings: GhostSettings & ShedSettings;
  /** Monotonic: since when the role is what it is. */
  #roleSinceMs: number;
  #tokens: number;
  #tokensAtMs: number;

  constructor(settings: GhostSettings & ShedSettings, nowMs: number) {
    this.#settings = settings;
    this.#roleSinceMs = nowMs;
    this.#tokens = settings.perSecond;
    this.#tokensAtMs = nowMs;
  }

  seen(circuit: string): void {
    this.#open.set(circuit, this.#open.get(circuit) ?? 'building');
    this.introductions++;
  }

  /** A rendezvous has been joined: true when it is to be closed. */
  joined(circuit: string, nowMs: number): boolean {
    this.#open.set(circuit, 'joined');
    const refused = this.state.role === 'refusing' || (this.shedding && !this.#admit(nowMs));
    if (refused) this.closed++;
    return refused;
  }

  ended(circuit: string): void {
    this.#open.delete(circuit);
  }

  /** tor is gone, and all its circuits with it. */
  lost(): void {
    this.#open.clear();
  }

  /** What it carries now. */
  get rendezvous(): number {
    let count = 0;
    for (const one of this.#open.values()) if (one === 'joined') count++;
    return count;
  }

  /** True when the role has changed. */
  look(input: GhostInput): boolean {
    const before = this.state;
    this.state = step(before, input, this.#settings);
    if (this.state.role === before.role) return false;
    const took = (input.nowMs - this.#roleSinceMs) / 1_000;
    const calm = !input.besieged && !(before.role === 'draining' && before.besieged);
    if (calm && before.role !== 'live' && before.role !== 'draining') {
      this.background = learnBackground(this.background, took, this.introductions);
    }
    this.#roleSinceMs = input.nowMs;
    this.introductions = 0;
    return true;
  }

  /** Introductions in this role that the background does not explain; none while the head is meant to be found. */
  suspects(nowMs: number): number {
    const { role } = this.state;
    if (role !== 'refusing' && role !== 'idle') return 0;
    return suspects(this.background, (nowMs - this.#roleSinceMs) / 1_000, this.introductions);
  }

  #admit(nowMs: number): boolean {
    const { perSecond } = this.#settings;
    this.#tokens = Math.min(perSecond, this.#tokens + (perSecond * (nowMs - this.#tokensAtMs)) / 1_000);
    this.#tokensAtMs = nowMs;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}
