/**
 * A tor's options: what its torrc said, and what SETCONF changed since. The options that the simulated network acts upon, or
 * that controllers ask for, have their kinds and defaults here; the others are taken and given back.
 */
import type { TorrcOptions } from '../network.ts';
import { torrcOptionNames } from './torrc-options.ts';

export type OptionLine = readonly [name: string, value: string];

/** Options that form onion services, one after another: setting one of them replaces all. */
const serviceOptions = [
  'HiddenServiceDir',
  'HiddenServicePort',
  'HiddenServiceVersion',
  'HiddenServiceNumIntroductionPoints',
  'HiddenServiceOnionBalanceInstance',
  'HiddenServiceExportCircuitID',
  'HiddenServiceAllowUnknownPorts',
  'HiddenServiceMaxStreams',
  'HiddenServiceMaxStreamsCloseCircuit',
  'HiddenServiceDirGroupReadable',
  'HiddenServiceEnableIntroDoSDefense',
  'HiddenServiceEnableIntroDoSRatePerSec',
  'HiddenServiceEnableIntroDoSBurstPerSec',
  'HiddenServicePoWDefensesEnabled',
  'HiddenServicePoWQueueRate',
  'HiddenServicePoWQueueBurst',
] as const;

type OptionKind = 'text' | 'flag' | 'number' | 'lines';

interface OptionRule {
  readonly kind: OptionKind;
  readonly value?: string;
}

const rules: Readonly<Record<string, OptionRule>> = {
  AddressDisableIPv6: { kind: 'flag', value: '0' },
  CircuitBuildTimeout: { kind: 'number', value: '60' },
  ClientOnionAuthDir: { kind: 'text' },
  ControlPort: { kind: 'lines' },
  ControlSocket: { kind: 'lines' },
  CookieAuthFile: { kind: 'text' },
  CookieAuthentication: { kind: 'flag', value: '0' },
  ConfluxEnabled: { kind: 'text', value: 'auto' },
  DataDirectory: { kind: 'text' },
  DirAuthority: { kind: 'lines' },
  DisableNetwork: { kind: 'flag', value: '0' },
  EntryNodes: { kind: 'text' },
  ExcludeNodes: { kind: 'text' },
  FetchHidServDescriptors: { kind: 'flag', value: '1' },
  FetchUselessDescriptors: { kind: 'flag', value: '0' },
  HSLayer2Nodes: { kind: 'text' },
  HSLayer3Nodes: { kind: 'text' },
  HashedControlPassword: { kind: 'lines' },
  HiddenServiceNonAnonymousMode: { kind: 'flag', value: '0' },
  HiddenServiceSingleHopMode: { kind: 'flag', value: '0' },
  LearnCircuitBuildTimeout: { kind: 'flag', value: '1' },
  Log: { kind: 'lines' },
  MaxCircuitDirtiness: { kind: 'number', value: '600' },
  MetricsPort: { kind: 'lines' },
  MetricsPortPolicy: { kind: 'lines' },
  Nickname: { kind: 'text' },
  NumCPUs: { kind: 'number', value: '0' },
  ORPort: { kind: 'lines' },
  PathsNeededToBuildCircuits: { kind: 'text', value: '-1.000000' },
  PublishHidServDescriptors: { kind: 'flag', value: '1' },
  SafeLogging: { kind: 'text', value: '1' },
  ShutdownWaitLength: { kind: 'number', value: '30' },
  SocksPolicy: { kind: 'lines' },
  SocksPort: { kind: 'lines' },
  SocksTimeout: { kind: 'number', value: '120' },
  StrictNodes: { kind: 'flag', value: '0' },
  TestingTorNetwork: { kind: 'flag', value: '0' },
  UseEntryGuards: { kind: 'flag', value: '1' },
  User: { kind: 'text' },
  VanguardsLiteEnabled: { kind: 'text', value: 'auto' },
  ...Object.fromEntries(serviceOptions.map((name) => [name, { kind: 'lines' } as const])),
};

const canonicalNames = new Map([...torrcOptionNames, ...Object.keys(rules)].map((name) => [name.toLowerCase(), name]));
const serviceNames = new Set<string>(serviceOptions);

