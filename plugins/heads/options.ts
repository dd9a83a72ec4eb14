/** The options that both identity modes share: where the heads are and what they serve. */
import * as v from 'valibot';
import { integer, nonEmpty } from '../../core/config/schema.ts';
import { parseEndpoint, type Endpoint } from '../../core/runtime/index.ts';

const endpoint = v.pipe(
  nonEmpty,
  v.check((text) => parseEndpoint(text) !== undefined, 'must be host:port or unix:/path'),
  v.transform((text) => parseEndpoint(text) as Endpoint),
);

const target = v.pipe(
  v.union([nonEmpty, integer(1, 65_535)], 'must be a port, host:port or unix:/path'),
  v.transform(String),
  v.check(
    (text) => /^\d{1,5}$/.test(text) || parseEndpoint(text) !== undefined,
    'must be a port, host:port or unix:/path',
  ),
);

const headOptions = {
  /** Control ports of the tors that carry heads, one head each; the node's own tor when empty. */
  controls: v.optional(v.array(endpoint), []),
  /** How many heads may grow beside these while others are under siege. */
  grow: v.optional(integer(0, 8), 1),
  /** HiddenServicePort: the port that clients ask for … */
  virtual_port: v.optional(integer(1, 65_535), 80),
  /** … and where it leads. */
  target: v.optional(target, '127.0.0.1:8080'),
  /** HiddenServiceNumIntroductionPoints of each head. */
  num_introduction_points: v.optional(integer(3, 20), 3),
  /** HiddenServiceEnableIntroDoSDefense: relays drop what is above 25 introductions a second and point. */
  introduction_limit: v.optional(v.boolean('must be true or false'), false),
  /** Parent of the heads' HiddenServiceDirs; `chimera` in tor's DataDirectory when absent. */
  hidden_service_dir: v.optional(nonEmpty),
  /** Leaves the heads in tor, and their directories, when Chimera stops. */
  keep_on_exit: v.optional(v.boolean('must be true or false'), false),
  /** More HiddenService options in torrc's own words, for every head. */
  torrc: v.optional(
    v.record(v.pipe(v.string(), v.regex(/^HiddenService\w+$/, 'must be a HiddenService… option')), nonEmpty),
    {},
  ),
  /** How often each head's tor is asked for its descriptor. */
  poll_interval_ms: v.optional(integer(200, 60_000), 3_000),
  /** How long a control connection may be gone before its heads count as dead. */
  lost_after_ms: v.optional(integer(0, 60_000), 1_500),
};

export const headOptionsSchema = v.strictObject(headOptions);
export type HeadOptions = v.InferOutput<typeof headOptionsSchema>;
