/** Bytes between a client and a service, carried by two simulated tors: while either of them is frozen nothing moves. */
import type { Duplex } from 'node:stream';
import type { SimulatedProcess } from './simulated-process.ts';

export interface PipeOptions {
  /** The tors on the way. */
  readonly carriers: readonly SimulatedProcess[];
  readonly carried: (bytes: number, direction: 'up' | 'down') => void;
  readonly ended: () => void;
}

/** Joins the client's socket with the service's. Either side's end or error closes both. */
export function pipeStreams(client: Duplex, service: Duplex, options: PipeOptions): void {
  const { carriers, carried, ended } = options;
  let over = false;
  const finish = (): void => {
    if (over) return;
    over = true;
    client.destroy();
    service.destroy();
    ended();
  };
  const whenAllRun = (work: () => void, index = 0): void => {
    const carrier = carriers[index];
    if (carrier === undefined) work();
    else carrier.run(() => whenAllRun(work, index + 1));
  };
  const carry = (from: Duplex, to: Duplex, direction: 'up' | 'down'): void => {
    from.on('data', (chunk: Buffer) => {
      from.pause();
      whenAllRun(() => {
        if (over) return;
        carried(chunk.length, direction);
        const resume = (): void => void from.resume();
        if (to.write(chunk)) resume();
        else to.once('drain', resume);
      });
    });
    let endSeen = false;
    from.once('end', () => {
      endSeen = true;
      if (carriers.some((carrier) => carrier.ended)) finish();
      whenAllRun(() => {
        if (to.writableFinished || to.destroyed) finish();
        else to.once('finish', finish).end();
      });
    });
    from.once('error', finish);
    // After a clean end what is still on its way has to arrive first.
    from.once('close', () => {
      if (endSeen) return;
      // A tor that has died carries nothing more, but its circuits break at once.
      if (carriers.some((carrier) => carrier.ended)) finish();
      else whenAllRun(finish);
    });
  };
  carry(client, service, 'up');
  carry(service, client, 'down');
  client.resume();
  service.resume();
}
