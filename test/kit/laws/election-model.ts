/**
 * A cluster in which only elections happen: every 100 ms each node tells the others its word and looks at what it has heard.
 * Words take one step; cuts, sick tors, pauses and deaths are the caller's. No clock, no chance: actions replay a run.
 */
import * as fc from 'fast-check';

/** One other node, as far as this one has heard. The dead (silent for 4 s, or left) are not told of. */
export interface HeardNode<Word> {
  readonly node: string;
  readonly word: Word;
  readonly heardAtMs: number;
}

export interface ElectionSight<Word> {
  /** This node's monotonic clock, the same that `heardAtMs` is of. */
  readonly nowMs: number;
  /** False while this node could not publish. */
  readonly able: boolean;
  /** How often its publishing has succeeded in this life. While it is elected and nothing is wrong it grows each second. */
  readonly published: number;
  /** True while the operator wants another node to publish. */
  readonly stepDown: boolean;
  readonly others: readonly HeardNode<Word>[];
}

export interface ElectionAnswer<Word, Memory> {
  readonly publisher: string | undefined;
  /** The publisher's; without one the highest known, or 0. */
  readonly epoch: number;
  /** True while this node may publish. */
  readonly elected: boolean;
  /** What it says of itself to the others. */
  readonly word: Word;
  /** What it must find again when it starts again. */
  readonly memory: Memory;
}

/** One node's part from its start on. `memory` is what it kept in its earlier life. Neither changes what it is given. */
export type ElectionRule<Word = unknown, Memory = unknown> = (self: {
  readonly node: string;
  /** The lower comes first. */
  readonly priority: number;
  readonly nowMs: number;
  readonly memory: Memory | undefined;
}) => (sight: ElectionSight<Word>) => ElectionAnswer<Word, Memory>;

export const electionStepMs = 100;
const deadAfterMs = 4_000;

interface Message {
  readonly to: ElectionNode;
  readonly from: ElectionNode;
  readonly word: unknown;
  /** The highest epoch that the sender knows of. */
  readonly known: number;
  /** It has left: whoever hears this looks at it once more. */
  readonly last: boolean;
}

interface Life {
  readonly look: (sight: ElectionSight<unknown>) => ElectionAnswer<unknown, unknown>;
  readonly heard: Map<string, HeardNode<unknown> & Pick<Message, 'known' | 'last'>>;
  answer: ElectionAnswer<unknown, unknown> | undefined;
}

export class ElectionNode {
  readonly node: string;
  readonly priority: number;
  able = true;
  /** Its publishing hangs, and it does not know. */
  stuck = false;
  /** The operator wants another one to publish. */
  stepDown = false;
  published = 0;
  /** Stands still: it neither looks nor speaks, and has heard nothing when it goes on. */
  paused = false;
  /** Nodes of one component hear each other. */
  component = 0;
  life: Life | undefined;
  memory: unknown;
  /** The highest epoch that it has heard of or answered, over all its lives. */
  known = -1;
  /** The epochs in which it has been elected. */
  readonly terms = new Set<number>();

  constructor(node: string, priority: number) {
    this.node = node;
    this.priority = priority;
  }

  get answer(): ElectionAnswer<unknown, unknown> | undefined {
    return this.life?.answer;
  }

  get elected(): boolean {
    return this.answer?.elected === true && !this.paused;
  }
}

type Disturbance = 'ability' | 'pause' | 'life' | 'leave' | 'stuck' | 'stepDown';

export type ElectionAction =
  | { readonly kind: 'cut'; readonly components: readonly number[] }
  | { readonly kind: Disturbance; readonly at: number }
  | { readonly kind: 'wait'; readonly ms: number };

export class ElectionModel {
  readonly nodes: ElectionNode[];
  readonly #rule: ElectionRule;
  /** Called after each step. */
  watch: () => void = () => undefined;
  nowMs = 0;
  #onTheWay: Message[] = [];

  /** One node for each priority, all started. */
  constructor(rule: ElectionRule, priorities: readonly number[]) {
    this.#rule = rule;
    this.nodes = priorities.map((priority, index) => new ElectionNode(`n${index}`, priority));
    for (const node of this.nodes) this.start(node);
  }

  add(priority: number): ElectionNode {
    const node = new ElectionNode(`n${this.nodes.length}`, priority);
    this.nodes.push(node);
    this.start(node);
    return node;
  }

  start(self: ElectionNode): void {
    const { node, priority, memory } = self;
    const look = this.#rule({ node, priority, nowMs: this.nowMs, memory });
    self.life = { look, heard: new Map(), answer: undefined };
    self.published = 0;
  }

  /** Its process is killed. */
  kill(self: ElectionNode): void {
    self.life = undefined;
    self.paused = false;
  }

  /** It stops, and says so. */
  leave(self: ElectionNode): void {
    this.#say(self, true);
    this.kill(self);
  }

