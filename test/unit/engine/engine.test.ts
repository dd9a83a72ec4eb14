import { describe, expect, test } from 'vitest';
import {
  contract,
  electionContract,
  restrictedDiscoveryContract,
  signerContract,
  torContract,
  type Host,
} from '../../../core/engine/index.ts';
import { ChimeraError } from '../../../core/errors.ts';
import { clientPublicKey } from '../../../core/onion/index.ts';
import type { Fault } from '../../../core/pipeline/index.ts';
import { expectCode } from '../onion/support.ts';
import { makeBackend, makeConsensus, openSealed } from '../pipeline/support.ts';
import { essentials, node, plugin } from './support.ts';

const x = contract<number>('x');
const never = (): Promise<never> => new Promise(() => undefined);

describe('boot', () => {
  test('plugins are applied givers first, each with its own checked options', () => {
    const applied: [string, unknown][] = [];
    const giver = plugin('giver', (host) => host.give(x, 7), { gives: [x] });
    const user = {
      ...plugin('user', undefined, { needs: [x] }),
      apply: (host: Host, options: never) => void applied.push(['user', [host.need(x), options]]),
    };
    const { engine } = node([user, giver], { options: new Map([['user', { size: 3 }]]) });
    expect(engine.plugins).toEqual(['giver', 'user']);
    expect(applied).toEqual([['user', [7, { size: 3 }]]]);
    expect(engine.service(x)).toBe(7);
  });

  test('a service that nobody gives is an error by name', () => {
    const { engine } = node([]);
    expect(expectCode('ENGINE_CONTRACT', () => engine.service(x)).message).toBe('no plugin gives x');
  });

  test.each<[string, (host: Host) => void, object]>([
    ['a need that was not declared', (host) => host.need(x), {}],
    ['a want that was not declared', (host) => host.want(x), {}],
    ['a gift that was not declared', (host) => host.give(x, 1), {}],
    [
      'a gift given twice',
      (host) => {
        host.give(x, 1);
        host.give(x, 2);
      },
      { gives: [x] },
    ],
    ['a gift that never came', () => undefined, { gives: [x] }],
  ])('%s is refused, with the plugin’s name', (_name, apply, more) => {
    expect(expectCode('ENGINE_CONTRACT', () => node([plugin('culprit', apply, more)])).message).toContain('culprit');
  });

  test('an apply that throws names its plugin; a coded error speaks for itself', () => {
    const broken = plugin('broken', () => {
      throw new TypeError('undefined is not a function');
    });
    const error = expectCode('ENGINE_PLUGIN', () => node([broken]));
    expect(error.message).toBe('broken failed to start: undefined is not a function');
    expect(error.cause).toBeInstanceOf(TypeError);
    const coded = plugin('coded', () => {
      throw new ChimeraError('CONFIG_INVALID', 'as said');
    });
    expectCode('CONFIG_INVALID', () => node([coded]));
  });

  test('a tap under another name than the plugin’s is refused', () => {
    const disguised = plugin('disguised', ({ hooks }) => hooks.settled.tap('tor', () => undefined));
    expect(expectCode('ENGINE_PLUGIN', () => node([disguised])).message).toContain('disguised taps a hook as "tor"');
    const signal = plugin('disguised', ({ hooks }) => hooks.signals.for('tick').tap('tor', () => undefined));
    expectCode('ENGINE_PLUGIN', () => node([signal]));
  });

  test('configure may change the cycle’s settings before the start', async () => {
    const tight = plugin('tight', ({ hooks }) =>
      hooks.configure.tap('tight', (settings) => ({ ...settings, maximumIntroPoints: 2 })),
    );
    const n = node([...essentials(), tight]);
    expect(await n.run()).toMatchObject({ outcome: 'failed', error: { code: 'CYCLE_BAD_MERGE' } });
  });
});

