/**
 * Questions between two members. A question is sent again until it is answered or its time is over; whoever answers does so
 * once for each and repeats the answer. What does not fit into a datagram is pulled by the other side.
 *
 *   ask ─► (pull ◄─► pieces of the question) ─► handler ─► answer ─► (pull ◄─► pieces of the answer)
 */
import type { PeerChannel } from '../../core/engine/index.ts';
import { ChimeraError } from '../../core/errors.ts';
import type { Clock, Random, Timer } from '../../core/runtime/index.ts';
import { maximumInlineQuestionBytes, maximumQuestionBytes, topicPattern, type Message } from './message.ts';
import type { Pulls } from './pulls.ts';

/** Questions of one member that are being answered, or whose answers are kept to be repeated. */
const maximumServed = 16;
/** Own questions that wait. */
const maximumAsked = 64;
const repeatMs = 400;
const keepAnswerMs = 30_000;

type Handler = (from: string, question: Uint8Array) => Promise<Uint8Array>;
type Ask = Extract<Message, { type: 'ask' }>;
type Answer = Extract<Message, { type: 'answer' }>;

interface Asked {
  readonly node: string;
  readonly question: Uint8Array;
  readonly message: Ask;
  readonly settle: (answer: Uint8Array | undefined) => void;
  fetching: boolean;
}

interface Served {
  readonly node: string;
  readonly sinceMs: number;
  answer: { readonly message: Answer; readonly bytes: Uint8Array } | undefined;
}

export interface Channel extends PeerChannel {
  take(from: string, message: Ask | Answer): void;
  /** The bytes of a blob of this channel that `from` may have. */
  blob(from: string, name: string): Uint8Array | undefined;
  /** Questions that wait for an answer, and answers that are kept for who asks again. */
  readonly size: number;
  close(): void;
}

const start = (bytes: Uint8Array): Uint8Array => bytes.subarray(0, maximumInlineQuestionBytes);

export function createChannel(options: {
  readonly self: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly pulls: Pulls;
  readonly isMember: (node: string) => boolean;
  readonly send: (node: string, message: Message) => void;
  readonly refused: (topic: string, error: unknown) => void;
}): Channel {
  const { self, clock, random, pulls, isMember, send, refused } = options;
  const handlers = new Map<string, Handler>();
  const asked = new Map<number, Asked>();
  const served = new Map<string, Served>();

  const forget = (): void => {
    const now = clock.monotonic();
    for (const [key, { sinceMs }] of served) if (now - sinceMs > keepAnswerMs) served.delete(key);
  };

  const handle = async (from: string, { id, topic }: Ask, question: Uint8Array, entry: Served): Promise<void> => {
    let bytes: Uint8Array | undefined;
    try {
      bytes = await handlers.get(topic)?.(from, question);
    } catch (error) {
      refused(topic, error);
    }
    if (bytes !== undefined && bytes.length > maximumQuestionBytes) {
      refused(topic, new RangeError(`an answer of ${bytes.length} bytes; ${maximumQuestionBytes} are the most`));
      bytes = undefined;
    }
    const whole = bytes ?? new Uint8Array();
    const message: Answer = {
      type: 'answer',
      id,
      refused: bytes === undefined,
      total: whole.length,
      start: start(whole),
    };
    entry.answer = { message, bytes: whole };
    send(from, message);
  };

  const onAsk = (from: string, message: Ask): void => {
    forget();
    const key = `${from} ${message.id}`;
    const known = served.get(key);
    if (known !== undefined) {
      if (known.answer !== undefined) send(from, known.answer.message);
      return;
    }
    if ([...served.values()].filter(({ node }) => node === from).length >= maximumServed) return;
    const entry: Served = { node: from, sinceMs: clock.monotonic(), answer: undefined };
    served.set(key, entry);
    if (message.total <= maximumInlineQuestionBytes) void handle(from, message, Uint8Array.from(message.start), entry);
    else {
      pulls.fetch(`q:${from}:${message.id}`, from, message.total, (question) => {
        if (question === undefined) served.delete(key);
        else void handle(from, message, question, entry);
      });
    }
  };

  const onAnswer = (from: string, { id, refused: no, total, start: first }: Answer): void => {
    const open = asked.get(id);
    if (open?.node !== from || open.fetching) return;
    if (no) open.settle(undefined);
    else if (total <= maximumInlineQuestionBytes) open.settle(Uint8Array.from(first));
    else {
      open.fetching = true;
      pulls.fetch(`a:${self}:${id}`, from, total, (answer) => {
        open.fetching = false;
        if (answer !== undefined) open.settle(answer);
      });
    }
  };

  return {
    ask: (node, topic, question, timeoutMs) =>
      new Promise((resolve, reject) => {
        const no = (why: string): void =>
          reject(
            new ChimeraError('MESH_NO_ANSWER', `${node} did not answer the question ${topic}: ${why}`, {
              remedy: 'see by "chimera status" that the member is there, and in its log why it refused',
            }),
          );
        if (!isMember(node) || node === self) return no('it is no other member');
        if (!topicPattern.test(topic)) return no('that is no topic');
        if (question.length > maximumQuestionBytes) return no(`it is larger than ${maximumQuestionBytes} bytes`);
        if (asked.size >= maximumAsked) return no('too many questions wait');
        let id = random.int(2 ** 32);
        while (asked.has(id)) id = random.int(2 ** 32);
        let timer: Timer | undefined;
        const untilMs = clock.monotonic() + timeoutMs;
        const whole = Uint8Array.from(question);
        const message: Ask = { type: 'ask', id, topic, total: whole.length, start: start(whole) };
        const settle = (answer: Uint8Array | undefined): void => {
          if (!asked.delete(id)) return;
          timer?.cancel();
          if (answer === undefined) no('it refused, or the time was over');
          else resolve(answer);
        };
        asked.set(id, { node, question: whole, message, settle, fetching: false });
        const say = (): void => {
          const leftMs = untilMs - clock.monotonic();
          if (leftMs <= 0) {
            settle(undefined);
            return;
          }
          if (asked.get(id)?.fetching === false) send(node, message);
          timer = clock.after(Math.min(repeatMs, leftMs), say);
        };
        say();
      }),
    answer: (topic, handler) => {
      if (!topicPattern.test(topic) || handlers.has(topic)) {
        throw new ChimeraError('ENGINE_PLUGIN', `${JSON.stringify(topic)} is no topic, or has a handler already`);
      }
      handlers.set(topic, handler);
    },
    take: (from, message) => (message.type === 'ask' ? onAsk(from, message) : onAnswer(from, message)),
    blob: (from, name) => {
      const [what, node, id] = name.split(':');
      if (what === 'q' && node === self) {
        const open = asked.get(Number(id));
        return open?.node === from ? open.question : undefined;
      }
      if (what === 'a' && node === from) return served.get(`${from} ${id}`)?.answer?.bytes;
      return undefined;
    },
    get size() {
      return asked.size + served.size;
    },
    close: () => {
      for (const { settle } of asked.values()) settle(undefined);
    },
  };
}