  step(): void {
    this.nowMs += electionStepMs;
    const arriving = this.#onTheWay;
    this.#onTheWay = [];
    for (const self of this.nodes) if (!self.paused && self.life !== undefined) this.#look(self, self.life);
    // After the looks: who wakes up decides by what it knew before.
    for (const { to, from, word, known, last } of arriving) {
      if (to.life === undefined || to.paused || to.component !== from.component) continue;
      to.life.heard.set(from.node, { node: from.node, word, heardAtMs: this.nowMs, known, last });
    }
    this.watch();
  }

  run(forMs: number): void {
    for (let ms = 0; ms < forMs; ms += electionStepMs) this.step();
  }

  play(actions: readonly ElectionAction[]): void {
    for (const action of actions) {
      if (action.kind === 'wait') this.run(action.ms);
      else if (action.kind === 'cut') {
        for (const [index, node] of this.nodes.entries()) node.component = action.components[index] ?? 0;
      } else this.#disturb(action.kind, this.nodes[action.at % this.nodes.length] as ElectionNode);
      if (action.kind !== 'wait') this.step();
    }
  }

  /** All up, awake and able; the cuts stay. */
  calm(): void {
    for (const node of this.nodes) {
      node.able = true;
      node.stuck = false;
      node.stepDown = false;
      node.paused = false;
      if (node.life === undefined) this.start(node);
    }
  }

  elected(component?: number): ElectionNode[] {
    return this.nodes.filter((node) => node.elected && (component ?? node.component) === node.component);
  }

  #disturb(kind: Disturbance, node: ElectionNode): void {
    if (kind === 'ability') node.able = !node.able;
    else if (kind === 'stuck') node.stuck = !node.stuck;
    else if (kind === 'stepDown') node.stepDown = !node.stepDown;
    else if (node.life === undefined) this.start(node);
    else if (kind === 'pause') node.paused = !node.paused;
    else if (kind === 'life') this.kill(node);
    else this.leave(node);
  }

  #say(self: ElectionNode, last: boolean): void {
    if (self.answer === undefined) return;
    for (const to of this.nodes) {
      if (to === self || to.component !== self.component) continue;
      this.#onTheWay.push({ to, from: self, word: self.answer.word, known: self.known, last });
    }
  }

  #look(self: ElectionNode, life: Life): void {
    for (const { node, heardAtMs } of life.heard.values()) {
      if (this.nowMs - heardAtMs >= deadAfterMs) life.heard.delete(node);
    }
    const others = [...life.heard.values()].map(({ node, word, heardAtMs }) => ({ node, word, heardAtMs }));
    self.known = Math.max(self.known, ...[...life.heard.values()].map(({ known }) => known));
    const before = self.answer;
    const { able, published, stepDown } = self;
    const answer = life.look({ nowMs: this.nowMs, able, published, stepDown, others });
    life.answer = answer;
    for (const { node, last } of life.heard.values()) if (last) life.heard.delete(node);
    self.memory = answer.memory;
    if (answer.elected && !(before?.elected === true && before.epoch === answer.epoch)) {
      // To go on in a term of its own is no new term.
      if (answer.epoch <= self.known && !self.terms.has(answer.epoch)) {
        throw new Error(`${self.node} begins epoch ${answer.epoch} and knows of epoch ${self.known}`);
      }
      self.terms.add(answer.epoch);
    }
    if (answer.epoch < (before?.epoch ?? 0)) throw new Error(`${self.node} forgot epoch ${before?.epoch}`);
    // 0 without a publisher may mean that there has been none.
    const epoch = answer.epoch > 0 || answer.publisher !== undefined ? answer.epoch : -1;
    self.known = Math.max(self.known, epoch);
    if (answer.elected && self.able && !self.stuck && this.nowMs % 1_000 === 0) self.published++;
    this.#say(self, false);
  }
}

export const arbitraryPriorities: fc.Arbitrary<number[]> = fc.array(fc.integer({ min: 0, max: 2 }), {
  minLength: 1,
  maxLength: 6,
});

const wait = fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 100, max: 9_000 }) });
const at = fc.integer({ min: 0, max: 5 });
const components = fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 6, maxLength: 6 });

const cut = fc.record({ kind: fc.constant('cut' as const), components });
const disturbance = fc.record({
  kind: fc.constantFrom<Disturbance>('ability', 'life', 'leave', 'pause', 'stuck', 'stepDown'),
  at,
});

/** Nodes die, leave, start again, stand still, fall ill, hang, and are told to step down. */
export const arbitraryUncutStory: fc.Arbitrary<ElectionAction[]> = fc.array(fc.oneof(wait, disturbance), {
  maxLength: 14,
});
/** The network falls apart as well. */
export const arbitraryStory: fc.Arbitrary<ElectionAction[]> = fc.array(fc.oneof(wait, disturbance, cut), {
  maxLength: 14,
});
