/**
 * What `chimera run` costs while nothing happens: a process of its own with three heads, on an embedded Tor network in
 * this one, read from /proc after it has published.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemRuntime } from '../../core/runtime/index.ts';
import { startEmbeddedNetwork } from '../kit/network/embedded/index.ts';
import { fromBase64, relayCount, type Fixture } from './fixture.ts';
import type { Figure } from './table.ts';

const program = 'dist/bench/core/cli/main.js';
const heads = 3;
const publishedWithinMs = 120_000;
/** After the publication: V8 gives back what the start took only when a process has done nothing for half a minute. */
const settleMs = 60_000;
/** Kernel's USER_HZ, the unit of /proc/PID/stat; 100 on every Linux that Node runs on. */
const ticksPerSecond = 100;

interface Use {
  readonly cpuSeconds: number;
  readonly residentMib: number;
  /** The most since the start. */
  readonly peakMib: number;
}

function useOf(pid: number): Use {
  // The fields after the program's name, which may contain blanks, in its brackets: state is the first.
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  const mib = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) / 1024;
  return {
    cpuSeconds: (Number(fields[11]) + Number(fields[12])) / ticksPerSecond,
    residentMib: mib('VmRSS'),
    peakMib: mib('VmHWM'),
  };
}

/** Resolves when the node has logged that it published all heads. */
async function published(child: ChildProcess): Promise<void> {
  const { stderr } = child;
  if (stderr === null) throw new Error('the node has no standard error');
  const seen: string[] = [];
  const reader = createInterface(stderr);
  const found = new Promise<void>((resolve, reject) => {
    reader.on('line', (line) => {
      seen.push(line);
      if (line.includes('"published:') && (JSON.parse(line) as { heads?: unknown[] }).heads?.length === heads)
        resolve();
    });
    child.once('exit', (code) => reject(new Error(`chimera run ended (exit code ${code}):\n${seen.join('\n')}`)));
  });
  await Promise.race([
    found,
    sleep(publishedWithinMs, undefined, { ref: false }).then(() => {
      throw new Error(`chimera run has not published within ${publishedWithinMs / 1_000} s:\n${seen.join('\n')}`);
    }),
  ]);
}

/** Samples once a second for `seconds`. Linux only. */
export async function benchIdle(options: {
  readonly fixture: Fixture;
  /** An empty folder. */
  readonly folder: string;
  readonly seconds: number;
}): Promise<Figure[]> {
  const { fixture, folder, seconds } = options;
  const network = await startEmbeddedNetwork(systemRuntime(), {
    hsdirs: relayCount,
    votingSeconds: 3_600,
    testingNetwork: false,
    sharedRandom: 'both',
    directory: join(folder, 'network'),
  });
  let child: ChildProcess | undefined;
  try {
    const controls: string[] = [];
    for (let head = 0; head < heads; head++) {
      const { control } = await network.addTor({ name: `head-${head}` });
      if (!('port' in control)) throw new Error('the network has no TCP control port');
      controls.push(`${control.host}:${control.port}`);
    }
    await network.ready();
    const keyPath = join(folder, 'hs_ed25519_secret_key');
    const configPath = join(folder, 'chimera.json');
    writeFileSync(keyPath, fromBase64(fixture.secretKeyFile), { mode: 0o600 });
    const config = {
      preset: 'stable',
      node: { id: 'bench', state_directory: join(folder, 'state') },
      master: { identity_key_path: keyPath },
      tor: { control: controls[0] },
      heads: { controls },
      log: { format: 'json' },
    };
    writeFileSync(configPath, JSON.stringify(config));
    child = spawn(process.execPath, [program, 'run', '--config', configPath], { stdio: ['ignore', 'ignore', 'pipe'] });
    const pid = child.pid;
    if (pid === undefined) throw new Error('chimera run could not be started');
    await published(child);
    await sleep(settleMs);

    const before = useOf(pid);
    const residents: number[] = [];
    for (let second = 0; second < seconds; second++) {
      await sleep(1_000);
      residents.push(useOf(pid).residentMib);
    }
    const after = useOf(pid);
    const share = (100 * (after.cpuSeconds - before.cpuSeconds)) / seconds;
    return [
      { what: 'resident memory, most while idle', value: Math.max(...residents), unit: 'MiB', below: 90 },
      { what: 'resident memory, most since the start', value: after.peakMib, unit: 'MiB' },
      { what: 'processor', value: share, unit: '% of a core', below: 1 },
    ];
  } finally {
    child?.kill();
    await network.stop();
  }
}
