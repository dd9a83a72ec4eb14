/** shared-identity: as stable, but every tor holds the master key. Prefer `stable`; docs/guides/identity-modes.md says why. */
import { definePreset } from '../core/config/preset.ts';
import headsShared from '../plugins/heads/shared/index.ts';
import stable from './stable.ts';

export default definePreset({
  name: 'shared-identity',
  summary: 'As stable, but every head runs under the master address itself and holds its key.',
  from: stable,
  without: ['heads/disposable'],
  plugins: [headsShared],
});
