/**
 * One question to a tor's control port: connect, authenticate by cookie, ask, hang up. The launcher needs no more than
 * that to follow a bootstrap; whoever works with a tor uses plugins/tor.
 */
import type { Runtime, Endpoint } from '../../../../core/runtime/index.ts';
import { withDeadline } from '../../../../core/runtime/index.ts';

const answerLimitMs = 5_000;

export interface ControlAddress {
  readonly control: Endpoint;
  readonly cookiePath: string;
}

/** The reply's text without status codes. Throws a plain Error when tor refuses, hangs up or takes more than five seconds. */
export function askControl(runtime: Runtime, address: ControlAddress, command: string): Promise<string> {
  return withDeadline(
    runtime.clock,
    answerLimitMs,
    () => new Error(`no answer to ${command} within ${answerLimitMs / 1000} s`),
    async (signal) => {
      const cookie = await runtime.store.read(address.cookiePath);
      if (cookie === undefined) throw new Error(`no cookie at ${address.cookiePath}`);
      const stream = await runtime.net.connect(address.control, signal);
      const hangUp = (): void => void stream.destroy(new Error('given up'));
      signal.addEventListener('abort', hangUp, { once: true });
      try {
        stream.write(`AUTHENTICATE ${Buffer.from(cookie).toString('hex')}\r\n${command}\r\nQUIT\r\n`);
        let received = '';
        stream.setEncoding('utf8');
        for await (const chunk of stream) received += chunk as string;
        const [authentication, answer] = splitReplies(received);
        if (!authentication?.ok) throw new Error('the control port does not accept its own cookie');
        if (!answer?.ok) throw new Error(`${command} was answered with ${answer?.text ?? 'nothing'}`);
        return answer.text;
      } finally {
        signal.removeEventListener('abort', hangUp);
        stream.destroy();
      }
    },
  );
}

interface Reply {
  readonly ok: boolean;
  readonly text: string;
}

/** Splits what a control port sent into replies; an unfinished last one is left out. */
export function splitReplies(received: string): Reply[] {
  const replies: Reply[] = [];
  let lines: string[] = [];
  let inData = false;
  for (const line of received.split('\r\n')) {
    if (inData) {
      if (line === '.') inData = false;
      else lines.push(line.startsWith('..') ? line.slice(1) : line);
      continue;
    }
    const match = /^(\d{3})([ +-])(.*)$/.exec(line);
    if (!match) continue;
    lines.push(match[3] as string);
    inData = match[2] === '+';
    if (match[2] === ' ') {
      replies.push({ ok: line.startsWith('250'), text: lines.join('\n') });
      lines = [];
    }
  }
  return replies;
}
