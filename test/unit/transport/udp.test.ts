import { describe, expect, test } from 'vitest';
import { silentLog, systemNet, type Net } from '../../../core/runtime/index.ts';
import { createUdpTransport } from '../../../plugins/transport/udp/index.ts';
import { describeTransport } from '../../kit/laws/transport.ts';
import { createMemoryNet } from '../../kit/sim/memory-net.ts';
import { createVirtualClock } from '../../kit/sim/virtual-clock.ts';
import { siteOf, udpSite } from './sites.ts';

describeTransport('udp over IPv4', () => udpSite('127.0.0.1'));
describeTransport('udp over IPv6', () => udpSite('::1'));

describeTransport('udp over the memory net, on a lossy day', async () => {
  const clock = createVirtualClock(0);
  const net = createMemoryNet({
    clock,
    latencyMs: 5,
    datagramFaults: { loss: 0.2, duplicate: 0.1, delayMs: { minimum: 0, maximum: 30 } },
  });
  const make = (host: string) =>
    createUdpTransport({ net: net.host(host), log: silentLog }, { bind: [{ host, port: 7411 }] });
  const site = await siteOf([make('10.0.0.1'), make('10.0.0.2'), make('10.0.0.3')], {
    nowhere: ['udp:10.0.0.9:7411', 'udp:[fd00::9]:7411'],
  });
  return { ...site, wait: (durationMs) => clock.advance(durationMs) };
});

describe('where the peers are told to send', () => {
  const open = async (net: Partial<Net>, options: Parameters<typeof createUdpTransport>[1]) => {
    const udp = createUdpTransport({ net: { ...systemNet, ...net }, log: silentLog }, options);
    await udp.open();
    const { endpoint } = udp.transport;
    await udp.close();
    return endpoint.replace(/:\d+$/, '');
  };
  const any4 = { host: '0.0.0.0', port: 0 };
  const any6 = { host: '::', port: 0 };

  test('what advertise says; a bound address; an own address of the family; the other family; loopback', async () => {
    const advertise = { host: '198.51.100.7', port: 7 };
    expect(await open({}, { bind: [any4], advertise })).toBe('udp:198.51.100.7');
    expect(await open({}, { bind: [{ host: '::1', port: 0 }] })).toBe('udp:[::1]');
    const both = { addresses: () => ['192.0.2.1', '2001:db8::1'] };
    expect(await open(both, { bind: [any4, any6] })).toBe('udp:192.0.2.1');
    expect(await open(both, { bind: [any6, any4] })).toBe('udp:[2001:db8::1]');
    const only6 = { addresses: () => ['2001:db8::1'] };
    expect(await open(only6, { bind: [any4, any6] })).toBe('udp:[2001:db8::1]');
    expect(await open({ addresses: () => [] }, { bind: [any4, any6] })).toBe('udp:127.0.0.1');
  });

  test('a family that the machine lacks is skipped; with no other it is an error, and so is a taken port', async () => {
    const bindUdp: Net['bindUdp'] = (local, receive) =>
      local.host === '::'
        ? Promise.reject(Object.assign(new Error('bind EAFNOSUPPORT'), { code: 'EAFNOSUPPORT' }))
        : systemNet.bindUdp(local, receive);
    const addresses = () => ['192.0.2.1'];
    expect(await open({ bindUdp, addresses }, { bind: [any6, any4] })).toBe('udp:192.0.2.1');
    await expect(open({ bindUdp }, { bind: [any6] })).rejects.toMatchObject({ code: 'TRANSPORT_BIND' });
    const taken = await systemNet.bindUdp({ host: '127.0.0.1', port: 0 }, () => undefined);
    await expect(open({}, { bind: [taken.endpoint] })).rejects.toMatchObject({
      code: 'TRANSPORT_BIND',
      remedy: expect.stringContaining('another program has that port') as string,
    });
    await taken.close();
  });
});

test('whom the mesh expects is told to the sockets of that family, and nothing that is no endpoint; 64 at a time, or as many as asked', async () => {
  const told: string[] = [];
  const asked: (number | undefined)[] = [];
  const net: Net = {
    ...systemNet,
    bindUdp: async (local, _receive, options) => {
      asked.push(options?.expectedSenders);
      return {
        endpoint: local,
        send: () => undefined,
        expect: (from) => void told.push(`${local.host} ${from.host} ${from.port}`),
        close: async () => undefined,
      };
    },
  };
  const bind = ['192.0.2.1', '192.0.2.2', '2001:db8::1'].map((host) => ({ host, port: 7411 }));
  const { transport, open } = createUdpTransport({ net, log: silentLog }, { bind });
  await open();
  expect(asked.splice(0)).toEqual([64, 64, 64]);
  for (const endpoint of ['udp:192.0.2.9:1', 'udp:[2001:DB8::0:9]:2', 'udp:host:3', 'redis:x', '']) {
    transport.expect?.(endpoint);
  }
  expect(told).toEqual(['192.0.2.1 192.0.2.9 1', '192.0.2.2 192.0.2.9 1', '2001:db8::1 2001:db8::9 2']);
  await createUdpTransport({ net, log: silentLog }, { bind, peerSockets: 0 }).open();
  expect(asked).toEqual([0, 0, 0]);
});