describe('start', () => {
  test('a first cycle follows by itself', async () => {
    const n = node(essentials());
    await n.clock.runFor(n.engine.start(), 1000);
    await n.clock.advance(1000);
    expect(n.results).toMatchObject([{ number: 1, reasons: ['start'], outcome: 'published' }]);
    expect(n.engine.lastResult).toBe(n.results[0]);
    expect(n.engine.published).toMatchObject({ confirmed: true });
  });

  test('late taps are refused, on signals too', async () => {
    let host: Host | undefined;
    const n = node([...essentials(), plugin('late', (given) => void (host = given))]);
    await n.run();
    const error = expectCode('ENGINE_LATE', () => host?.hooks.settled.tap('late', () => undefined));
    expect(error.message).toContain('late taps a hook after the start');
    expectCode('ENGINE_LATE', () => host?.hooks.gather.tapPromise('late', async () => undefined));
    expectCode('ENGINE_LATE', () => host?.hooks.signals.for('tick').tap('late', () => undefined));
  });

  test('one that fails releases what was opened, in reverse order, and keeps its code', async () => {
    const released: string[] = [];
    const opening = (name: string) =>
      plugin(name, (host) =>
        host.hooks.start.tap(name, () => {
          host.defer(() => void released.push(`${name} 1`));
          host.defer(async () => void released.push(`${name} 2`));
        }),
      );
    const failing = plugin('failing', ({ hooks }) =>
      hooks.start.tapPromise('failing', () => Promise.reject(new ChimeraError('TOR_CONNECT', 'no tor'))),
    );
    const n = node([...essentials(), opening('a'), opening('b'), failing, opening('c')]);
    await expect(n.engine.start()).rejects.toMatchObject({ code: 'TOR_CONNECT' });
    expect(released).toEqual(['b 2', 'b 1', 'a 2', 'a 1']);
    expect(n.clock.pending).toBe(0);
    await n.engine.stop();
    await expect(n.engine.requestCycle('x')).rejects.toMatchObject({ code: 'ENGINE_STOPPED' });
  });

  test('a bare error names the plugin', async () => {
    const failing = plugin('failing', ({ hooks }) =>
      hooks.start.tap('failing', () => {
        throw new Error('boom');
      }),
    );
    const n = node([...essentials(), failing]);
    await expect(n.engine.start()).rejects.toMatchObject({
      code: 'ENGINE_PLUGIN',
      message: 'failing failed to start: boom',
    });
  });

  test('without a signer or a tor it says so', async () => {
    await expect(node(essentials().slice(0, 1)).engine.start()).rejects.toMatchObject({ code: 'ENGINE_CONTRACT' });
    await expect(node(essentials().slice(1)).engine.start()).rejects.toMatchObject({ code: 'ENGINE_CONTRACT' });
  });

  test('a node starts once', async () => {
    const n = node(essentials());
    await n.run();
    await expect(n.engine.start()).rejects.toMatchObject({ code: 'ENGINE_STOPPED' });
  });

  test('a state directory is made, and a damaged state file is refused by name', async () => {
    const fresh = node(essentials(), { stateDirectory: '/state' });
    expect(await fresh.run()).toMatchObject({ outcome: 'published' });
    expect(fresh.store.files()).toEqual(['/state/revisions.json']);
    const damaged = node(essentials(), { stateDirectory: '/state' });
    await damaged.store.makeDirectory('/state');
    await damaged.store.write('/state/revisions.json', '{');
    await expect(damaged.engine.start()).rejects.toMatchObject({ code: 'STATE_FILE' });
    const locked = node(essentials(), { stateDirectory: '/state' });
    locked.store.readOnly = true;
    await expect(locked.engine.start()).rejects.toMatchObject({ code: 'STATE_FILE' });
  });
});

