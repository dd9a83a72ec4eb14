/**
 * cluster: as stable, on several machines: nodes with keys of their own, a mesh over UDP, a master key that lies on no disk
 * in clear. Who is up longest publishes: nobody has to give nodes priorities, and one that keeps failing is asked last.
 */
import { definePreset } from '../core/config/preset.ts';
import electionUptime from '../plugins/election/uptime/index.ts';
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
  without: ['heads/registry', 'signer/file', 'election/priority'],
  plugins: [electionUptime, identity, udp, mesh, signerVault, revocation, repair, proxy, join],
});
