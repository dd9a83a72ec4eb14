/** `chimera debug tor`: can this tor be used? Connects, authenticates, and looks at what a publisher needs of it. */
import { ChimeraError, isChimeraError } from '../../../errors.ts';
import {
  isBetweenTimePeriodAndSrv,
  nextPeriodStart,
  timePeriodAt,
  votingIntervalSeconds,
} from '../../../onion/index.ts';
import type { TorClient } from '../../../engine/contracts/tor.ts';
import type { Consensus } from '../../../pipeline/index.ts';
import { formatTime } from '../../../runtime/index.ts';
import type { CommandContext, RegisterCommand } from '../../context.ts';
import { errorForJson, type Field } from '../../output.ts';
import { addExample, jsonOption } from '../../options.ts';
import { addControlOptions, withTor, type ControlOptions } from './control.ts';

interface Health {
  readonly version: string;
  /** Percent. */
  readonly bootstrap: number;
  readonly bootstrapSummary: string;
  readonly socks: readonly string[];
  readonly consensus: Consensus | undefined;
  readonly problems: readonly ChimeraError[];
}

/** A consensus serves clients for three voting intervals; tor puts up with one that is up to a day older. */
const freshIntervals = 3;
/** Fewer cannot hold two replicas of four. */
const fewestHsdirs = 8;

function consensusProblems(consensus: Consensus, now: number): ChimeraError[] {
  const { times, hsdirs } = consensus;
  const ageSeconds = now - times.validAfter;
  const problem = (message: string, remedy: string): ChimeraError =>
    new ChimeraError('TOR_CONSENSUS', message, { remedy });
  const problems: ChimeraError[] = [];
  if (ageSeconds < 0) {
    problems.push(
      problem(
        `the consensus becomes valid in ${-ageSeconds} s, so a clock is wrong`,
        "set this machine's clock right (timedatectl), then restart tor",
      ),
    );
  } else if (ageSeconds > freshIntervals * votingIntervalSeconds(times)) {
    problems.push(
      problem(
        `the consensus is ${Math.floor(ageSeconds / 60)} min old, older than clients accept`,
        "check that tor can reach the network and that this machine's clock is right",
      ),
    );
  }
  if (hsdirs.length === 0) {
    problems.push(
      problem('tor knows no HSDir', 'wait until tor has the microdescriptors; a client that is idle fetches them late'),
    );
  }
  return problems;
}

/** What is unusual and works nevertheless. */
function consensusRemarks({ hsdirs, sharedRandom }: Consensus): string[] {
  const remarks: string[] = [];
  if (hsdirs.length > 0 && hsdirs.length < fewestHsdirs) {
    remarks.push(
      `only ${hsdirs.length} HSDirs: every relay holds every descriptor, and mistakes in the ring do not show`,
    );
  }
  if (sharedRandom.current === undefined) {
    remarks.push('no shared random value yet: all use the one of the specification, as in every young private network');
  }
  return remarks;
}

/** `PROGRESS=…` and `SUMMARY="…"` of a bootstrap phase. */
function bootstrapOf(phase: string): { readonly percent: number; readonly summary: string } {
  return {
    percent: Number(/\bPROGRESS=(\d{1,3})\b/.exec(phase)?.[1] ?? 0),
    summary: /\bSUMMARY="([^"]{0,200})"/.exec(phase)?.[1] ?? 'unknown',
  };
}

async function examine(context: CommandContext, tor: TorClient): Promise<Health> {
  const problems: ChimeraError[] = [];
  const { percent, summary } = bootstrapOf(await tor.getInfo('status/bootstrap-phase'));
  if (percent < 100) {
    problems.push(
      new ChimeraError('TOR_BOOTSTRAP', `tor has bootstrapped to ${percent} %: ${summary}`, {
        remedy: "wait; if it stays, check this machine's network, its clock and tor's log",
      }),
    );
  }
  const socks = [...(await tor.getInfo('net/listeners/socks')).matchAll(/"([^"]+)"/g)].map(([, text = '']) => text);
  let consensus: Consensus | undefined;
  try {
    consensus = await tor.consensus();
    problems.push(...consensusProblems(consensus, Math.floor(context.runtime.clock.now() / 1000)));
  } catch (error) {
    if (!isChimeraError(error, 'TOR_CONSENSUS')) throw error;
    problems.push(error);
  }
  return {
    version: tor.version ?? 'unknown',
    bootstrap: percent,
    bootstrapSummary: summary,
    socks,
    consensus,
    problems,
  };
}

