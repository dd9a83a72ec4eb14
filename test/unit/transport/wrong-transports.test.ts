/** The laws of a transport catch what is wrong: each transport below breaks one thing, and must not pass. */
import { describe, expect, test } from 'vitest';
import { ChimeraError } from '../../../core/errors.ts';
import { transportLaws, type TransportNode, type TransportSite } from '../../kit/laws/transport.ts';

type Listener = (from: string, bytes: Uint8Array) => void;

/** What one node of a wrong transport does otherwise. */
interface Flaws {
  readonly maximumBytes?: number;
  readonly copy?: boolean;
  readonly refusal?: 'none' | 'cut' | 'uncoded';
  readonly from?: (endpoint: string) => string;
  readonly toEverybody?: boolean;
  readonly keepsListeners?: boolean;
  readonly deafWhenClosed?: boolean;
  readonly silentWhenClosed?: boolean;
  readonly throwsForNobody?: boolean;
  readonly carriesNothingness?: boolean;
  readonly believesGarbage?: boolean;
  readonly diesOfListeners?: boolean;
  readonly largest?: number;
  readonly queue?: number;
  readonly scheme?: string;
  readonly throwsOnAdmit?: boolean;
  readonly hearsOnlyExpected?: boolean;
}

class WrongNode implements TransportNode {
  readonly endpoint: string;
  readonly maximumBytes: number;
  readonly #listeners: Listener[] = [];
  readonly #net: Map<string, WrongNode>;
  readonly #flaws: Flaws;
  #open = true;
  #dead = false;
  #expected: string | undefined;
  #sentToNobody = 0;

  constructor(endpoint: string, net: Map<string, WrongNode>, flaws: Flaws) {
    this.endpoint = endpoint;
    this.maximumBytes = flaws.maximumBytes ?? 1_232;
    this.#net = net;
    this.#flaws = flaws;
    net.set(endpoint, this);
  }

