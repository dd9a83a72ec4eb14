/** docs/mesh-wire.md says what the code does: numbers, types and labels. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { introductionsTaken } from '../../../plugins/mesh/introductions.ts';
import * as message from '../../../plugins/mesh/message.ts';
import { maximumEndpoints, maximumRecordBytes, putLease, recordLabels } from '../../../plugins/mesh/record.ts';
import * as datagram from '../../../plugins/mesh/session/datagram.ts';
import { cookieInitiations, cookieLifeMs, freeInitiations } from '../../../plugins/mesh/session/flood.ts';
import { labels } from '../../../plugins/mesh/session/keys.ts';
import { protocolName } from '../../../plugins/mesh/session/noise.ts';
import { endAfterMs, renewAfterMs } from '../../../plugins/mesh/session/sessions.ts';
import { windowEntries } from '../../../plugins/mesh/session/window.ts';
import { Writer } from '../../../plugins/mesh/wire.ts';

const text = readFileSync(new URL('../../../docs/mesh-wire.md', import.meta.url), 'utf8').replaceAll(/\s+/g, ' ');
const number = (value: number): string => value.toLocaleString('en-US');

test('types and sizes of datagrams', () => {
  const sizes = { initiation: 152, response: 95, cookie: 50 };
  expect([datagram.initiationBytes, datagram.responseBytes, datagram.cookieReplyBytes]).toEqual(Object.values(sizes));
  for (const [name, bytes] of Object.entries(sizes)) {
    const type = datagram.datagramTypes[name as keyof typeof sizes];
    expect(text).toMatch(new RegExp(`\\| ${type} \\| ${name} \\| ${bytes} \\|`));
  }
  expect(text).toContain(`Version ${datagram.wireVersion}.`);
  expect(text).toContain(`at most ${number(datagram.maximumDatagramBytes)} bytes`);
  expect(text).toContain(`content (at most ${number(datagram.maximumContentBytes)})`);
  expect(text).toContain(`first ${datagram.dataHeaderBytes} bytes`);
});

test('types of messages', () => {
  for (const [name, type] of Object.entries(message.messageTypes)) {
    expect(text).toMatch(new RegExp(`\\| ${type} \\| ${name} \\|`));
  }
});

test('labels', () => {
  for (const label of [...Object.values(labels), ...Object.values(recordLabels)])
    expect(text).toContain(`\`${label}\``);
  expect(text).toContain(protocolName);
});

test('bounds', () => {
  const lease = { node: 'a'.repeat(20), incarnation: 1, sequence: 1, leading: true, signature: new Uint8Array(64) };
  for (const said of [
    `lease ${putLease(new Writer(), lease).length} ·`,
    `last ${number(windowEntries)} of the highest`,
    `renewed after ${renewAfterMs / 1_000} s and ends after ${endAfterMs / 1_000} s`,
    `${freeInitiations.burst} at once and ${freeInitiations.perSecond} a second are read without`,
    `${cookieInitiations.burst} at once and ${cookieInitiations.perSecond} a second are read with`,
    `${introductionsTaken.burst} at once and ${introductionsTaken.perSecond} a second are looked at`,
    `| ${datagram.datagramTypes.introduction} | introduction | > ${datagram.introductionOverhead} |`,
    `every ${cookieLifeMs / 1_000} s`,
    `at most ${message.maximumListed} keys`,
    `if that has at most ${message.maximumInlineBytes} bytes`,
    `at most ${message.maximumPulled} |`,
    `body ${number(message.pieceBytes)},`,
    `the first ${number(message.maximumInlineQuestionBytes)} bytes, of at most ${number(message.maximumQuestionBytes)}`,
    `at most ${maximumEndpoints})`,
    `at most ${number(maximumRecordBytes)} bytes`,
    `${message.bucketCount * message.bucketBytes}: the first ${message.bucketBytes} bytes`,
  ]) {
    expect(text).toContain(said);
  }
});
