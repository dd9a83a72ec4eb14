/** `chimera lab`: a service with several heads on a Tor network of its own, checked by a client's tor, told as it goes. */
import { InvalidArgumentError } from 'commander';
import { resolve } from 'node:path';
import kleur from 'kleur';
import { plugins } from '../../../plugins/index.ts';
import { loadStrategy } from '../../../plugins/strategy/index.ts';
import { presetPlugins } from '../../config/preset.ts';
import { presets } from '../../../presets/index.ts';
import { runLab, type LabEvent } from '../../../test/kit/lab/story.ts';
import type { TorNetwork } from '../../../test/kit/network/network.ts';
import { ChimeraError } from '../../errors.ts';
import { systemSelf, type Runtime } from '../../runtime/index.ts';
import type { RegisterCommand } from '../context.ts';
import { exitCodes } from '../exit.ts';

interface LabCommandOptions {
  readonly tor: string;
  readonly nodes?: number;
  readonly preset?: string;
  readonly panic?: number | true;
  readonly strategy?: string;
  readonly for: number;
  readonly json?: boolean;
}

function whole(minimum: number, maximum: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < minimum || value > maximum) {
      throw new InvalidArgumentError(`It must be a whole number from ${minimum} to ${maximum}.`);
    }
    return value;
  };
}

function oneOf(...values: readonly string[]): (text: string) => string {
  return (text) => {
    if (!values.includes(text)) throw new InvalidArgumentError(`It must be one of ${values.join(', ')}.`);
    return text;
  };
}

function line({ atMs, kind, text, held }: LabEvent): string {
  const time = kleur.gray(`${(atMs / 1_000).toFixed(1).padStart(6)} s`);
  if (kind === 'step') return `${time}  ${kleur.bold(text)}\n`;
  if (kind === 'note') return `${time}    ${kleur.gray(text)}\n`;
  return `${time}  ${held === true ? kleur.green('✓') : kleur.red('✗')} ${text}\n`;
}

/** Presets whose nodes the lab can make: a cluster's have keys, a transport and a vault of their own, by init and join. */
const rehearsable = [...presets.values()]
  .filter((preset) => presetPlugins(preset).some(({ name }) => name === 'heads/registry'))
  .map(({ name }) => name);

/** As much of the lab's day of eight minutes as half an hour is of a day; rounded up, for publishing takes seconds as ever. */
const panicTurnMs = 45_000;

/** The preset that is asked for, or the one that fits; throws CLI_USAGE when it has no panic mode and that is the question. */
function presetFor({ preset, panic, nodes = 6 }: LabCommandOptions): string {
  if (panic === undefined) return preset ?? 'stable';
  const chosen = preset ?? 'roulette';
  const able = [...presets.values()].filter((one) => presetPlugins(one).some(({ name }) => name === 'roulette'));
  const names = able.map(({ name }) => name);
  if (!names.includes(chosen)) {
    throw new ChimeraError('CLI_USAGE', `--panic: preset ${chosen} has no panic mode`, {
      remedy: `leave --preset out, or choose ${names.join(' or ')}`,
    });
  }
  if (nodes < 3) {
    throw new ChimeraError('CLI_USAGE', `--panic: with ${nodes} nodes there is nothing to turn`, {
      remedy: 'take --nodes 3 or more',
    });
  }
  return chosen;
}

/** Real tors are slow to find each other; the network is asked to be small unless placement is the question. */
async function startNetwork(kind: string, runtime: Runtime, signal: AbortSignal): Promise<TorNetwork> {
  if (kind === 'embedded') {
    const { startEmbeddedNetwork } = await import('../../../test/kit/network/embedded/index.ts');
    return startEmbeddedNetwork(runtime);
  }
  const { startPrivateNetwork } = await import('../../../test/kit/network/private/index.ts');
  return startPrivateNetwork(runtime, { signal });
}

