/** standalone: OnionBalance's place on one machine. One publisher, backends known by their onion address only. */
import { definePreset } from '../core/config/preset.ts';
import backends from '../plugins/backends/index.ts';
import headsRegistry from '../plugins/heads/registry/index.ts';
import mergeFairShare from '../plugins/merge/fair-share/index.ts';
import publish from '../plugins/publish/index.ts';
import schedule from '../plugins/schedule/index.ts';
import signerFile from '../plugins/signer/file/index.ts';
import { strategyPlugin } from '../plugins/strategy/index.ts';
import tor from '../plugins/tor/index.ts';
import { stable } from '../strategies/stable.ts';

export default definePreset({
  name: 'standalone',
  summary: 'One machine publishes for OnionBalance backends known by address: the drop-in replacement of OnionBalance.',
  plugins: [tor, signerFile, headsRegistry, backends, strategyPlugin(stable), mergeFairShare, publish, schedule],
});
