/** Options that several commands have, and how their values are read. */
import { Command, InvalidArgumentError, Option } from 'commander';
import { ChimeraError } from '../errors.ts';
import type { ConsensusTimes, PeriodRules } from '../onion/index.ts';
import { parseEndpoint, type Endpoint } from '../runtime/index.ts';

/** A parser of whole numbers in a range. */
export function wholeNumber(minimum: number, maximum: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d{1,16}$/.test(text) || value < minimum || value > maximum) {
      throw new InvalidArgumentError(`It must be a whole number from ${minimum} to ${maximum}.`);
    }
    return value;
  };
}

/** Unix seconds up to the year 9999; milliseconds are refused as what they are. */
export function unixSeconds(text: string): number {
  const value = Number(text);
  if (!/^\d{1,16}$/.test(text) || value < 1 || value > 253_402_300_799) {
    throw new InvalidArgumentError('It must be a time in unix seconds, such as `date +%s` prints.');
  }
  return value;
}

/** Seconds, fractions allowed, as milliseconds. */
export function secondsAsMs(text: string): number {
  const value = Number(text);
  if (!/^\d{1,6}(?:\.\d{1,3})?$/.test(text) || value <= 0) {
    throw new InvalidArgumentError('It must be a number of seconds above 0.');
  }
  return Math.round(value * 1000);
}

export function endpoint(text: string): Endpoint {
  const parsed = parseEndpoint(text);
  if (parsed === undefined) throw new InvalidArgumentError('It must be host:port, unix:/path or /path.');
  return parsed;
}

/** Collects an option that may be given more than once. */
export function collect(text: string, earlier: readonly string[] = []): readonly string[] {
  return [...earlier, text];
}

export const jsonOption = (): Option => new Option('--json', 'print JSON, for programs');

export interface ConsensusOptions {
  readonly validAfter?: number;
  readonly votingSeconds?: number;
  readonly testingNetwork?: true;
  readonly hsdirInterval?: number;
}

/** The options that stand for a consensus; required ones for a command that cannot do without. */
export function addConsensusOptions(command: Command, required: boolean): Command {
  return command
    .addOption(
      new Option('--valid-after <unix>', "the consensus' valid-after, in unix seconds")
        .argParser(unixSeconds)
        .makeOptionMandatory(required),
    )
    .addOption(
      new Option(
        '--voting-seconds <seconds>',
        'its voting interval: fresh-until minus valid-after (3600 on the public network)',
      )
        .argParser(wholeNumber(1, 86_400))
        .makeOptionMandatory(required),
    )
    .option('--testing-network', 'the network has TestingTorNetwork 1: a time period lasts 24 voting intervals')
    .option(
      '--hsdir-interval <minutes>',
      'consensus parameter hsdir_interval, the length of a time period (default: 1440)',
      wholeNumber(5, 14_400),
    );
}

/** The times and rules that the options say; undefined when they say none. Throws CLI_USAGE for half of them. */
export function consensusFrom(
  options: ConsensusOptions,
): { readonly times: ConsensusTimes; readonly rules: PeriodRules } | undefined {
  const { validAfter, votingSeconds, testingNetwork = false, hsdirInterval } = options;
  if (validAfter === undefined && votingSeconds === undefined && !testingNetwork && hsdirInterval === undefined) {
    return undefined;
  }
  if (validAfter === undefined || votingSeconds === undefined) {
    throw new ChimeraError('CLI_USAGE', '--valid-after and --voting-seconds go together', {
      remedy: 'give both, or neither; --testing-network and --hsdir-interval need them too',
    });
  }
  return {
    times: { validAfter, freshUntil: validAfter + votingSeconds },
    rules: { testingNetwork, ...(hsdirInterval === undefined ? {} : { hsdirIntervalMinutes: hsdirInterval }) },
  };
}

/** An example under a command's help. */
export function addExample(command: Command, ...lines: readonly string[]): Command {
  return command.addHelpText('after', `\nExample:\n${lines.map((line) => `  ${line}`).join('\n')}`);
}
