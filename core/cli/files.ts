/** Files that a command line names: read whole or refused with CLI_FILE, and written with the same care. */
import { ChimeraError, messageOf } from '../errors.ts';
import { decodeBase32, encodeBase32 } from '../onion/bytes.ts';
import {
  parseAuthorizedClient,
  parseClientKey,
  parseSecretKeyFile,
  type ClientKey,
  type MasterKey,
} from '../onion/index.ts';
import type { CommandContext } from './context.ts';

/** No file that a command reads comes near this. */
const largestInputBytes = 1024 * 1024;

/** The bytes of a file, or of standard input for `-`. */
export async function readInputFile({ runtime, terminal }: CommandContext, path: string): Promise<Uint8Array> {
  if (path === '-') return terminal.readInput(largestInputBytes);
  let bytes: Uint8Array | undefined;
  try {
    bytes = await runtime.store.read(path, largestInputBytes);
  } catch (error) {
    throw new ChimeraError('CLI_FILE', `${path} cannot be read: ${messageOf(error)}`, {
      remedy: 'name a file that this user may read',
      cause: error,
    });
  }
  if (bytes === undefined) {
    throw new ChimeraError('CLI_FILE', `${path}: no such file`, { remedy: 'check the path' });
  }
  return bytes;
}

/** Makes `directory` and writes `files` into it; the content is public. */
export async function writeOutputFiles(
  { runtime }: CommandContext,
  directory: string,
  files: Readonly<Record<string, string>>,
): Promise<void> {
  try {
    await runtime.store.makeDirectory(directory, 0o755);
    for (const [name, text] of Object.entries(files)) await runtime.store.write(`${directory}/${name}`, text, 0o644);
  } catch (error) {
    throw new ChimeraError('CLI_FILE', `${directory} cannot be written: ${messageOf(error)}`, {
      remedy: 'name a directory that this user may write, on a disk with room',
      cause: error,
    });
  }
}

/** A master key from its file. Rejects with CLI_FILE or ONION_KEY_FILE, which names the file. */
export async function readMasterKeyFile(context: CommandContext, path: string): Promise<MasterKey> {
  const bytes = await readInputFile(context, path);
  try {
    return parseSecretKeyFile(bytes);
  } catch (error) {
    throw inFile(path, error);
  }
}

function inFile(path: string, error: unknown): unknown {
  if (!(error instanceof ChimeraError)) return error;
  const { code, remedy, message } = error;
  return new ChimeraError(code, `${path}: ${message}`, { ...(remedy === undefined ? {} : { remedy }), cause: error });
}

/** Tor's own tools print client keys in base32; others in base64 or hexadecimal. Base64 becomes base32, the rest stays. */
function withoutBase64(text: string): string {
  const standard = text.trim().replaceAll('-', '+').replaceAll('_', '/');
  if (!/^[A-Za-z0-9+/]{43}=?$/.test(standard)) return text;
  return encodeBase32(Buffer.from(standard, 'base64'));
}

/** The content of the file that `value` names, or `value` itself. It may be a mistyped secret, so no error repeats it. */
async function fileOrText({ runtime }: CommandContext, value: string): Promise<string> {
  const bytes = await runtime.store.read(value, largestInputBytes).catch(() => undefined);
  return bytes === undefined ? value : Buffer.from(bytes).toString('latin1');
}

/**
 * A client's X25519 secret: the path of an `.auth_private` file, its line, or the key alone in base32, base64 or
 * hexadecimal. Rejects with CLI_FILE, ONION_KEY_FILE or ONION_ADDRESS.
 */
export async function readClientKey(context: CommandContext, value: string): Promise<ClientKey> {
  return parseClientKey(withoutBase64(await fileOrText(context, value)));
}

/** The X25519 public key of a client to authorize, in the same forms, or as a line "descriptor:x25519:<key>". */
export async function readAuthorizedClient(context: CommandContext, value: string): Promise<Uint8Array> {
  const text = withoutBase64((await fileOrText(context, value)).trim());
  const bare = /^[0-9a-f]{64}$/i.test(text) || decodeBase32(text.replace(/=+$/, ''))?.length === 32;
  return parseAuthorizedClient(bare ? `descriptor:x25519:${text}` : text);
}
