/**
 * transport/redis: datagrams over a Redis server that the nodes share. A bus, and a cache of where members were last seen;
 * never the lock: what Redis does, says or loses decides nothing. Alone, or beside another transport as a second way.
 */
import * as v from 'valibot';
import { nonEmpty } from '../../../core/config/schema.ts';
import { definePlugin, transportContract } from '../../../core/engine/index.ts';
import { parseEndpoint, type Endpoint } from '../../../core/runtime/index.ts';
import { createRedisTransport } from './transport.ts';

export { createRedisTransport, type RedisTransportOptions } from './transport.ts';
export { decodeFrame, encodeFrame } from './frame.ts';
export { readSeen } from './seen.ts';

const server = v.pipe(
  v.string('must be a text'),
  v.check((text) => parseEndpoint(text) !== undefined, 'must be host:port, unix:/path or /path'),
  v.transform((text): Endpoint => parseEndpoint(text) as Endpoint),
);

const options = v.pipe(
  v.strictObject({
    server: v.optional(server, '127.0.0.1:6379'),
    prefix: v.optional(
      v.pipe(v.string(), v.regex(/^[A-Za-z0-9:._-]{1,64}$/, 'must be 1 to 64 letters, digits or :._-')),
      'chimera',
    ),
    username: v.optional(nonEmpty),
    password_path: v.optional(nonEmpty),
    tls: v.optional(v.boolean('must be true or false'), false),
    tls_ca_path: v.optional(nonEmpty),
    tls_certificate_path: v.optional(nonEmpty),
    tls_key_path: v.optional(nonEmpty),
    tls_server_name: v.optional(nonEmpty),
  }),
  v.check(
    ({ username, password_path }) => username === undefined || password_path !== undefined,
    'username needs password_path',
  ),
  v.check(({ tls, ...rest }) => {
    const { tls_ca_path, tls_certificate_path, tls_key_path, tls_server_name } = rest;
    return tls || [tls_ca_path, tls_certificate_path, tls_key_path, tls_server_name].every((it) => it === undefined);
  }, 'the options tls_… need tls = true'),
);

export const redis = definePlugin<v.InferOutput<typeof options>>({
  name: 'transport/redis',
  summary: 'Carries messages between nodes over a Redis server.',
  gives: [transportContract],
  wants: [transportContract],
  section: 'redis',
  options,
  apply(host, { server, prefix, username, password_path, tls, ...paths }) {
    const { clock, store } = host.runtime;
    const { transport, open, close } = createRedisTransport(
      { clock, store, log: host.log },
      {
        node: host.node,
        server,
        prefix,
        username,
        passwordPath: password_path,
        tls: tls
          ? {
              caPath: paths.tls_ca_path,
              certificatePath: paths.tls_certificate_path,
              keyPath: paths.tls_key_path,
              serverName: paths.tls_server_name,
            }
          : undefined,
        endpoints: () => host.all(transportContract).map(({ endpoint }) => endpoint),
      },
    );
    host.give(transportContract, transport);
    host.hooks.start.tapPromise('transport/redis', async () => {
      host.defer(close);
      await open();
    });
  },
});
export default redis;
