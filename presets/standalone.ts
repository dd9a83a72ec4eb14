/** standalone: OnionBalance's place on one machine. One publisher, backends known by their onion address only. */
import { definePreset } from '../core/config/preset.ts';
import backends from '../plugins/backends/index.ts';
import stable from './stable.ts';

export default definePreset({
  name: 'standalone',
  summary: 'One machine publishes for OnionBalance backends known by address: the drop-in replacement of OnionBalance.',
  from: stable,
  without: ['heads/disposable'],
  plugins: [backends],
});
