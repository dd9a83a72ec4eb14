/**
 * From started processes to a network that works, as fast as tor allows. Left alone, authorities vote before every relay
 * has published, and whoever asked too early waits out a back-off; so the voting is opened when all have published, and
 * everybody is told to ask again when there is something to get.
 */
import { ChimeraError } from '../../../../core/errors.ts';
import type { Clock } from '../../../../core/runtime/index.ts';
import type { TorProcess } from './tor-process.ts';
import { initialVoting } from './torrc.ts';

const pollMs = 200;
/** Relays that do not come up in this time are not waited for: clients work without some of them. */
const relayLimitMs = 20_000;

export interface Bootstrap {
  readonly clock: Clock;
  readonly authorities: readonly TorProcess[];
  /** Authorities included. */
  readonly relays: readonly TorProcess[];
  readonly limitMs: number;
  /** Throws when there is no sense in waiting any longer. */
  readonly check: () => void;
  readonly tell: (text: string) => void;
}

/** Resolves when a consensus lists every relay and the relays work. Throws LAB_NO_CONSENSUS. */
export async function bringUp(bootstrap: Bootstrap): Promise<void> {
  const { clock, authorities, relays, limitMs, tell } = bootstrap;
  const end = clock.monotonic() + limitMs;
  const complete = (counts: readonly number[]): boolean => counts.every((count) => count >= relays.length);

  await poll(bootstrap, end, 'every relay to publish', async () =>
    complete(await Promise.all(authorities.map(countDescriptors))),
  );
  await sleepUntilVotingMayOpen(clock);
  await Promise.all(
    authorities.map((authority) =>
      authority.ask(`SETCONF TestingV3AuthInitialVotingInterval="${initialVoting.openSeconds} seconds"`),
    ),
  );
  tell(`${relays.length} relays have published; the authorities vote`);

  let seen = 0;
  await poll(bootstrap, end, `a consensus with ${relays.length} HSDirs`, async () => {
    const counts = await Promise.all(authorities.map(countHsdirs));
    const hsdirs = Math.min(...counts);
    if (hsdirs > 0 && hsdirs !== seen) tell(`a consensus with ${hsdirs} of ${relays.length} HSDirs`);
    seen = hsdirs;
    return complete(counts);
  });

  // A reload makes a relay forget its failed fetches, and fetch at once.
  await Promise.all(relays.filter((relay) => !authorities.includes(relay)).map((relay) => relay.ask('SIGNAL RELOAD')));
  let waiting = relays;
  const relayEnd = clock.monotonic() + relayLimitMs;
  while (waiting.length > 0 && clock.monotonic() < relayEnd) {
    bootstrap.check();
    const done = await Promise.all(waiting.map((relay) => relay.isBootstrapped().catch(() => false)));
    waiting = waiting.filter((_relay, index) => !done[index]);
    if (waiting.length > 0) await clock.sleep(pollMs);
  }
  tell(`${relays.length - waiting.length} of ${relays.length} relays work`);
}

async function poll(bootstrap: Bootstrap, end: number, what: string, done: () => Promise<boolean>): Promise<void> {
  const { clock, check, limitMs } = bootstrap;
  for (;;) {
    check();
    if (await done()) return;
    if (clock.monotonic() > end) {
      throw new ChimeraError('LAB_NO_CONSENSUS', `waited ${limitMs / 1000} s in vain for ${what}`, {
        remedy: 'Free some processor time or start fewer relays; `keep` leaves the logs to be read.',
      });
    }
    await clock.sleep(pollMs);
  }
}

/**
 * The authorities must see the change in the same interval and before its voting starts: tor gives a quarter of a short
 * interval to the votes and a quarter to the signatures, in whole seconds, at the interval's end.
 */
async function sleepUntilVotingMayOpen(clock: Clock): Promise<void> {
  const interval = initialVoting.openSeconds;
  const votingStarts = interval - 2 * Math.floor(interval / 4);
  const into = (clock.now() / 1000) % interval;
  if (into > votingStarts - 1) await clock.sleep((interval - into) * 1000);
}

/** Server descriptors that this authority knows; 0 while it does not answer. */
async function countDescriptors(authority: TorProcess): Promise<number> {
  return countLines(await authority.ask('GETINFO desc/all-recent').catch(() => ''), (line) =>
    line.startsWith('router '),
  );
}

/** HSDirs in the consensus that this tor holds; 0 while it has none or does not answer. */
async function countHsdirs(tor: TorProcess): Promise<number> {
  return countLines(
    await tor.ask('GETINFO ns/all').catch(() => ''),
    (line) => line.startsWith('s ') && line.split(' ').includes('HSDir'),
  );
}

function countLines(text: string, counts: (line: string) => boolean): number {
  return text.split('\n').filter((line) => counts(line)).length;
}
