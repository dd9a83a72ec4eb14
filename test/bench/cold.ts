/**
 * A fresh process that publishes once: `cold.js FIXTURE.json` prints what that took, from the bytes of the key file on.
 * Before, it has read the backends' descriptors, as it must, and as OnionBalance has.
 */
import { readFileSync } from 'node:fs';
import { consensusOf, type Fixture } from './fixture.ts';
import { createPublisher, verifiedCandidates } from './publisher.ts';
import { measure } from './sample.ts';

const fixture = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as Fixture;
const consensus = consensusOf(fixture);
const candidates = verifiedCandidates(fixture.backends, consensus, fixture.now);
const { sample } = await measure(() => createPublisher(fixture, consensus).publish(candidates, fixture.now));
process.stdout.write(`${JSON.stringify(sample)}\n`);
