/**
 * stable: all healthy heads are live, one elected node publishes, and the descriptor changes only when the heads do.
 * Alone it is a service on one machine; with a transport and the mesh it is a cluster. Who is up longest publishes: nobody has to
 * give nodes priorities, and one that keeps failing is asked last.
 */
import { definePreset } from '../core/config/preset.ts';
import admin from '../plugins/admin/index.ts';
import electionUptime from '../plugins/election/uptime/index.ts';
import headsDisposable from '../plugins/heads/disposable/index.ts';
import headsRegistry from '../plugins/heads/registry/index.ts';
import mergeFairShare from '../plugins/merge/fair-share/index.ts';
import operator from '../plugins/operator/index.ts';
import publish from '../plugins/publish/index.ts';
import schedule from '../plugins/schedule/index.ts';
import signerFile from '../plugins/signer/file/index.ts';
import { strategyPlugin } from '../plugins/strategy/index.ts';
import tor from '../plugins/tor/index.ts';
import { stable } from '../strategies/stable.ts';

export default definePreset({
  name: 'stable',
  summary: 'All healthy heads are live; the descriptor changes only when they do.',
  plugins: [
    admin,
    operator,
    tor,
    signerFile,
    headsRegistry,
    headsDisposable,
    electionUptime,
    strategyPlugin(stable),
    mergeFairShare,
    publish,
    schedule,
  ],
});
