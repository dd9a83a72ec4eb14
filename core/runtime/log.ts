/** Structured logs. pino writes them; what must never be written is cut here. */
import { pino, type DestinationStream } from 'pino';

export type LogFields = Readonly<Record<string, unknown>>;

export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A log whose every line carries `fields` too. */
  child(fields: LogFields): Log;
}

export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

/** Names of fields that hold secrets; their values never reach a log, at any depth that `redacted` walks. */
const secretName =
  /secret|private|passw|passphrase|token|cookie|seed|share|psk|credential|prf|(?:^|_|\b)key$|(?:Secret|Private|Client|Master|Signing|Session)Key$/i;
/** Names that match the above and are public by nature. */
const publicName = /public|blindedKey|_?fingerprint/i;
/**
 * How texts begin that are secret: key files, invitations, PEM, a client's key as tor keeps it, what proves who we are to a
 * control port. All that follows is cut.
 */
const secretText = new RegExp(
  [
    '== ed25519v1-secret',
    'chimera-node-key',
    'chimera-cluster-secrets',
    'invite-[a-z2-7]{20}',
    '-----BEGIN [A-Z ]{0,32}PRIVATE KEY',
    '[a-z2-7]{56}:descriptor:x25519:',
    '\\bAUTHENTICATE\\s+["0-9A-F]',
  ]
    .map((start) => `${start}[\\s\\S]*`)
    .join('|'),
  'i',
);
/** True for names of fields whose values must not be shown. */
export function isSecretName(name: string): boolean {
  return secretName.test(name) && !publicName.test(name);
}

const maximumDepth = 6;
const maximumText = 4096;

/** A copy of `value` fit for a log: secrets cut by name, byte arrays by type, long texts by length, deep trees by depth. */
export function redacted(value: unknown, name = '', depth = 0): unknown {
  if (isSecretName(name)) return '[redacted]';
  if (typeof value === 'string') {
    const cut = value.replace(secretText, '[redacted]');
    return cut.length > maximumText ? `${cut.slice(0, maximumText)}… (${cut.length} characters)` : cut;
  }
  if (typeof value === 'bigint') return value.toString();
  if (typeof value !== 'object' || value === null) return value;
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (depth >= maximumDepth) return '[…]';
  if (value instanceof Error) {
    const { code, remedy } = value as { code?: unknown; remedy?: unknown };
    return {
      message: redacted(value.message),
      ...(code ? { code: redacted(code) } : {}),
      ...(remedy ? { remedy: redacted(remedy) } : {}),
    };
  }
  if (Array.isArray(value)) return value.map((item) => redacted(item, '', depth + 1));
  if (value instanceof Map || value instanceof Set) return redacted([...value], '', depth + 1);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, redacted(item, key, depth + 1)]));
}

/** A log that writes JSON lines to `destination`. `now` gives Unix milliseconds. */
export function createLog(destination: DestinationStream, level: LogLevel, now: () => number): Log {
  const root = pino(
    {
      level,
      base: null,
      messageKey: 'message',
      formatters: { level: (label) => ({ level: label }) },
      timestamp: () => `,"time":"${new Date(now()).toISOString()}"`,
    },
    destination,
  );
  const wrap = (logger: typeof root): Log => {
    const at =
      (name: 'debug' | 'info' | 'warn' | 'error') =>
      (message: string, fields: LogFields = {}): void => {
        if (logger.isLevelEnabled(name)) logger[name](redacted(fields) as object, redacted(message) as string);
      };
    return {
      debug: at('debug'),
      info: at('info'),
      warn: at('warn'),
      error: at('error'),
      child: (fields) => wrap(logger.child(redacted(fields) as Record<string, unknown>)),
    };
  };
  return wrap(root);
}

const nothing = (): void => undefined;
export const silentLog: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing, child: () => silentLog };