describe('stop', () => {
  test('during the start releases one at a time, what was opened last first', async () => {
    const story: string[] = [];
    let waiting: () => void = () => undefined;
    const reached = new Promise<void>((resolve) => {
      waiting = resolve;
    });
    const opener = plugin('opener', (host) => {
      for (const what of ['connection', 'service']) {
        host.defer(async () => {
          story.push(`${what} closes`);
          await host.runtime.clock.sleep(100);
          story.push(`${what} closed`);
        });
      }
      host.hooks.start.tapPromise('opener', () => {
        waiting();
        return new Promise(() => undefined);
      });
    });
    const n = node([...essentials(), opener]);
    const starting = n.engine.start();
    starting.catch(() => undefined);
    await reached;
    await n.clock.runFor(n.engine.stop(), 10_000);
    await expect(starting).rejects.toMatchObject({ code: 'ENGINE_STOPPED' });
    expect(story).toEqual(['service closes', 'service closed', 'connection closes', 'connection closed']);
  });

  test('ends background work, then releases in reverse order; once, however often it is asked for', async () => {
    const story: string[] = [];
    const worker = plugin('worker', (host) => {
      host.defer(() => void story.push('first'));
      host.defer(() => void story.push('second'));
      host.hooks.start.tap('worker', () =>
        host.background(async (signal) => {
          await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
          story.push('work ends');
        }),
      );
    });
    const n = node([...essentials(), worker]);
    await n.run();
    await Promise.all([n.engine.stop(), n.engine.stop()]);
    expect(story).toEqual(['work ends', 'second', 'first']);
    expect(n.clock.pending).toBe(0);
  });

  test('takes no more than two seconds, whatever hangs, and every release is called', async () => {
    const called: number[] = [];
    const stubborn = plugin('stubborn', (host) => {
      for (let index = 0; index < 20; index++) {
        host.defer(() => {
          called.push(index);
          return never();
        });
      }
      host.hooks.start.tap('stubborn', () => host.background(never));
      host.hooks.upload.tapPromise({ name: 'stubborn', stage: -1 }, never);
    });
    const n = node([...essentials(), stubborn]);
    await n.clock.runFor(n.engine.start(), 1000);
    await n.clock.advance(100);
    const begun = n.clock.monotonic();
    await n.clock.runFor(n.engine.stop(), 10_000);
    expect(n.clock.monotonic() - begun).toBeLessThan(2300);
    expect(called).toHaveLength(20);
  });

  test('a release that throws does not keep the others from theirs', async () => {
    const called: string[] = [];
    const broken = plugin('broken', (host) => {
      host.defer(() => void called.push('last'));
      host.defer(() => {
        throw new Error('at once');
      });
      host.defer(() => Promise.reject(new Error('later')));
    });
    const n = node([...essentials(), broken]);
    await n.run();
    await n.engine.stop();
    expect(called).toEqual(['last']);
    expect(n.lines.filter(({ message }) => message === 'a release failed')).toHaveLength(2);
  });

  test('ends the running cycle, and rejects what waits', async () => {
    const n = node([...essentials(), plugin('slow', ({ hooks }) => hooks.review.tapPromise('slow', never))]);
    await n.clock.runFor(n.engine.start(), 1000);
    await n.clock.advance(10);
    const waiting = n.engine.requestCycle('waits');
    waiting.catch(() => undefined);
    await n.engine.stop();
    await expect(waiting).rejects.toMatchObject({ code: 'ENGINE_STOPPED' });
    expect(n.results).toMatchObject([{ outcome: 'failed', step: 'review', error: { code: 'ENGINE_STOPPED' } }]);
  });

  test('in the middle of a start: the start fails, and what it opens afterwards is closed again', async () => {
    const story: string[] = [];
    let go: () => void = () => undefined;
    const slow = plugin('slow', (host) =>
      host.hooks.start.tapPromise('slow', async () => {
        await new Promise<void>((resolve) => (go = resolve));
        story.push('opened');
        host.defer(() => void story.push('closed'));
      }),
    );
    const next = plugin('next', ({ hooks }) => hooks.start.tap('next', () => void story.push('next')));
    const n = node([...essentials(), slow, next]);
    const starting = n.engine.start();
    starting.catch(() => undefined);
    await n.clock.advance(1);
    await n.engine.stop();
    await expect(starting).rejects.toMatchObject({ code: 'ENGINE_STOPPED' });
    go();
    await n.clock.advance(1);
    expect(story).toEqual(['opened', 'closed']);
    await n.clock.advance(10_000);
    expect(n.results).toEqual([]);
  });
});

