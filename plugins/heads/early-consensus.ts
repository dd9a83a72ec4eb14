/**
 * Lets a head's tor hear of a new time period soon. A client of tor's takes a new consensus up to three hours late, each at
 * a moment of its own. While the head's tor does not know that the period has begun, it cannot fetch the descriptor that
 * clients who know use now, and the head tells introduction points that die at the next shared random value: those clients
 * keep them until then. So when a period has begun by the clock, tor is asked to fetch the consensus as early as caches do
 * (FetchDirInfoEarly, FetchDirInfoExtraEarly), and left as it was when it has it. Enter at `createEarlyConsensus`.
 */
import type { TorClient } from '../../core/engine/index.ts';
import { nextPeriodStart } from '../../core/onion/index.ts';
import type { Consensus } from '../../core/pipeline/index.ts';
import type { Clock, Log } from '../../core/runtime/index.ts';

export interface EarlyConsensus {
  /** Told of tor's consensus at each look. Never rejects: it is of no use to a head that fails for it. */
  look(consensus: Consensus): Promise<void>;
  /** Leaves tor as it was. Never rejects. */
  release(): Promise<void>;
}

const settingsFor = (value: '0' | '1') =>
  ['FetchDirInfoEarly', 'FetchDirInfoExtraEarly'].map((option) => [option, value] as const);

export function createEarlyConsensus(tor: TorClient, clock: Clock, log: Log): EarlyConsensus {
  /** The start of the period that tor has been asked to hear of, unix seconds. */
  let askedFor: number | undefined;
  /** True while tor has our settings in place of its own. */
  let changed = false;

  const release = async (): Promise<void> => {
    if (!changed || tor.state !== 'ready') return;
    changed = false;
    try {
      await tor.setConf(settingsFor('0'));
    } catch (error) {
      log.debug('tor goes on fetching consensuses early', { error });
    }
  };

  return {
    look: async ({ times, rules }) => {
      const start = nextPeriodStart(times, rules);
      if (askedFor !== undefined && askedFor !== start) {
        askedFor = undefined;
        await release();
      }
      if (askedFor === start || clock.now() < start * 1_000) return;
      askedFor = start;
      try {
        // Whoever has set it wants it so all day.
        if ((await tor.getConf('FetchDirInfoExtraEarly'))[0] === '1') return;
        await tor.setConf(settingsFor('1'));
        changed = true;
      } catch (error) {
        log.debug('tor fetches the consensus at its own time', { error });
      }
    },
    release,
  };
}
