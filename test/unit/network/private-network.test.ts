import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isChimeraError } from '../../../core/errors.ts';
import { systemNet, systemRuntime, systemSelf } from '../../../core/runtime/index.ts';
import { splitReplies } from '../../kit/network/private/control.ts';
import { freePorts, startPrivateNetwork } from '../../kit/network/private/index.ts';
import { torrcText } from '../../kit/network/private/torrc.ts';

describe('the private network without a tor', () => {
  let temporaryDirectory: string;
  beforeEach(() => {
    temporaryDirectory = mkdtempSync(join(tmpdir(), 'private-network-test-'));
  });
  afterEach(() => rmSync(temporaryDirectory, { recursive: true }));

  it('says what to install, and leaves nothing', async () => {
    const started = startPrivateNetwork(
      systemRuntime(),
      { tor: 'no-such-tor-program' },
      { ...systemSelf, temporaryDirectory },
    );
    const error = await started.catch((thrown: unknown) => thrown);
    expect(isChimeraError(error, 'LAB_TOR_MISSING') && error.remedy).toMatch(/Debian package `tor`/);
    expect(readdirSync(temporaryDirectory)).toEqual([]);
  });
});

describe('freePorts', () => {
  it('gives different ports that can be listened on', async () => {
    const ports = await freePorts(systemRuntime(), 20);
    expect(new Set(ports).size).toBe(20);
    for (const port of ports) {
      const listener = await systemNet.listen({ host: '127.0.0.1', port }, (stream) => stream.destroy());
      await listener.close();
    }
  });
});

describe('torrcText', () => {
  it('writes one line for each item, later sets in place of earlier', () => {
    expect(torrcText({ SocksPort: '0', Log: ['a', 'b'] }, { SocksPort: '9050' })).toBe(
      'SocksPort 9050\nLog a\nLog b\n',
    );
  });
});

describe('splitReplies', () => {
  it('joins lines and data, undoes dot-stuffing, and leaves an unfinished reply out', () => {
    expect(splitReplies('250 OK\r\n250+ns/all=\r\nr x\r\n..dot\r\n.\r\n250 OK\r\n551 no\r\n250-half\r\n')).toEqual([
      { ok: true, text: 'OK' },
      { ok: true, text: 'ns/all=\nr x\n.dot\nOK' },
      { ok: false, text: 'no' },
    ]);
  });
});
