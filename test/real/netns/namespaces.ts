/**
 * Machines of their own on one wire: network namespaces, each with an address on a bridge that lives in a namespace too, so
 * that the host's own network is untouched. Links are cut, in one direction or both, by nftables in the receiver's namespace.
 * Names carry the owner's process id: what a killed owner left is removed by the next.
 */
import { execFileSync } from 'node:child_process';
import { systemSelf } from '../../../core/runtime/index.ts';

const prefix = 'chimera-';
const network = '10.77.0';

export interface Namespaces {
  /** The IPv4 address of a machine. */
  addressOf(name: string): string;
  /** What a command line begins with to run on a machine. */
  enter(name: string): readonly string[];
  /** Loses what `from` sends to `to`, and, unless one-way, the other direction too. */
  cut(from: string, to: string, oneWay?: boolean): void;
  /** Undoes all cuts. */
  heal(): void;
  /** Kills what runs in the namespaces and removes them. May be called again. */
  remove(): void;
}

function run(command: string, args: readonly string[], input?: string): string {
  return execFileSync(command, args, { encoding: 'utf8', stdio: 'pipe', ...(input === undefined ? {} : { input }) });
}

function attempt(command: string, args: readonly string[]): string {
  try {
    return run(command, args);
  } catch {
    return '';
  }
}

function removeNamespace(full: string): void {
  for (const pid of attempt('ip', ['netns', 'pids', full]).split('\n').filter(Boolean)) {
    try {
      process.kill(Number(pid), 'SIGKILL');
    } catch {
      // Gone already.
    }
  }
  attempt('ip', ['netns', 'delete', full]);
}

/** Removes the namespaces of owners that are gone. */
function sweep(): void {
  for (const line of attempt('ip', ['netns', 'list']).split('\n')) {
    const [full = ''] = line.split(' ');
    const owner = new RegExp(`^${prefix}(\\d+)-`).exec(full)?.[1];
    if (owner !== undefined && !systemSelf.alive(Number(owner))) removeNamespace(full);
  }
}

const table = `table inet cut {
  set silent { type ipv4_addr; }
  chain input { type filter hook input priority 0; policy accept; ip saddr @silent drop; }
}
`;

let serial = 0;

/** Makes a machine for each name: letters and digits. Needs root. */
export function createNamespaces(names: readonly string[]): Namespaces {
  sweep();
  const base = `${prefix}${systemSelf.pid}-${serial++}`;
  const hub = `${base}-hub`;
  const fullOf = (name: string): string => `${base}-${name}`;
  const addressOf = (name: string): string => {
    const index = names.indexOf(name);
    if (index < 0) throw new Error(`there is no machine ${name}`);
    return `${network}.${index + 1}`;
  };
  let removed = false;
  const remove = (): void => {
    if (removed) return;
    removed = true;
    process.off('exit', remove);
    for (const name of names) removeNamespace(fullOf(name));
    removeNamespace(hub);
  };
  process.on('exit', remove);
  const nft = (name: string, script: string): void =>
    void run('ip', ['netns', 'exec', fullOf(name), 'nft', '-f', '-'], script);
  try {
    run('ip', ['netns', 'add', hub]);
    run('ip', ['-n', hub, 'link', 'add', 'bridge', 'type', 'bridge']);
    run('ip', ['-n', hub, 'link', 'set', 'bridge', 'up']);
    for (const [index, name] of names.entries()) {
      const full = fullOf(name);
      run('ip', ['netns', 'add', full]);
      run('ip', ['-n', hub, 'link', 'add', `port${index}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', full]);
      run('ip', ['-n', hub, 'link', 'set', `port${index}`, 'master', 'bridge', 'up']);
      run('ip', ['-n', full, 'address', 'add', `${addressOf(name)}/24`, 'dev', 'eth0']);
      for (const device of ['lo', 'eth0']) run('ip', ['-n', full, 'link', 'set', device, 'up']);
      nft(name, table);
    }
  } catch (error) {
    remove();
    throw error;
  }
  return {
    addressOf,
    enter: (name) => {
      addressOf(name);
      return ['ip', 'netns', 'exec', fullOf(name)];
    },
    cut: (from, to, oneWay = false) => {
      nft(to, `add element inet cut silent { ${addressOf(from)} }\n`);
      if (!oneWay) nft(from, `add element inet cut silent { ${addressOf(to)} }\n`);
    },
    heal: () => {
      for (const name of names) nft(name, 'flush set inet cut silent\n');
    },
    remove,
  };
}
