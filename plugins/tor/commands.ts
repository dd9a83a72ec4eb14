/** Commands whose reply says yes or no, and GETINFO and GETCONF, over a link. What every other part asks tor by. */
import { ChimeraError } from '../../core/errors.ts';
import type { TorSetting } from '../../core/engine/contracts/tor.ts';
import { commandName } from './connection.ts';
import { quoted, unquoted } from './event.ts';
import type { Link } from './link.ts';
import type { Reply } from './reply.ts';

/** The error for a reply that is no success. `subject` says what was asked for and must hold no secret. */
export function refusal(link: Link, subject: string, reply: Reply): ChimeraError {
  const text = reply.lines.at(-1)?.text ?? '';
  return new ChimeraError('TOR_REFUSED', `tor ${link.name} refused ${subject}: ${reply.code} ${text}`, {
    remedy: "See tor's words; its log often says more.",
  });
}

/** Sends a command and resolves with its reply; rejects with TOR_REFUSED when it has another code than 250. */
export async function succeed(link: Link, line: string, subject = commandName(line), data?: string): Promise<Reply> {
  const reply = await link.exchange(line, data);
  if (reply.code !== 250) throw refusal(link, subject, reply);
  return reply;
}

/** Refuses what would break out of its place in a command line. */
export function checked(what: string, value: string, pattern: RegExp): string {
  if (pattern.test(value)) return value;
  throw new ChimeraError('TOR_COMMAND', `"${value.slice(0, 60)}" is no ${what}`, {
    remedy: `Give a ${what} as tor's manual has it.`,
  });
}

export const wordPattern = /^[\x21-\x7e]{1,512}$/;
const optionPattern = /^[A-Za-z0-9_.]{1,64}$/;

/** The value of one GETINFO key in a reply. */
export function infoValue(link: Link, key: string, reply: Reply): string {
  if (reply.code !== 250) throw refusal(link, `GETINFO ${key}`, reply);
  const [line] = reply.lines;
  if (line === undefined || !line.text.startsWith(`${key}=`))
    throw new ChimeraError('TOR_REPLY', `tor ${link.name} did not answer GETINFO ${key} with that key`);
  return line.data ?? line.text.slice(key.length + 1);
}

export async function getInfo(link: Link, key: string): Promise<string> {
  return infoValue(link, key, await link.exchange(`GETINFO ${checked('key of GETINFO', key, wordPattern)}`));
}

/** The option's values; empty when it is at its default. Lines of other options (`HiddenServiceOptions` gives several) stay `Name=value`. */
export async function getConf(link: Link, option: string): Promise<readonly string[]> {
  const { lines } = await succeed(
    link,
    `GETCONF ${checked('option of tor', option, optionPattern)}`,
    `GETCONF ${option}`,
  );
  const values: string[] = [];
  for (const { text } of lines) {
    const equals = text.indexOf('=');
    if (equals < 0) continue;
    const value = unquoted(text.slice(equals + 1));
    const name = text.slice(0, equals);
    values.push(name.toLowerCase() === option.toLowerCase() ? value : `${name}=${value}`);
  }
  return values;
}

export async function setConf(link: Link, settings: readonly TorSetting[]): Promise<void> {
  const words = settings.map(([option, value]) => {
    const name = checked('option of tor', option, optionPattern);
    if (value === undefined) return name;
    if (/[\r\n\0]/.test(value)) throw new ChimeraError('TOR_COMMAND', `the value of ${name} has a line break`);
    return `${name}=${quoted(value)}`;
  });
  const names = [...new Set(settings.map(([option]) => option))].join(' ');
  await succeed(link, ['SETCONF', ...words].join(' '), `SETCONF ${names}`);
}