/** What a refused change answers. */
export interface Refusal {
  readonly code: 513 | 552 | 553;
  readonly text: string;
}

export function canonicalOption(name: string): string | undefined {
  return canonicalNames.get(name.toLowerCase());
}

export function isServiceOption(name: string): boolean {
  return serviceNames.has(name);
}

function refuseValue(name: string, value: string): string | undefined {
  const kind = rules[name]?.kind;
  if (kind === 'number' && !/^\d+( (?:seconds?|minutes?|hours?))?$/.test(value)) {
    return `Could not parse ${name}: Provided value is malformed or out of bounds: Unable to parse ${value} as a number`;
  }
  if (kind === 'flag' && value !== '0' && value !== '1') {
    return `Could not parse ${name}: Provided value is malformed or out of bounds: Unrecognized value ${value}. Allowed values are 0 and 1.`;
  }
  return undefined;
}

export class Configuration {
  #lines: readonly OptionLine[];
  readonly #torrc: readonly OptionLine[];

  /** Throws a plain Error for an option that tor would refuse to start with. */
  constructor(torrc: TorrcOptions) {
    this.#torrc = Object.entries(torrc).flatMap(([name, value]) => {
      const canonical = canonicalOption(name);
      if (canonical === undefined) throw new Error(`tor knows no torrc option ${name}`);
      return (typeof value === 'string' ? [value] : value).map((item): OptionLine => {
        const refusal = refuseValue(canonical, item);
        if (refusal !== undefined) throw new Error(refusal);
        return [canonical, item];
      });
    });
    this.#lines = this.#torrc;
  }

  /** The last value set, or the default. */
  text(name: string): string | undefined {
    return this.#lines.findLast(([option]) => option === name)?.[1] ?? rules[name]?.value;
  }

  flag(name: string): boolean {
    return this.text(name) === '1';
  }

  number(name: string): number {
    return Number.parseInt(this.text(name) ?? '0', 10);
  }

  /** Answers to GETCONF: lines `NAME=value`, or the bare name when it is not set. */
  answer(name: string): readonly string[] {
    if (name === 'HiddenServiceOptions') {
      const lines = this.serviceLines;
      return lines.length === 0 ? [name] : lines.map(([option, value]) => `${option}=${value}`);
    }
    const set = this.#lines.filter(([option]) => option === name);
    if (set.length > 0) return set.map(([, value]) => `${name}=${value}`);
    const fallback = rules[name]?.value;
    return [fallback === undefined ? name : `${name}=${fallback}`];
  }

  get serviceLines(): readonly OptionLine[] {
    return this.#lines.filter(([name]) => isServiceOption(name));
  }

  get lines(): readonly OptionLine[] {
    return this.#lines;
  }

  /** The lines that would hold after a SETCONF or RESETCONF, or why tor refuses. Nothing changes before `replace`. */
  after(changes: readonly (readonly [name: string, value: string | undefined])[]): readonly OptionLine[] | Refusal {
    const added: OptionLine[] = [];
    const cleared = new Set<string>();
    for (const [name, value] of changes) {
      const canonical = canonicalOption(name);
      if (canonical === undefined) {
        return { code: 552, text: `Unrecognized option: Unknown option '${name}'.  Failing.` };
      }
      cleared.add(canonical);
      if (value === undefined || value === '') continue;
      const refusal = refuseValue(canonical, value);
      if (refusal !== undefined) return { code: 513, text: `Unacceptable option value: ${refusal}` };
      added.push([canonical, value]);
    }
    const clearsServices = [...cleared].some(isServiceOption);
    const kept = this.#lines.filter(([name]) => !cleared.has(name) && !(clearsServices && isServiceOption(name)));
    const single = added.filter(
      ([name], index) => rules[name]?.kind === 'lines' || added.findLastIndex(([other]) => other === name) === index,
    );
    return [...kept, ...single];
  }

  replace(lines: readonly OptionLine[]): void {
    this.#lines = lines;
  }

  /** What SIGHUP goes back to. */
  get torrc(): readonly OptionLine[] {
    return this.#torrc;
  }
}