function consensusFields(consensus: Consensus, now: number): Field[] {
  const { times, rules, hsdirs, sharedRandom } = consensus;
  const period = timePeriodAt(times, rules);
  const values = [sharedRandom.previous && 'previous', sharedRandom.current && 'current'].filter(Boolean);
  return [
    ['consensus', `valid after ${formatTime(times.validAfter)}, ${now - times.validAfter} s ago`],
    ['voting interval', `${votingIntervalSeconds(times)} s${rules.testingNetwork ? ' (testing network)' : ''}`],
    ['HSDirs', String(hsdirs.length)],
    ['shared random', values.length === 0 ? 'none' : values.join(' and ')],
    [
      'time period',
      `${period.number} of ${period.lengthMinutes} min; next at ${formatTime(nextPeriodStart(times, rules))}`,
    ],
    ['clients fetch', isBetweenTimePeriodAndSrv(times, rules) ? 'the second descriptor' : 'the first descriptor'],
  ];
}

function show(context: CommandContext, control: string, health: Health, json: boolean): void {
  const { output, runtime } = context;
  const { consensus, problems } = health;
  const remarks = consensus === undefined ? [] : consensusRemarks(consensus);
  const now = Math.floor(runtime.clock.now() / 1000);
  if (json) {
    output.json({
      ok: problems.length === 0,
      control,
      version: health.version,
      bootstrap: { percent: health.bootstrap, summary: health.bootstrapSummary },
      socks: health.socks,
      ...(consensus && {
        consensus: {
          ...consensus.times,
          ageSeconds: now - consensus.times.validAfter,
          testingNetwork: consensus.rules.testingNetwork,
          hsdirs: consensus.hsdirs.length,
          sharedRandom: {
            previous: consensus.sharedRandom.previous !== undefined,
            current: consensus.sharedRandom.current !== undefined,
          },
          period: timePeriodAt(consensus.times, consensus.rules).number,
          periodLengthMinutes: timePeriodAt(consensus.times, consensus.rules).lengthMinutes,
          nextPeriodStart: nextPeriodStart(consensus.times, consensus.rules),
        },
      }),
      remarks,
      problems: problems.map(errorForJson),
    });
  } else {
    output.fields([
      ['control', control],
      ['tor', health.version],
      ['bootstrap', `${health.bootstrap} %: ${health.bootstrapSummary}`],
      ['SOCKS', health.socks.length === 0 ? 'none' : health.socks.join(', ')],
      ...(consensus === undefined ? [] : consensusFields(consensus, now)),
      ['verdict', problems.length === 0 ? output.good('ready for onion services') : output.bad('not ready')],
    ]);
    for (const remark of remarks) output.line(`note: ${remark}`);
  }
  for (const problem of problems) output.error(problem);
}

export const registerTor: RegisterCommand = (group, context) => {
  const command = group
    .command('tor')
    .description('connect to a tor and check all that Chimera needs of it')
    .addOption(jsonOption());
  addControlOptions(command, 10);
  command.action(async (options: ControlOptions & { readonly json?: true }) => {
    const json = options.json === true;
    try {
      await withTor(context, options, async (tor, control) =>
        show(context, control, await examine(context, tor), json),
      );
    } catch (error) {
      if (json) context.output.json({ ok: false, problems: [errorForJson(error)] });
      throw error;
    }
  });
  addExample(command, 'chimera debug tor --control unix:/run/tor/control');
};
