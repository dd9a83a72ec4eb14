/** I9: what a node keeps and says is bounded, whatever happens: members, what its mesh keeps of each, timers, streams, files, datagrams. */
import type { Daemon } from '../node.ts';
import { reportOnce, type MakeChecker } from './checker.ts';

const mostTimers = 400;
const mostFileBytes = 262_144;
const mostFiles = 40;
/** Of one machine in a second: all that the others sent in a minute may come at once (`staleQueue`), and be answered. */
const mostDatagrams = 3_000;

/** What a mesh may keep, by how many others there are, and how many there have ever been. */
const mostKept: Readonly<Record<string, (others: number, ever: number) => number>> = {
  // The current session, the one before it, and one that is not confirmed yet.
  sessions: (others) => 3 * others,
  pending: (others) => others,
  peers: (others) => others,
  clocks: (others) => others,
  entries: (_others, ever) => ever + 1,
  leaders: () => 4,
  pulls: () => 64,
  questions: (_others, ever) => 64 + 16 * ever,
};

export const checkBounds: MakeChecker = ({ world, broken }) => {
  const report = reportOnce(broken);
  const once = (what: string): void => report('I9', what);
  const kept = (name: string, daemon: Daemon | undefined): void => {
    const figures = daemon?.statuses.get('mesh')?.() as Record<string, unknown> | undefined;
    if (daemon?.roster === undefined || figures === undefined) return;
    const others = daemon.roster.admitted().length - 1;
    const ever = others + daemon.roster.removed().length;
    for (const [what, most] of Object.entries(mostKept)) {
      const count = figures[what];
      if (typeof count === 'number' && count > most(others, ever))
        once(`${name} keeps ${count} ${what}, and there are ${others} others (${ever} ever)`);
    }
  };
  const mostStreams = 12 * (world.nodes.length + 4);
  let turn = 0;
  const sent = new Map<string, number>();
  let second = 0;
  return {
    sent: ({ from }) => {
      const now = Math.floor(world.nowMs / 1_000);
      if (now !== second) sent.clear();
      second = now;
      const count = (sent.get(from) ?? 0) + 1;
      sent.set(from, count);
      if (count > mostDatagrams)
        once(`${world.node(from)?.name ?? from} sends more than ${mostDatagrams} datagrams in a second`);
    },
    sample: () => {
      if (turn++ % 20 !== 0) return;
      for (const { name, daemon } of world.awake()) {
        const members = daemon?.mesh.members().length ?? 0;
        if (members > world.nodes.length + 1)
          once(`${name} knows ${members} members of a cluster of ${world.nodes.length}`);
        kept(name, daemon);
        if ((daemon?.life.timers ?? 0) > mostTimers) once(`${name} has ${daemon?.life.timers} timers`);
      }
      if (world.net.streams > mostStreams) once(`${world.net.streams} streams are open`);
    },
    calm: async () => {
      for (const { name, parts } of world.nodes) {
        const paths = world.store.files().filter((path) => path.startsWith(`${parts.directory}/`));
        if (paths.length > mostFiles) once(`${name} keeps ${paths.length} files`);
        for (const path of paths) {
          const length = (await world.store.read(path))?.length ?? 0;
          if (length > mostFileBytes) once(`${path} has ${length} bytes`);
        }
      }
    },
  };
};
