/**
 * repair: sees what has gone wrong on this node and does what can be done about it, each thing with a back-off and a bound, and
 * writes down what and why. Causes are typed: states, error codes, results of cycles. No message is searched for words.
 *
 *   control connection ─► restart tor · results of cycles ─► republish, step down · introduction circuits ─► exclude, include
 */
import * as v from 'valibot';
import { integer, nonEmpty } from '../../core/config/schema.ts';
import {
  adminContract,
  definePlugin,
  electionContract,
  headControlContract,
  torContract,
} from '../../core/engine/index.ts';
import { parseEndpoint, type Endpoint } from '../../core/runtime/index.ts';
import { createBudget, type Budget } from './budget.ts';
import { describeCause, type Action, type Cause } from './cause.ts';
import { restartCommand } from './command.ts';
import { watchHeads } from './heads.ts';
import { createJournal } from './journal.ts';
import { decidePublication, initialPublications } from './publications.ts';
import { watchTor } from './tors.ts';

const tor = v.pipe(
  v.strictObject({
    /** Its control port; the node's own tor without it. */
    control: v.optional(
      v.pipe(
        nonEmpty,
        v.check((text) => parseEndpoint(text) !== undefined, 'must be host:port or unix:/path'),
        v.transform((text) => parseEndpoint(text) as Endpoint),
      ),
    ),
    /** The unit of systemd that runs it … */
    unit: v.optional(v.pipe(nonEmpty, v.regex(/^[A-Za-z0-9][A-Za-z0-9@:_.\\-]{0,200}$/, 'must be the name of a unit'))),
    /** … or the command that restarts it, with its arguments. */
    command: v.optional(v.pipe(v.array(nonEmpty), v.minLength(1, 'must name a command'))),
  }),
  v.check(({ unit, command }) => unit === undefined || command === undefined, 'either unit or command'),
);

const options = v.strictObject({
  /** The tors to restart, each with how. */
  tors: v.optional(v.pipe(v.array(tor), v.maxLength(64)), []),
  check_interval_ms: v.optional(integer(500, 600_000), 5_000),
  gone_after_ms: v.optional(integer(1_000, 3_600_000), 15_000),
  hangs_after_ms: v.optional(integer(1_000, 3_600_000), 20_000),
  restart_timeout_ms: v.optional(integer(1_000, 600_000), 60_000),
  /** Lost publications in a row. */
  republish_after: v.optional(integer(1, 100), 2),
  step_down_after: v.optional(integer(1, 100), 4),
  head_dead_after_ms: v.optional(integer(0, 3_600_000), 20_000),
  head_back_after_ms: v.optional(integer(0, 3_600_000), 5_000),
  /** The wait after a repair of one kind, doubled each time, … */
  backoff_min_ms: v.optional(integer(100, 3_600_000), 30_000),
  backoff_max_ms: v.optional(integer(100, 3_600_000), 900_000),
  /** … and how many of one kind an hour may see. */
  per_hour: v.optional(integer(1, 1_000), 6),
  journal_entries: v.optional(integer(10, 10_000), 500),
});

const name = 'repair';
const shownInStatus = 20;

export const repair = definePlugin<v.InferOutput<typeof options>>({
  name,
  summary: 'Restarts tor, publishes again, steps down, and takes heads out and in, when they need it.',
  needs: [torContract],
  wants: [electionContract, headControlContract, adminContract],
  section: name,
  options,
  apply(host, settings) {
    const { clock, random, store, processes } = host.runtime;
    const path = host.stateDirectory === undefined ? undefined : `${host.stateDirectory}/repair.log`;
    const journal = createJournal({ clock, store, log: host.log, path, maximumEntries: settings.journal_entries });
    const budget = (): Budget =>
      createBudget({
        random,
        minimumMs: settings.backoff_min_ms,
        maximumMs: Math.max(settings.backoff_min_ms, settings.backoff_max_ms),
        perHour: settings.per_hour,
      });
    const republishing = budget();
    const steppingDown = budget();
    let publications = initialPublications;

    const act = (cause: Cause, kind: 'republish' | 'step-down' | 'none'): void => {
      const now = clock.monotonic();
      const action: Action = { kind };
      if (kind === 'none') journal.add(cause, action, 'the election sees to it');
      else if (kind === 'republish' && republishing.take(now)) {
        journal.add(cause, action, 'done');
        host.signal('operator', { why: `repair: ${describeCause(cause)}` });
      } else if (kind === 'step-down' && steppingDown.take(now)) {
        const election = host.want(electionContract);
        if (election?.stepDown === undefined) journal.add(cause, { kind: 'none' }, 'there is nobody to hand over to');
        else {
          election.stepDown(describeCause(cause));
          journal.add(cause, action, 'asked for');
        }
      }
    };
    host.hooks.settled.tap(name, (result) => {
      const { state, cause, action } = decidePublication(publications, result, {
        republishAfter: settings.republish_after,
        stepDownAfter: settings.step_down_after,
      });
      publications = state;
      if (result.outcome === 'published') for (const each of [republishing, steppingDown]) each.reset();
      if (cause !== undefined && action !== undefined) act(cause, action);
    });
    host.want(adminContract)?.status(name, () => journal.last(shownInStatus));

    host.hooks.start.tap(name, () => {
      const tors = host.need(torContract);
      const { primary } = tors;
      const ways = new Map(
        settings.tors.map(({ control, unit, command }) => [
          control === undefined ? primary : tors.connect({ control }),
          restartCommand(unit, command),
        ]),
      );
      if (!ways.has(primary)) ways.set(primary, undefined);
      const watched = [...ways].map(([its, command]) =>
        watchTor({
          client: its,
          command,
          goneAfterMs: settings.gone_after_ms,
          hangsAfterMs: settings.hangs_after_ms,
          restartLimitMs: settings.restart_timeout_ms,
          clock,
          processes,
          budget: budget(),
          perHour: settings.per_hour,
          journal,
        }),
      );
      const control = host.want(headControlContract);
      const heads =
        control === undefined
          ? undefined
          : watchHeads({
              control,
              deadAfterMs: settings.head_dead_after_ms,
              backAfterMs: settings.head_back_after_ms,
              clock,
              journal,
              budgetFor: budget,
              cutOff: (tor) => {
                if (tor !== primary || host.want(electionContract)?.elected !== true) return;
                act({ kind: 'tor-cut-off', tor: tor.name }, 'step-down');
              },
            });
      const every = async (look: (signal: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<void> => {
        while (!signal.aborted) {
          await look(signal);
          await clock.sleep(settings.check_interval_ms, signal).catch(() => undefined);
        }
      };
      // Each on its own: one that hangs holds up no other.
      for (const one of watched) host.background((signal) => every((stop) => one.look(stop), signal));
      if (heads !== undefined) host.background((signal) => every(() => heads.look(), signal));
      host.defer(() => journal.settled());
    });
  },
});
export default repair;
