/** Deliberate bugs with secrets: told, kept or sent where they may not be, or kept from those who need them. */
import {
  masterKeyContract,
  passphraseContract,
  peerChannelContract,
  transportContract,
} from '../../../../core/engine/index.ts';
import { beside, often, type Mutation } from './mutation.ts';
import { over, replaced, withService } from './wrap.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

export const secretMutations: readonly Mutation[] = [
  {
    name: 'the master key in a log',
    breaks: ['I7'],
    mutate: beside(
      (host) => {
        const keys = host.need(masterKeyContract);
        host.hooks.settled.tap('mistake', () =>
          host.log.debug('published', { with: hex(keys.secretKeyFile().slice(32, 64)) }),
        );
      },
      { needs: [masterKeyContract] },
    ),
    faults: often,
  },
  {
    name: 'the master key in clear on the disk',
    breaks: ['I7'],
    mutate: beside(
      (host) => {
        const keys = host.need(masterKeyContract);
        host.hooks.settled.tapPromise('mistake', async () => {
          await host.runtime.store.write(`${host.stateDirectory}/backup`, keys.secretKeyFile());
        });
      },
      { needs: [masterKeyContract] },
    ),
    faults: often,
  },
  {
    name: 'the passphrase in a log',
    breaks: ['I7'],
    mutate: (plugins) =>
      replaced(plugins, 'passphrase/simulated', (plugin) =>
        withService(plugin, passphraseContract, (source, host) => ({
          take: async () => {
            const typed = await source.take();
            if (typed !== undefined) host.log.debug('typed', { text: Buffer.from(typed).toString('latin1') });
            return typed;
          },
        })),
      ),
    faults: { blackoutEverySecs: 300 },
  },
  {
    name: 'members keep the master key for themselves',
    breaks: ['I10'],
    mutate: (plugins) =>
      replaced(plugins, 'mesh', (plugin) =>
        withService(plugin, peerChannelContract, (channel) =>
          over(channel, {
            answer: (topic, handler) => {
              if (topic !== 'vault') channel.answer(topic, handler);
            },
          }),
        ),
      ),
    faults: often,
  },
  {
    name: 'the master key over the network',
    breaks: ['I7'],
    mutate: beside(
      (host) => {
        const keys = host.need(masterKeyContract);
        const transport = host.need(transportContract);
        host.hooks.settled.tap('mistake', () => transport.send('memory:stranger', keys.secretKeyFile()));
      },
      { needs: [masterKeyContract, transportContract] },
    ),
    faults: often,
  },
];
