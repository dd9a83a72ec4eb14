/**
 * I5: no message that is forged, replayed or from somebody else changes what a node believes. I6: what a node says of itself is
 * believed as it said it, and nothing else.
 */
import { watchForgeries } from '../attackers.ts';
import { versionOf } from '../observe.ts';
import type { Daemon } from '../node.ts';
import type { SimulatedNode } from '../world.ts';
import type { MakeChecker } from './checker.ts';

const kinds = ['election', 'heads'] as const;
/** Versions of one record that are remembered. */
const mostVersions = 400;
/** Between looks at what each says itself, beside those that its changes cause. */
const everySamples = 8;

export const checkMessages: MakeChecker = ({ world, storm, broken }) => {
  watchForgeries(world, (how, node, before, after) => {
    let at = 0;
    while (before[at] === after[at] && at < before.length) at++;
    const where = `${before.slice(Math.max(0, at - 40), at + 40)} → ${after.slice(Math.max(0, at - 40), at + 40)}`;
    broken('I5', `${how} changes what ${node.name} believes: ${where}`);
  });

  /** What each node has said under each kind, by incarnation and version. */
  const said = new Map<string, Map<string, string>>();
  const remembered = new Map<string, unknown>();
  const remember = (node: SimulatedNode, { mesh }: Daemon, kind: string): void => {
    const own = mesh.record(kind, node.id);
    if (own === undefined) return;
    const key = `${node.id} ${kind}`;
    if (remembered.get(key) === own.value) return;
    remembered.set(key, own.value);
    const versions = said.get(key) ?? new Map<string, string>();
    said.set(key, versions);
    versions.set(`${own.incarnation} ${own.version}`, JSON.stringify(own.value));
    while (versions.size > mostVersions) versions.delete(versions.keys().next().value as string);
  };
  const rememberAll = (): void => {
    for (const node of [...world.nodes, ...world.former]) {
      if (node.daemon !== undefined) for (const kind of kinds) remember(node, node.daemon, kind);
    }
  };
  /** What was compared last, by reader and kind: the same object needs no second look. */
  const compared = new Map<string, Map<string, unknown>>();
  let turn = 0;
  return {
    daemon: (node, daemon) => {
      daemon.mesh.onChange((change) => {
        if (change.node === node.id && change.what === 'record') remember(node, daemon, change.kind);
      });
    },
    sample: () => {
      // What it said before its mesh had started is told by no change.
      if (turn % everySamples === 0) rememberAll();
      // A copied machine speaks with the same key.
      if (storm.disturbances.some(({ kind }) => kind === 'clone')) return;
      // Each node's beliefs every now and then: they change slowly.
      const reader = world.nodes[turn++ % world.nodes.length];
      if (reader?.daemon === undefined) return;
      const { unsigned } = world.observations;
      for (const kind of kinds) {
        const place = `${reader.id} ${kind}`;
        const checked = compared.get(place) ?? new Map<string, unknown>();
        compared.set(place, checked);
        for (const record of reader.daemon.mesh.records(kind)) {
          const { node, version, value } = record;
          if (node !== reader.id && unsigned.size > 0 && unsigned.has(versionOf(record)))
            broken('I6', `${reader.name} believes what ${world.node(node)?.name} has not signed in ${kind} ${version}`);
          if (node === reader.id || checked.get(node) === value) continue;
          const versions = said.get(`${node} ${kind}`);
          if (versions === undefined) continue;
          checked.set(node, value);
          const text = JSON.stringify(value);
          if ([...versions.values()].includes(text)) continue;
          rememberAll();
          if ([...versions.values()].includes(text)) continue;
          if (versions.size < mostVersions) {
            broken(
              'I6',
              `${reader.name} believes that ${world.node(node)?.name} says ${text.slice(0, 80)} in ${kind} ${version}`,
            );
          }
        }
      }
    },
  };
};
