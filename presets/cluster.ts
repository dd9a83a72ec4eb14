/**
 * cluster: as stable, on several machines: nodes with keys of their own, a mesh over UDP, a master key that lies on no disk
 * in clear.
 */
import { definePreset } from '../core/config/preset.ts';
import identity from '../plugins/identity/index.ts';
import join from '../plugins/join/index.ts';
import mesh from '../plugins/mesh/index.ts';
import proxy from '../plugins/proxy/index.ts';
import repair from '../plugins/repair/index.ts';
import revocation from '../plugins/revocation/index.ts';
import signerVault from '../plugins/signer/vault/index.ts';
import udp from '../plugins/transport/udp/index.ts';
import stable from './stable.ts';

export default definePreset({
  name: 'cluster',
  summary: 'As stable, on several machines, any of which may fail: what `chimera init` and `chimera join` set up.',
  from: stable,
  without: ['heads/registry', 'signer/file'],
  plugins: [identity, udp, mesh, signerVault, revocation, repair, proxy, join],
});
