/**
 * The line that tor puts before each stream with `HiddenServiceExportCircuitID haproxy` (PROXY protocol, version 1): the
 * source address carries the circuit's id in its last 32 bits, `PROXY TCP6 fc00:dead:beef:4dad::1:2a ::1 42 80`.
 */

/** As the PROXY protocol says, with its end. */
export const longestProxyLine = 107;

/** The circuit's id in such a line, in decimal as the control port has it; undefined when it is none of tor's. */
export function circuitIdOf(line: Uint8Array): string | undefined {
  const text = Buffer.from(line.subarray(0, longestProxyLine)).toString('latin1');
  const match = /^PROXY TCP6 fc00:dead:beef:4dad::([0-9a-f]{1,4}):([0-9a-f]{1,4}) ::1 \d{1,5} \d{1,5}\r\n$/i.exec(text);
  if (match === null) return undefined;
  const [, high = '', low = ''] = match;
  return String(parseInt(high, 16) * 65_536 + parseInt(low, 16));
}