describe('gather', () => {
  test('one tap that throws is a fault with its plugin’s name; the others count', async () => {
    const faults: Fault[] = [];
    const n = node([
      plugin('sick', ({ hooks }) => {
        hooks.gather.tapPromise('sick', () => Promise.reject(new Error('no answer')));
        hooks.fault.tap('sick', (fault) => void faults.push(fault));
      }),
      plugin('sicker', ({ hooks }) =>
        hooks.gather.tap('sicker', () => {
          throw new TypeError('at once');
        }),
      ),
      ...essentials(),
    ]);
    const result = await n.run();
    expect(result).toMatchObject({ outcome: 'published', introPoints: 3 });
    expect(result.faults).toMatchObject([
      { plugin: 'sicker', step: 'gather', error: { message: 'at once' } },
      { plugin: 'sick', step: 'gather', error: { message: 'no answer' } },
    ]);
    // Every one of both cycles was told, once.
    expect(faults).toEqual(n.results.flatMap(({ faults: told }) => told));
    expect(n.lines.filter(({ message }) => message === 'a plugin failed').length).toBeGreaterThanOrEqual(2);
  });

  test('one that is late is named too, and what the others said is published', async () => {
    const n = node([plugin('slow', ({ hooks }) => hooks.gather.tapPromise('slow', never)), ...essentials()]);
    const result = await n.run();
    expect(result).toMatchObject({ outcome: 'published', introPoints: 3 });
    expect(result.faults.map(({ plugin: name }) => name)).toContain('slow');
  });
});

describe('settled', () => {
  test('a tap that throws or hangs does not keep the others from hearing', async () => {
    const heard: string[] = [];
    const n = node([
      plugin('throws', ({ hooks }) =>
        hooks.settled.tap('throws', () => {
          throw new Error('boom');
        }),
      ),
      plugin('hangs', ({ hooks }) => hooks.settled.tapPromise('hangs', never)),
      plugin('hears', ({ hooks }) => hooks.settled.tap('hears', ({ outcome }) => void heard.push(outcome))),
      ...essentials(),
    ]);
    const result = await n.run();
    expect(heard[0]).toBe('published');
    expect(result.faults.map(({ plugin: name, step }) => [name, step])).toEqual([
      ['throws', 'settled'],
      ['hangs', 'settled'],
    ]);
  });
});

test('other hooks: the plugin’s name is in the error', async () => {
  const n = node([
    plugin('vetoer', ({ hooks }) =>
      hooks.review.tap('vetoer', () => {
        throw new Error('boom');
      }),
    ),
    ...essentials(),
  ]);
  expect((await n.run()).why).toBe('review: vetoer: boom');
});

