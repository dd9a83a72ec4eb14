/** OnionBalance instances and plain services behind a descriptor that somebody else made of their introduction points. */
import { expect } from 'vitest';
import { addressOfKey, masterKeyFromSeed } from '../../../../core/onion/index.ts';
import { linesAbout, socksTimeoutSeconds } from './bench.ts';
import type { TorInstance } from '../network.ts';
import type { Cast } from './cast.ts';

export function checkMergedDescriptor(cast: Cast): void {
  const { wholeDay, limitMs } = cast;
  cast.group('OnionBalance instances and plain services behind a merged descriptor', () => {
    let backend: TorInstance;

    cast.before(async () => {
      backend = await cast.bench.addTor('backend', { config: { PublishHidServDescriptors: '0' } });
    }, limitMs * 2);

    cast.check('refuses an instance without ob_config, and keeps what there was', async () => {
      const { lines } = await cast.bench.send(
        backend,
        `SETCONF HiddenServiceDir="${backend.dataDirectory}/nothing" HiddenServicePort=80 HiddenServiceOnionBalanceInstance=1`,
      );
      expect(lines).toEqual([
        '513 Unacceptable option value: Failed to configure rendezvous options. See logs for details.',
      ]);
      expect((await cast.bench.send(backend, 'GETCONF HiddenServiceDir')).lines).toEqual(['250 HiddenServiceDir']);
    });

    cast.check(
      'opens an instance through a master’s descriptor, and republishing does not make a client fetch',
      async () => {
        const master = masterKeyFromSeed(cast.bench.subject.runtime.random.bytes(32));
        const address = addressOfKey(master.publicKey);
        const instance = await cast.bench.service(backend, 'instance', await cast.bench.site('instance'), [address]);
        const { introPoints } = await cast.bench.serviceDescriptor(backend, instance);
        await cast.bench.publish(cast.client, master, introPoints);
        expect(await cast.bench.visit(cast.client, address, 'merged-1')).toBe('instance');
        await cast.bench.publish(cast.client, master, introPoints.slice(0, 2));
        const events = await cast.bench.listen(cast.client, 'HS_DESC');
        expect(await cast.bench.visit(cast.client, address, 'merged-2')).toBe('instance');
        expect(events).toEqual([]);
        if (!wholeDay) return;

        const { clientUses } = (await cast.bench.consensus(cast.client)).slots;
        const dayMs = cast.bench.subject.network.votingSeconds * 24_000;
        await cast.bench.until(
          async () => ((await cast.bench.consensus(cast.client)).slots.clientUses !== clientUses ? true : undefined),
          dayMs,
        );
        const later = await cast.bench.serviceDescriptor(backend, instance);
        await cast.bench.publish(cast.client, master, later.introPoints);
        const again = await cast.bench.listen(cast.client, 'HS_DESC');
        expect(await cast.bench.visit(cast.client, address, 'merged-3')).toBe('instance');
        // From the first descriptor to the second: a time period has begun, and no cache outlives one.
        if (clientUses === 'first') expect(linesAbout(again, address).join('\n')).toContain(` REQUESTED ${address} `);
      },
      limitMs + (wholeDay ? 300_000 : 0),
    );

    cast.slowCheck(
      'is silent for an introduction that a plain service cannot read: the client waits until SocksTimeout',
      async () => {
        const master = masterKeyFromSeed(cast.bench.subject.runtime.random.bytes(32));
        // What a service closes by itself is refused at once: that is no silence.
        await cast.bench.halfStands(backend, socksTimeoutSeconds + 15);
        const plain = await cast.bench.service(backend, 'plain', await cast.bench.site('plain'));
        const { introPoints } = await cast.bench.serviceDescriptor(backend, plain);
        await cast.bench.publish(cast.client, master, introPoints);
        const started = cast.bench.subject.runtime.clock.monotonic();
        expect(await cast.bench.visit(cast.client, addressOfKey(master.publicKey), 'unreadable')).toBe(6);
        expect(cast.bench.subject.runtime.clock.monotonic() - started).toBeGreaterThan(
          (socksTimeoutSeconds - 2) * 1000,
        );
      },
    );

    cast.slowCheck(
      'reads, as a plain service, only what is for the descriptor that owns the introduction point',
      async () => {
        const plain = await cast.bench.service(backend, 'halves', await cast.bench.site('halves'));
        const master = await cast.bench.serviceKey(backend, 'halves');
        const outcomes = new Map<string, string | number>();
        const tryNow = async (): Promise<void> => {
          const descriptor = await cast.bench.serviceDescriptor(backend, plain);
          const { clientUses, first } = (await cast.bench.consensus(cast.client)).slots;
          if (descriptor.period.number !== first.period.number) return;
          await cast.bench.publish(cast.client, master, descriptor.introPoints);
          await cast.bench.expectOk(cast.client, 'SIGNAL NEWNYM');
          await cast.bench.subject.pass(11_000);
          const said = await cast.bench.visit(cast.client, plain, `half-${clientUses}`);
          const after = (await cast.bench.consensus(cast.client)).slots.clientUses;
          // A service that has begun its next period meanwhile has closed the points that were published.
          const { period } = await cast.bench.serviceDescriptor(backend, plain);
          const rotated = period.number !== descriptor.period.number;
          if (after === clientUses && !rotated) outcomes.set(clientUses, said);
        };
        const wanted = wholeDay ? 2 : 1;
        await cast.bench.until(async () => {
          await tryNow();
          return outcomes.size >= wanted || undefined;
        }, cast.bench.subject.network.votingSeconds * 30_000);
        for (const [half, said] of outcomes) expect([half, said]).toEqual([half, half === 'first' ? 'halves' : 6]);
      },
      limitMs + (wholeDay ? 400_000 : 60_000),
    );
  });
}
