/** What the tests of the command line share: a run in this process, and a small cast of services with descriptors. */
import { registerDebug } from '../../../core/cli/commands/debug/index.ts';
import type { CommandContext, RegisterCommand } from '../../../core/cli/context.ts';
import { runProgram } from '../../../core/cli/program.ts';
import {
  encodeDescriptor,
  encodeSecretKeyFile,
  timePeriodAt,
  type PeriodRules,
  type TimePeriod,
} from '../../../core/onion/index.ts';
import { systemRuntime, type Runtime } from '../../../core/runtime/index.ts';
import { createMemoryStore, type MemoryStore } from '../../kit/sim/memory-store.ts';
import { makeIntroPoints, makeService, plainFeatures, type TestService } from '../onion/support.ts';

export interface CliRun {
  readonly exitCode: number;
  readonly out: string;
  readonly err: string;
  /** Standard output as JSON. */
  readonly json: () => Record<string, unknown>;
}

export interface CliOptions {
  readonly runtime?: Runtime;
  readonly input?: string | Uint8Array;
  /** What the person at the terminal answers. */
  readonly yes?: boolean;
  /** Whether standard error is a screen. */
  readonly progress?: boolean;
  readonly commands?: readonly RegisterCommand[];
  readonly connectTor?: CommandContext['connectTor'];
  readonly secrets?: CommandContext['secrets'];
}

/** Runs a command line in this process. */
export async function runCli(args: readonly string[], options: CliOptions = {}): Promise<CliRun> {
  let out = '';
  let err = '';
  const exitCode = await runProgram({
    commands: options.commands ?? [registerDebug],
    arguments: args,
    runtime: options.runtime ?? systemRuntime(),
    terminal: {
      colours: false,
      screen: false,
      progress: options.progress ?? false,
      confirm: () => Promise.resolve(options.yes ?? false),
      write: (text) => void (out += text),
      writeError: (text) => void (err += text),
      readInput: () => Promise.resolve(Uint8Array.from(Buffer.from(options.input ?? ''))),
    },
    ...(options.secrets === undefined ? {} : { secrets: options.secrets }),
    ...(options.connectTor === undefined ? {} : { connectTor: options.connectTor }),
  });
  return { exitCode, out, err, json: () => JSON.parse(out) as Record<string, unknown> };
}

/** A consensus of the public network, after 12:00 UTC: clients use the second descriptor. */
export const publicTimes = { validAfter: 1_795_197_600, freshUntil: 1_795_201_200 };
export const publicPeriod: TimePeriod = timePeriodAt(publicTimes, { testingNetwork: false });

/** A consensus of a testing network with votes every 20 s. */
export const testingTimes = { validAfter: 1_795_197_680, freshUntil: 1_795_197_700 };
export const testingRules: PeriodRules = { testingNetwork: true };
export const testingPeriod: TimePeriod = timePeriodAt(testingTimes, testingRules);

/** A descriptor of a service, with the intro points of its seed. */
export function descriptorOf(
  service: TestService,
  options: {
    readonly introPoints?: number;
    readonly now?: number;
    readonly clients?: readonly Uint8Array[];
    readonly revision?: bigint;
  } = {},
): string {
  const { introPoints = 3, now = publicTimes.validAfter, clients = [], revision = 7n } = options;
  return encodeDescriptor(service.material, {
    subcredential: service.subcredential,
    revision,
    introPoints: makeIntroPoints(introPoints, service.random),
    features: plainFeatures,
    clients,
    now,
    random: service.random,
  });
}

/** A runtime whose files are in memory: `files` lie in /files. */
export async function withFiles(
  files: Readonly<Record<string, string | Uint8Array>>,
): Promise<{ readonly store: MemoryStore; readonly runtime: Runtime }> {
  const store = createMemoryStore();
  await store.makeDirectory('/files');
  for (const [name, data] of Object.entries(files)) await store.write(`/files/${name}`, data);
  return { store, runtime: { ...systemRuntime(), store } };
}

/** The three backends and the master of the merge tests, by seed. */
export async function makeCast(
  period: TimePeriod,
  now: number,
): Promise<{ readonly master: TestService; readonly backends: readonly TestService[]; readonly keyFile: Uint8Array }> {
  const backends = await Promise.all([11, 12, 13].map((seed) => makeService(seed, period, now)));
  const master = await makeService(99, period, now);
  return { master, backends, keyFile: encodeSecretKeyFile(master.master) };
}