describe('signals', () => {
  test('fire their hook, and those of one moment end in one cycle with all reasons', async () => {
    const heard: unknown[] = [];
    const n = node([
      plugin('listener', ({ hooks }) =>
        hooks.signals.for('siege').tap('listener', (payload) => void heard.push(payload)),
      ),
      ...essentials(),
    ]);
    await n.run();
    const before = n.results.length;
    n.engine.signal('siege', { head: 'one/1', level: 2, why: 'flood' });
    n.engine.signal('introPointsChanged', { head: 'one/1', why: 'others' });
    n.engine.signal('introPointsChanged', { head: 'one/1', why: 'others' });
    n.engine.signal('panic', { on: true });
    n.engine.signal('leaderChanged', { node: 'two', epoch: 3 });
    await n.clock.advance(100);
    expect(heard).toEqual([{ head: 'one/1', level: 2, why: 'flood' }]);
    expect(n.results.slice(before).map(({ reasons }) => reasons)).toEqual([
      ['siege: flood', 'introPointsChanged: others', 'panic', 'leaderChanged'],
    ]);
  });

  test('before the start and after the stop they are not heard', async () => {
    const n = node(essentials());
    n.engine.signal('tick', { why: 'early' });
    const result = await n.run();
    expect(n.results.flatMap(({ reasons }) => reasons)).not.toContain('tick: early');
    await n.engine.stop();
    n.engine.signal('tick', { why: 'late' });
    await n.clock.advance(1000);
    expect(n.results.at(-1)).toBe(result);
  });

  test('a listener that throws is a fault; the cycle comes all the same', async () => {
    const n = node([
      plugin('broken', ({ hooks }) =>
        hooks.signals.for('tick').tap('broken', () => {
          throw new Error('boom');
        }),
      ),
      ...essentials(),
    ]);
    await n.run();
    const before = n.results.length;
    n.engine.signal('tick', { why: 'due' });
    await n.clock.advance(100);
    expect(n.results.length).toBe(before + 1);
    expect(n.lines.some(({ message, fields }) => message === 'a plugin failed' && fields.step === 'signal')).toBe(true);
  });
});

describe('onResult', () => {
  test('tells every result until it is taken back; one that throws changes nothing', async () => {
    const n = node(essentials());
    const heard: number[] = [];
    n.engine.onResult(() => {
      throw new Error('boom');
    });
    const forget = n.engine.onResult(({ number }) => void heard.push(number));
    await n.run();
    const count = heard.length;
    expect(count).toBeGreaterThan(0);
    forget();
    expect(await n.clock.runFor(n.engine.requestCycle('more'), 60_000)).toMatchObject({ outcome: 'published' });
    expect(heard).toHaveLength(count);
  });
});

describe('background work', () => {
  test('that rejects is a fault of its plugin, and nothing else', async () => {
    const faults: Fault[] = [];
    const n = node([
      plugin('worker', (host) => {
        host.hooks.fault.tap('worker', (fault) => void faults.push(fault));
        host.hooks.start.tap('worker', () => host.background(() => Promise.reject(new Error('boom'))));
      }),
      ...essentials(),
    ]);
    expect(await n.run()).toMatchObject({ outcome: 'published' });
    expect(faults).toMatchObject([{ plugin: 'worker', step: 'background', error: { message: 'boom' } }]);
  });

  test('a fault listener that throws does not bring the node down', async () => {
    const n = node([
      plugin('worker', (host) => {
        host.hooks.fault.tap('worker', () => {
          throw new Error('in the listener');
        });
        host.hooks.start.tap('worker', () => host.background(() => Promise.reject(new Error('boom'))));
      }),
      ...essentials(),
    ]);
    expect(await n.run()).toMatchObject({ outcome: 'published' });
    await n.engine.stop();
  });
});

describe('what contracts change in a cycle', () => {
  test('the election’s epoch goes into the result, the clients of restricted discovery into the descriptor', async () => {
    const secret = new Uint8Array(32).fill(5);
    const n = node([
      ...essentials([(await makeBackend('one/1', makeConsensus())).report]),
      plugin('election', (host) => host.give(electionContract, { publisher: 'one', epoch: 9, elected: true }), {
        gives: [electionContract],
      }),
      plugin('discovery', (host) => host.give(restrictedDiscoveryContract, { clients: [clientPublicKey(secret)] }), {
        gives: [restrictedDiscoveryContract],
      }),
    ]);
    const result = await n.run();
    expect(result).toMatchObject({ outcome: 'published', epoch: 9 });
    if (result.sealed === undefined) throw new Error('nothing was sealed');
    expect(openSealed(result.sealed, 'first', 0, secret).restricted).toBe(true);
  });

  test('services are there for whoever holds the engine', () => {
    const { engine } = node(essentials());
    expect(engine.service(torContract).primary.state).toBe('ready');
    expect(engine.service(signerContract).publicKey).toHaveLength(32);
  });
});
