/** I7: no secret stands in a log, in clear on a disk, or goes over the network. */
import { redacted } from '../../../../../core/runtime/index.ts';
import type { MakeChecker } from './checker.ts';

const scanEveryMs = 600_000;
/** Datagrams are searched together, at each sample and whenever there are so many bytes of them. */
const gathered = 65_536;

/** The forms in which 32 bytes may be seen. */
function forms(secret: Uint8Array): {
  readonly texts: readonly string[];
  readonly bytes: Buffer;
  readonly hex: Buffer;
} {
  const bytes = Buffer.from(secret);
  const base64 = bytes.toString('base64').replace(/=+$/, '');
  const hex = Buffer.from(bytes.toString('hex'), 'latin1');
  return { hex, texts: [bytes.toString('hex'), base64, bytes.toString('base64url'), String([...secret])], bytes };
}

export const checkSecrets: MakeChecker = ({ world, broken }) => {
  const secrets = [
    { name: 'the master key', ...forms(world.master.expandedSecret.slice(0, 32)) },
    { name: 'the cluster’s secret', ...forms(world.clusterSecret.secret) },
  ];
  const told = new Set<string>();
  const once = (what: string): void => {
    if (told.has(what)) return;
    told.add(what);
    broken('I7', what);
  };
  let scannedAtMs = 0;
  const scanDisks = async (): Promise<void> => {
    for (const path of world.store.files()) {
      // The operator's key file, and what a tor keeps of its own services.
      if (path.startsWith('/operator/') || path.startsWith('/tor/')) continue;
      const bytes = Buffer.from((await world.store.read(path)) ?? []);
      for (const { name, texts, bytes: raw } of secrets) {
        if (bytes.includes(raw) || texts.some((text) => bytes.includes(text))) once(`${name} lies in clear in ${path}`);
      }
    }
  };
  const wire = Buffer.allocUnsafe(gathered);
  let length = 0;
  const searchWire = (): void => {
    const datagrams = wire.subarray(0, length);
    for (const { name, bytes: raw, hex } of secrets) {
      if (datagrams.includes(raw) || datagrams.includes(hex)) once(`${name} goes over the network`);
    }
    length = 0;
  };
  return {
    sent: ({ bytes }) => {
      if (length + bytes.length > gathered) searchWire();
      wire.set(bytes, length);
      length += bytes.length;
    },
    log: (node, message, fields) => {
      // As it would be written.
      const text = message + JSON.stringify(redacted(fields));
      for (const { name, texts } of secrets) {
        if (texts.some((form) => text.includes(form)))
          once(`${name} stands in a log of ${world.node(node)?.name}: ${message}`);
      }
    },
    sample: () => {
      searchWire();
      if (world.nowMs - scannedAtMs < scanEveryMs) return;
      scannedAtMs = world.nowMs;
      void scanDisks();
    },
    end: async () => {
      searchWire();
      await scanDisks();
    },
  };
};
