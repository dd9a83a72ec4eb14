/** The schema of what every node has; plugins add their own tables beside it. Field names follow torrc and the operators' habits. */
import * as v from 'valibot';
import { messageOf } from '../errors.ts';
import { parseOnionAddress, type OnionAddress } from '../onion/index.ts';
import { cycleSteps } from '../pipeline/index.ts';
import { logLevels } from '../runtime/index.ts';

/** A whole number in a range, with the range in the message. */
export const integer = (minimum: number, maximum: number) =>
  v.pipe(
    v.number(`must be a whole number from ${minimum} to ${maximum}`),
    v.integer(`must be a whole number from ${minimum} to ${maximum}`),
    v.minValue(minimum, `must be at least ${minimum}`),
    v.maxValue(maximum, `must be at most ${maximum}`),
  );

export const nonEmpty = v.pipe(v.string('must be a text'), v.minLength(1, 'must not be empty'));

export const nodeId = v.pipe(
  nonEmpty,
  v.regex(
    /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/,
    'must be 1 to 63 letters, digits, dots, dashes or underscores, starting with a letter or digit',
  ),
);

/** An onion address in any of its forms; what is wrong with a bad one is in the message. */
export const onionAddress = v.pipe(
  nonEmpty,
  v.rawTransform(({ dataset, addIssue, NEVER }): OnionAddress => {
    try {
      return parseOnionAddress(dataset.value);
    } catch (error) {
      addIssue({ message: messageOf(error) });
      return NEVER;
    }
  }),
);

export const coreSections = {
  preset: v.optional(nonEmpty),
  node: v.optional(
    v.strictObject({
      id: v.optional(nodeId, 'node'),
      /** Where revision counters and other state live; kept in memory only when absent. */
      state_directory: v.optional(nonEmpty),
    }),
    {},
  ),
  publish: v.optional(
    v.strictObject({
      max_intro_points: v.optional(integer(1, 20), 20),
      /** Limits of the steps of the publish cycle. */
      deadlines_ms: v.optional(
        v.strictObject(v.entriesFromList(cycleSteps, v.exactOptional(integer(100, 600_000)))),
        {},
      ),
    }),
    {},
  ),
  log: v.optional(
    v.strictObject({
      level: v.optional(v.picklist(logLevels, `must be one of ${logLevels.join(', ')}`), 'info'),
      format: v.optional(v.picklist(['text', 'json'], 'must be "text" or "json"'), 'text'),
    }),
    {},
  ),
  plugins: v.optional(
    v.strictObject({
      /** Module files, relative to the configuration file, each with a plugin as default export. */
      add: v.optional(v.array(nonEmpty), []),
      /** Names of the preset's plugins to leave out. */
      remove: v.optional(v.array(nonEmpty), []),
    }),
    {},
  ),
};

export type CoreConfig = v.InferOutput<v.StrictObjectSchema<typeof coreSections, undefined>>;
