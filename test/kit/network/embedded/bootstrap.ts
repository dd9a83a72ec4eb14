/** How a tor says how far its start has come. */

const phases: Readonly<Record<number, readonly [tag: string, summary: string]>> = {
  0: ['starting', 'Starting'],
  5: ['conn', 'Connecting to a relay'],
  14: ['handshake', 'Handshaking with a relay'],
  30: ['loading_status', 'Loading networkstatus consensus'],
  50: ['loading_descriptors', 'Loading relay descriptors'],
  75: ['enough_dirinfo', 'Loaded enough directory info to build circuits'],
  90: ['ap_handshake_done', 'Handshake finished with a relay to build circuits'],
  95: ['circuit_create', 'Establishing a Tor circuit'],
  100: ['done', 'Done'],
};

/** The percentages that a start goes through. */
export const bootstrapSteps: readonly number[] = Object.keys(phases).map(Number);

/** Without the severity in front. */
export function bootstrapStatus(percent: number): string {
  const [tag, summary] = phases[percent] ?? ['unknown', 'unknown'];
  return `BOOTSTRAP PROGRESS=${percent} TAG=${tag} SUMMARY="${summary}"`;
}
