/**
 * Gives up a head's introduction points without touching its rendezvous. Closing an introduction circuit makes tor build
 * it again with the same key, three times; then it gives the point up and takes another key. So each is closed as often as
 * it comes back: from then on the old points answer NACK, and a client asks another one, or fetches the descriptor again.
 * Removing the service would end its rendezvous as well.
 */
import type { OnionAddress } from '../../core/onion/index.ts';
import type { TorClient } from '../../core/engine/index.ts';
import type { Clock } from '../../core/runtime/index.ts';
import { introductionCircuits, type IntroductionCircuit } from '../tor/index.ts';

/** The first launch and three more; closing what comes after that would only exhaust tor's launches for five minutes. */
const launchesOfAPoint = 4;
const lookMs = 500;
/** Long enough for four circuits one after the other, on a slow network. */
const limitMs = 60_000;
/** Looks without a circuit to close until it is over: tor builds one within two seconds. */
const quietLooks = 12;

/** The established introduction circuits of this service. */
const circuitsOf = (status: string, address: OnionAddress): IntroductionCircuit[] =>
  introductionCircuits(status).filter((circuit) => circuit.address === address);

/** Closes the head's points until tor has given them up. Resolves with how many points that were. */
export async function retirePoints(
  tor: TorClient,
  address: OnionAddress,
  clock: Clock,
  signal: AbortSignal,
): Promise<number> {
  const deadline = clock.monotonic() + limitMs;
  /** Left for each point that is there now, by relay: two descriptors may share one. */
  const left = new Map<string, number>();
  for (const { relay } of circuitsOf(await tor.getInfo('circuit-status'), address)) {
    left.set(relay, (left.get(relay) ?? 0) + launchesOfAPoint);
  }
  const points = [...left.values()].reduce((sum, one) => sum + one / launchesOfAPoint, 0);
  let quiet = 0;
  while (quiet < quietLooks && clock.monotonic() < deadline && !signal.aborted) {
    const status = await tor.getInfo('circuit-status');
    const back = circuitsOf(status, address).filter(({ relay }) => (left.get(relay) ?? 0) > 0);
    quiet = back.length === 0 ? quiet + 1 : 0;
    if ([...left.values()].every((one) => one <= 0)) break;
    for (const { id, relay } of back) {
      left.set(relay, (left.get(relay) ?? 0) - 1);
      await tor.closeCircuit(id).catch(() => undefined);
    }
    await clock.sleep(lookMs, signal).catch(() => undefined);
  }
  return points;
}