export const registerLab: RegisterCommand = (program, { runtime, terminal }) => {
  program
    .command('lab')
    .summary('rehearse a service on a Tor network of its own')
    .description(
      'Starts a Tor network on loopback and a service with several nodes on it; a client verifies the descriptor, reaches ' +
        'every head, and sees what happens when one dies. Exits 0 only if everything held.',
    )
    .option(
      '--tor <kind>',
      'the network: "embedded" (in this process) or "real" (the system’s tor)',
      oneOf('embedded', 'real'),
      'embedded',
    )
    .option('--nodes <n>', 'how many nodes, one head each (default: 3; 6 with --panic)', whole(1, 20))
    .option(
      '--preset <name>',
      `preset of the nodes: ${rehearsable.join(', ')} (default: stable, which cluster is on several machines; roulette with --panic)`,
      oneOf(...rehearsable),
    )
    .option(
      '--panic [turns]',
      'kill no head; turn panic mode on for so many turns (default: 3) of 45 s while two clients visit once a second',
      whole(1, 100),
    )
    .option('--strategy <file>', 'a rotation strategy of your own, a module, in place of the preset’s')
    .option('--for <seconds>', 'keep visiting once a second for this long', whole(0, 86_400), 0)
    .option('--json', 'print the events and the outcome as one JSON document')
    .addHelpText('after', '\nExamples:\n  chimera lab\n  chimera lab --tor real --for 60\n  chimera lab --panic')
    .action(async (options: LabCommandOptions) => {
      const preset = presetFor(options);
      const strategy = options.strategy === undefined ? undefined : resolve(process.cwd(), options.strategy);
      if (strategy !== undefined) await loadStrategy(strategy);
      const interrupt = new AbortController();
      // Not `once`: the network's own clean-up ends the process when nobody else listens any more.
      const stop = (): void => {
        if (interrupt.signal.aborted) process.exit(exitCodes.failed);
        interrupt.abort(new Error('interrupted'));
      };
      for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, stop);
      const suffix = Buffer.from(runtime.random.bytes(4)).toString('hex');
      const directory = `${systemSelf.temporaryDirectory}/chimera-lab-${suffix}`;
      await runtime.store.makeDirectory(directory);
      try {
        const { memoryTransport, createMemoryBus } = await import('../../../plugins/transport/memory/index.ts');
        const bus = createMemoryBus({ clock: runtime.clock, random: runtime.random });
        const report = await runLab({
          runtime,
          directory,
          shipped: { presets, plugins },
          network: () => startNetwork(options.tor, runtime, interrupt.signal),
          nodes: options.nodes ?? (options.panic === undefined ? 3 : 6),
          preset,
          ...(options.panic === undefined
            ? {}
            : { panic: { turns: options.panic === true ? 3 : options.panic, turnMs: panicTurnMs } }),
          ...(strategy === undefined ? {} : { settings: { strategy: { file: strategy } } }),
          cluster: () => [memoryTransport(bus)],
          forMs: options.for * 1_000,
          signal: interrupt.signal,
          tell: (event) => {
            if (options.json !== true) terminal.write(line(event));
          },
        });
        if (options.json === true) terminal.write(`${JSON.stringify(report, null, 2)}\n`);
        else if (report.held) terminal.write(kleur.green('\nEverything held.\n'));
        if (!report.held) {
          const broken = report.events.filter(({ held }) => held === false);
          const claims = broken.map(({ text }) => text).join('; ');
          const known = broken.map(({ data }) => data?.remedy).find((remedy) => typeof remedy === 'string');
          throw new ChimeraError('LAB_NOT_HELD', `not everything held: ${claims || 'nothing was checked'}`, {
            remedy: known ?? 'run it again with --debug to see what happens inside',
          });
        }
      } finally {
        await runtime.store.remove(directory);
        for (const name of ['SIGINT', 'SIGTERM'] as const) process.removeListener(name, stop);
      }
    });
};
