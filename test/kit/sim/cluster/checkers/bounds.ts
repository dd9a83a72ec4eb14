/** I9: what a node keeps is bounded, whatever happens: members, timers, streams, files. */
import type { MakeChecker } from './checker.ts';

const mostTimers = 400;
const mostFileBytes = 262_144;
const mostFiles = 40;

export const checkBounds: MakeChecker = ({ world, broken }) => {
  const told = new Set<string>();
  const once = (what: string): void => {
    if (told.has(what)) return;
    told.add(what);
    broken('I9', what);
  };
  const mostStreams = 12 * (world.nodes.length + 4);
  let turn = 0;
  return {
    sample: () => {
      if (turn++ % 20 !== 0) return;
      for (const { name, daemon } of world.awake()) {
        const members = daemon?.mesh.members().length ?? 0;
        if (members > world.nodes.length + 1)
          once(`${name} knows ${members} members of a cluster of ${world.nodes.length}`);
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