  send(endpoint: string, bytes: Uint8Array): void {
    const { refusal, copy = true, toEverybody, throwsForNobody, silentWhenClosed = true, largest, queue } = this.#flaws;
    let data = bytes;
    if (bytes.length > this.maximumBytes) {
      if (refusal === 'none') return;
      if (refusal === 'uncoded') throw new Error('too large');
      if (refusal === 'cut') data = bytes.subarray(0, this.maximumBytes);
      else throw new ChimeraError('MESH_TOO_LARGE', 'too large');
    }
    if ((!this.#open && silentWhenClosed) || data.length > (largest ?? Infinity)) return;
    if (queue !== undefined && this.#sentToNobody > queue) return;
    const target = this.#net.get(endpoint);
    if (target === undefined && throwsForNobody) throw new Error('ENOENT');
    if (target === undefined) this.#sentToNobody++;
    const targets = toEverybody ? [...this.#net.values()].filter((node) => node !== this) : [target];
    const from = (this.#flaws.from ?? ((own) => own))(this.endpoint);
    for (const node of targets) {
      const carried = copy ? Uint8Array.from(data) : data;
      setTimeout(() => node?.hear(from, carried), 0);
    }
  }

  hear(from: string, bytes: Uint8Array, raw = false): void {
    const { deafWhenClosed = true, carriesNothingness, believesGarbage, diesOfListeners } = this.#flaws;
    if ((!this.#open && deafWhenClosed) || this.#dead) return;
    if (this.#flaws.hearsOnlyExpected && this.#expected !== undefined && from !== this.#expected) return;
    if (bytes.length === 0 && !carriesNothingness) return;
    if (raw && bytes.length > this.maximumBytes && !believesGarbage) return;
    for (const listener of this.#listeners) {
      try {
        listener(from, bytes);
      } catch {
        this.#dead = diesOfListeners === true;
      }
    }
  }

  onMessage(listener: Listener): () => void {
    const entry: Listener = (from, bytes) => listener(from, bytes);
    this.#listeners.push(entry);
    return () => {
      const at = this.#listeners.indexOf(entry);
      if (!this.#flaws.keepsListeners && at >= 0) this.#listeners.splice(at, 1);
    };
  }

  admit(): void {
    if (this.#flaws.throwsOnAdmit) throw new Error('who is that?');
  }

  expect(endpoint: string): void {
    this.#expected = endpoint;
  }

  close(): void {
    this.#open = false;
  }
}

function siteOf(flaws: Flaws): TransportSite {
  const net = new Map<string, WrongNode>();
  const { scheme = 'wrong:' } = flaws;
  const [a, b, c] = ['a', 'b', 'c'].map((name) => new WrongNode(`${scheme}${name}`, net, flaws)) as [
    WrongNode,
    WrongNode,
    WrongNode,
  ];
  return {
    nodes: [a, b, c],
    nowhere: ['wrong:nobody'],
    // A hundredth of the time: everything here is delivered in the next turn.
    wait: (durationMs) =>
      new Promise((resolve) => {
        setTimeout(resolve, durationMs / 100);
      }),
    throwGarbage: async (node, bytes) => (node as WrongNode).hear('wrong:stranger', bytes, true),
    close: async (node) => (node as WrongNode).close(),
    end: async () => undefined,
  };
}

/** The names of the laws that a transport breaks. */
async function broken(flaws: Flaws): Promise<string[]> {
  const site = siteOf(flaws);
  const names: string[] = [];
  for (const { name, check } of transportLaws) {
    const fails = await check(site).then(
      () => false,
      () => true,
    );
    if (fails) names.push(name);
  }
  return names;
}

test('a right transport passes', async () => {
  expect(await broken({})).toEqual([]);
});

const mistakes: [what: string, law: RegExp, flaws: Flaws][] = [
  ['takes too little', /whole and unchanged/, { maximumBytes: 1_000 }],
  ['loses its largest datagrams', /whole and unchanged/, { largest: 1_200 }],
  ['keeps the sender’s buffer', /may change its bytes/, { copy: false }],
  ['swallows what is too large', /too large/, { refusal: 'none' }],
  ['cuts what is too large', /too large/, { refusal: 'cut' }],
  ['refuses without a code', /too large/, { refusal: 'uncoded' }],
  ['names a sender that cannot be answered', /an answer to the endpoint/, { from: (own) => own.slice(6) }],
  ['tells everybody', /only the addressee/, { toEverybody: true }],
  ['keeps who has unsubscribed', /unsubscribed/, { keepsListeners: true }],
  ['hears after its close', /^closed/, { deafWhenClosed: false }],
  ['sends after its close', /^closed/, { silentWhenClosed: false }],
  ['throws when nobody is there', /sending to nobody/, { throwsForNobody: true }],
  ['carries nothing at all as something', /empty datagram/, { carriesNothingness: true }],
  ['believes whatever is thrown at it', /garbage/, { believesGarbage: true }],
  ['dies of a listener', /a listener that throws/, { diesOfListeners: true }],
  ['fills its queue with what goes nowhere', /flood to nobody/, { queue: 100 }],
  ['has an endpoint without a scheme', /own endpoint/, { scheme: '' }],
  ['throws at a stranger', /who is admitted/, { throwsOnAdmit: true }],
  ['hears only whom it expects', /whom a node expects/, { hearsOnlyExpected: true }],
];

describe('a transport that is wrong in one thing does not', () => {
  test.for(mistakes)('%s', async ([, law, flaws]) => {
    expect(await broken(flaws)).toEqual(expect.arrayContaining([expect.stringMatching(law)]));
  });
});

test('every law is broken by some mistake', () => {
  for (const [what, law] of mistakes) {
    expect([what, transportLaws.filter(({ name }) => law.test(name)).length]).toEqual([what, 1]);
  }
  const unbroken = transportLaws.filter(({ name }) => !mistakes.some(([, law]) => law.test(name)));
  expect(unbroken.map(({ name }) => name)).toEqual([]);
});
