/** I7: no secret stands in a log, in clear on a disk, or goes over the network. */
import type { ClusterSecret } from '../../../../../core/engine/index.ts';
import { ascii } from '../../../../../core/onion/bytes.ts';
import { redacted } from '../../../../../core/runtime/index.ts';
import { reportOnce, type MakeChecker } from './checker.ts';

const scanEveryMs = 600_000;
/** Datagrams are searched together, at each sample and whenever there are so many bytes of them. */
const gathered = 65_536;

interface Secret {
  readonly name: string;
  readonly texts: readonly string[];
  readonly bytes: Buffer;
  readonly hex: Buffer;
  /** Files that are there to hold it, for their node alone. */
  readonly home: RegExp | undefined;
}

/** The forms in which secret bytes may be seen. */
function secretOf(name: string, secret: Uint8Array, home?: RegExp): Secret {
  const bytes = Buffer.from(secret);
  const base64 = bytes.toString('base64').replace(/=+$/, '');
  const hex = Buffer.from(bytes.toString('hex'), 'latin1');
  const texts = [bytes.toString('hex'), base64, bytes.toString('base64url'), String([...secret])];
  return { name, hex, texts, bytes, home };
}

export const checkSecrets: MakeChecker = ({ world, broken }) => {
  const { expandedSecret } = world.master;
  const passphrase = secretOf('the passphrase', ascii(world.operator.passphrase));
  const secrets = [
    secretOf('the master key', expandedSecret.slice(0, 32)),
    secretOf('the master key’s second half', expandedSecret.slice(32)),
    { ...passphrase, texts: [...passphrase.texts, world.operator.passphrase] },
  ];
  const generations = new Set<string>();
  const learn = ({ generation, secret }: ClusterSecret): void => {
    const name = Buffer.from(secret).toString('hex');
    if (generations.has(name)) return;
    generations.add(name);
    secrets.push(secretOf(`the cluster’s secret, generation ${generation}`, secret, /\/cluster_secrets$/));
  };
  learn(world.clusterSecret);
  world.onSecret = (name, secret) => void secrets.push(secretOf(name, secret));
  const report = reportOnce(broken);
  const once = (what: string): void => report('I7', what);
  let scannedAtMs = 0;
  const scanDisks = async (): Promise<void> => {
    for (const path of world.store.files()) {
      const bytes = Buffer.from((await world.store.read(path)) ?? []);
      for (const { name, texts, bytes: raw, home } of secrets) {
        if (home?.test(path) === true) continue;
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
    daemon: (_node, { secrets: own }) => {
      own?.onChange(() => {
        for (const secret of own.current()) learn(secret);
      });
    },
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
