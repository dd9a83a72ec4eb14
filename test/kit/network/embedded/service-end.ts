/** The service's end of a joined rendezvous circuit: BEGIN cells become connections to the configured target. */
import type { Duplex } from 'node:stream';
import type { Circuit } from './circuits.ts';
import type { TorContext } from './context.ts';
import type { ServiceEnd } from './rendezvous.ts';
import type { ServiceConfig } from './service-config.ts';

/** The line that HiddenServiceExportCircuitID haproxy puts before a stream: the circuit's id stands in the address and the port. */
function proxyLine(circuitId: number, virtualPort: number): string {
  const high = (circuitId >>> 16).toString(16);
  const low = (circuitId & 0xffff).toString(16);
  return `PROXY TCP6 fc00:dead:beef:4dad::${high}:${low} ::1 ${circuitId & 0xffff} ${virtualPort}\r\n`;
}

export function openServiceEnd(tor: TorContext, config: () => ServiceConfig, circuit: Circuit): ServiceEnd {
  const streams = new Set<Duplex>();
  return {
    process: tor.process,
    begin: async (virtualPort) => {
      const fit = config().ports.filter((port) => port.virtualPort === virtualPort);
      const chosen = fit.length === 0 ? undefined : fit[tor.random.int(fit.length)];
      if (chosen === undefined) {
        if (!config().allowUnknownPorts) circuit.close('FINISHED');
        return 'no-port';
      }
      try {
        const stream = await tor.net.connect(chosen.target);
        if (circuit.closed || tor.process.ended) {
          stream.destroy();
          return 'refused';
        }
        if (config().exportCircuitId) stream.write(proxyLine(circuit.id, virtualPort));
        streams.add(stream);
        stream.once('close', () => streams.delete(stream));
        return stream;
      } catch {
        return 'refused';
      }
    },
    closed: () => {
      for (const stream of streams) stream.destroy();
    },
    clientGone: () => circuit.close('DESTROYED', 'FINISHED'),
  };
}
