/**
 * A WireGuard transport on a machine of its own, driven over standard input: a JSON line in is a call, a JSON line out its
 * answer or something heard. Ends when its input ends. Started by remote-transport.ts.
 */
import { createInterface } from 'node:readline';
import type { AdmittedNode } from '../../../core/engine/index.ts';
import { isChimeraError, messageOf } from '../../../core/errors.ts';
import { createLog, systemNet, systemRuntime } from '../../../core/runtime/index.ts';
import { createWireguardTransport, type WireguardOptions } from '../../../plugins/transport/wireguard/index.ts';

export interface Call {
  readonly id: number;
  readonly method: 'send' | 'admit' | 'close' | 'raw';
  readonly endpoint?: string;
  /** base64 */
  readonly bytes?: string;
  readonly port?: number;
  readonly admitted?: readonly { readonly node: string; readonly endpoints: readonly string[] }[];
}

const say = (line: unknown): void => void process.stdout.write(`${JSON.stringify(line)}\n`);
const options = JSON.parse(process.argv[2] as string) as WireguardOptions;
const log = createLog({ write: (line: string) => void process.stderr.write(line) }, 'info', () => 0);
const { transport, open, close } = createWireguardTransport(systemRuntime(log), options);
const keys = { signing: new Uint8Array(32), agreement: new Uint8Array(32) };

async function answer(call: Call): Promise<void> {
  const bytes = Uint8Array.from(Buffer.from(call.bytes ?? '', 'base64'));
  if (call.method === 'send') transport.send(call.endpoint ?? '', bytes);
  else if (call.method === 'admit') {
    transport.admit?.((call.admitted ?? []).map((one): AdmittedNode => ({ ...one, keys, admittedBy: one.node })));
  } else if (call.method === 'close') await close();
  else {
    const host = call.endpoint as string;
    const socket = await systemNet.bindUdp({ host: host.includes(':') ? '::' : '0.0.0.0', port: 0 }, () => undefined);
    socket.send({ host, port: call.port as number }, bytes);
    await socket.close();
  }
}

try {
  await open();
  transport.onMessage((from, bytes) => say({ from, bytes: Buffer.from(bytes).toString('base64') }));
  say({ opened: transport.endpoint, maximumBytes: transport.maximumBytes });
} catch (error) {
  say({ failed: { code: isChimeraError(error) ? error.code : '', message: messageOf(error) } });
  process.exit(1);
}
const lines = createInterface({ input: process.stdin });
lines.on('line', (line) => {
  const call = JSON.parse(line) as Call;
  answer(call).then(
    () => say({ id: call.id }),
    (error: unknown) =>
      say({ id: call.id, error: { code: isChimeraError(error) ? error.code : '', message: messageOf(error) } }),
  );
});
lines.on('close', () => void close().finally(() => process.exit(0)));
