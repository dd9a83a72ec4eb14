/** single: one machine publishes for heads that it runs itself, in its own tor or in several. */
import { definePreset } from '../core/config/preset.ts';
import headsDisposable from '../plugins/heads/disposable/index.ts';
import standalone from './standalone.ts';

export default definePreset({
  name: 'single',
  summary: 'One machine publishes for the heads that it runs itself.',
  from: standalone,
  without: ['backends'],
  plugins: [headsDisposable],
});
