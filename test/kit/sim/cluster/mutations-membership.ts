/** Deliberate bugs with members: those that are removed are believed, heard, or trusted as before; those that are missed are talked of without end. */
import { Book } from '../../../../plugins/mesh/book.ts';
import { Members } from '../../../../plugins/mesh/members.ts';
import { Sessions } from '../../../../plugins/mesh/session/sessions.ts';
import { patched, type Mutation } from './mutation.ts';
import { over, replaced, withHost } from './wrap.ts';

const faults = { membershipEverySecs: 60, membershipSecs: 40 } as const;

export const membershipMutations: readonly Mutation[] = [
  {
    name: 'the records of a removed member are still believed',
    breaks: ['I6'],
    install: () => {
      const releases = [
        patched(Members.prototype, { remove: () => undefined }),
        patched(Book.prototype, { rosterChanged: () => undefined }),
      ];
      return () => {
        for (const release of releases) release();
      };
    },
    faults,
  },
  {
    name: 'a removed member is told, and publishes on',
    breaks: ['I3'],
    mutate: (plugins) =>
      replaced(plugins, 'mesh', (plugin) =>
        withHost(plugin, (host) => ({
          ...host,
          hooks: { ...host.hooks, admit: over(host.hooks.admit, { tap: () => undefined }) },
        })),
      ),
    faults,
  },
  {
    name: 'the sessions of a removed member stay',
    breaks: ['I9'],
    install: () => patched(Sessions.prototype, { end: () => undefined }),
    faults,
  },
  {
    name: 'a removed member knows the cluster’s secret as before',
    breaks: ['I7'],
    mutate: (plugins) => plugins.filter(({ name }) => name !== 'revocation'),
    faults,
  },
  {
    name: 'an accusation that does not count is passed on',
    breaks: ['I9'],
    install: () => {
      const before = Object.getOwnPropertyDescriptor(Members.prototype, 'suspect')?.value as Members['suspect'];
      return patched(Members.prototype, {
        suspect(this: Members, node, accuser, ...rest) {
          const known = this.get(node)?.suspicion?.accusers.has(accuser) === true;
          const there = (this.get(node)?.state ?? 'dead') !== 'dead';
          before.call(this, node, accuser, ...rest);
          return there && !known;
        },
      });
    },
    // It takes more who miss one at a time than count: those of two sides, as they meet.
    faults: { partitionEverySecs: 40, partitionSecs: 8, pauseEverySecs: 30, pauseSecs: 12 },
    nodes: 10,
  },
];
