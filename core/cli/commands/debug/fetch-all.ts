/** `chimera debug fetch --all`: what each HSDir holds that is responsible for the descriptor which clients use now. */
import type { TorClient } from '../../../engine/contracts/tor.ts';
import { ChimeraError, isChimeraError } from '../../../errors.ts';
import type { OnionAddress } from '../../../onion/index.ts';
import { errorForJson, type Output } from '../../output.ts';
import type { Diagnosis } from './diagnosis.ts';
import { placesOf } from './hsdirs.ts';

export interface HsdirHolding {
  readonly fingerprint: string;
  /** True when clients ask this one now; the others are in reserve. */
  readonly asked: boolean;
  /** Of the descriptor that it gave. */
  readonly revision?: bigint;
  readonly introPoints?: number;
  /** Why it gave none, or what is wrong with it. */
  readonly problem?: ChimeraError;
}

async function holdingOf(
  tor: TorClient,
  address: OnionAddress,
  relay: { readonly fingerprint: string; readonly asked: boolean },
  options: { readonly timeoutMs: number; readonly examine: (text: string) => Diagnosis },
): Promise<HsdirHolding> {
  try {
    const { text } = await tor.fetchDescriptor(address, { server: relay.fingerprint, timeoutMs: options.timeoutMs });
    const { outer, descriptor, problems } = options.examine(text);
    return {
      ...relay,
      ...(outer && { revision: outer.revision }),
      ...(descriptor && { introPoints: descriptor.introPoints.length }),
      ...(problems[0] && { problem: problems[0] }),
    };
  } catch (error) {
    if (!isChimeraError(error)) throw error;
    return { ...relay, problem: error };
  }
}

/** Asks all responsible HSDirs at once. */
export async function fetchFromAll(
  tor: TorClient,
  address: OnionAddress,
  options: { readonly timeoutMs: number; readonly examine: (text: string) => Diagnosis },
): Promise<HsdirHolding[]> {
  const used = placesOf(address, await tor.consensus()).find(({ usedByClients }) => usedByClients);
  const relays = new Map((used?.replicas.flat() ?? []).map((relay) => [relay.fingerprint, relay]));
  return Promise.all([...relays.values()].map((relay) => holdingOf(tor, address, relay, options)));
}

/** Prints what was found; an HSDir that clients ask in vain is an error. */
export function showHoldings(
  output: Output,
  address: OnionAddress,
  holdings: readonly HsdirHolding[],
  json: boolean,
): void {
  const inVain = holdings.filter(({ asked, problem }) => asked && problem !== undefined);
  if (json) {
    output.json({
      ok: inVain.length === 0,
      address: `${address}.onion`,
      hsdirs: holdings.map(({ problem, ...rest }) => ({ ...rest, ...(problem && { problem: errorForJson(problem) }) })),
    });
  } else {
    for (const { fingerprint, asked, revision, introPoints, problem } of holdings) {
      const found =
        problem === undefined
          ? output.good(`revision ${revision}, ${introPoints} introduction points`)
          : output.bad(`${problem.code}: ${problem.message}`);
      output.line(`${fingerprint}  ${asked ? 'asked  ' : 'reserve'}  ${found}`);
    }
  }
  const [first] = inVain;
  if (first?.problem === undefined) return;
  const { code, message, remedy } = first.problem;
  const askedCount = holdings.filter(({ asked }) => asked).length;
  const summary = `${inVain.length} of ${askedCount} HSDirs are asked in vain; the first: ${message}`;
  output.error(new ChimeraError(code, summary, remedy === undefined ? {} : { remedy }));
}
