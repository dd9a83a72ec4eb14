/** What reaches the HSDirs: every upload of the service's own descriptors, opened as a client would open it. */
import { blindedPublicKey, epochOfRevision, type TimePeriod } from '../../../../core/onion/index.ts';
import { outerOf } from '../../network/embedded/hsdir.ts';
import { openOnce } from '../../network/embedded/opened.ts';
import type { SealedText } from './observe.ts';
import type { World } from './world.ts';

export interface SeenUpload {
  readonly atMs: number;
  readonly hsdir: string;
  readonly blindedKey: string;
  readonly revision: bigint;
  readonly epoch: number;
  readonly accepted: boolean;
  /** The HSDir had none there: the first that it is sent, or it has forgotten what it had. */
  readonly alone: boolean;
  /** Who sealed it, as far as it was observed. */
  readonly sealed: SealedText | undefined;
  /** Base64url of the introduction points' auth keys; undefined when the descriptor does not open. */
  readonly introPoints: readonly string[] | undefined;
}

/** The last descriptors of each blinded key at each HSDir. */
export type Held = ReadonlyMap<string, SeenUpload>;

export interface Directories {
  readonly held: Held;
  /** HSDirs that have lost all they had and were sent nothing since: no publisher hears of that, so it takes till the next round. */
  readonly forgetful: ReadonlySet<string>;
}

const mostOpened = 64;
const periodMinutes = 1_440;

/** Listens at every HSDir of the network from now on. */
export function watchDirectories(world: World, onUpload: (upload: SeenUpload) => void): Directories {
  const { master, address, clock } = world;
  const held = new Map<string, SeenUpload>();
  const forgetful = new Set<string>();
  const ours = new Map<number, string>();
  const opened = new Map<string, readonly string[] | undefined>();

  /** The period of a blinded key of the service, found among those around now. */
  const periodOf = (blindedKey: string): TimePeriod | undefined => {
    const around = Math.floor((clock.now() / 60_000 - 720) / periodMinutes);
    for (let number = around - 2; number <= around + 2; number++) {
      const period = { number, lengthMinutes: periodMinutes };
      let own = ours.get(number);
      if (own === undefined) {
        own = Buffer.from(blindedPublicKey(master.publicKey, period)).toString('hex');
        ours.set(number, own);
      }
      if (own === blindedKey) return period;
    }
    return undefined;
  };

  const open = (text: string, period: TimePeriod): readonly string[] | undefined => {
    if (opened.has(text)) return opened.get(text);
    let points: readonly string[] | undefined;
    try {
      const descriptor = openOnce(text, address, period, Math.floor(clock.now() / 1_000));
      points = descriptor.introPoints.map(({ authKey }) => Buffer.from(authKey).toString('base64url'));
    } catch {
      points = undefined;
    }
    opened.set(text, points);
    while (opened.size > mostOpened) opened.delete(opened.keys().next().value as string);
    return points;
  };

  for (const { fingerprint, hsdir } of world.network.relays) {
    const take = hsdir.store.bind(hsdir);
    hsdir.store = (text, now) => {
      const status = take(text, now);
      const outer = outerOf(text);
      const blindedKey = Buffer.from(outer.blindedKey).toString('hex');
      const period = periodOf(blindedKey);
      if (period === undefined) return status;
      const place = `${fingerprint} ${blindedKey}`;
      const upload: SeenUpload = {
        atMs: clock.monotonic(),
        hsdir: fingerprint,
        blindedKey,
        revision: outer.revision,
        epoch: epochOfRevision(outer.revision),
        accepted: status === 200,
        alone: !held.has(place),
        sealed: world.observations.texts.get(text),
        introPoints: open(text, period),
      };
      world.trace.line(`upload to ${fingerprint.slice(0, 8)}: revision ${outer.revision}, ${status}`);
      if (upload.accepted) {
        held.set(place, upload);
        forgetful.delete(fingerprint);
      }
      onUpload(upload);
      return status;
    };
    const forget = hsdir.forget.bind(hsdir);
    hsdir.forget = () => {
      for (const key of held.keys()) if (key.startsWith(`${fingerprint} `)) held.delete(key);
      forgetful.add(fingerprint);
      forget();
    };
  }
  return { held, forgetful };
}
