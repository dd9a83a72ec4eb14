/** A fresh process that publishes once: `cold.js FIXTURE.json` prints what that took, from the bytes of the key file on. */
import { readFileSync } from 'node:fs';
import { consensusOf, introPointOf, type Fixture } from './fixture.ts';
import { candidatesOf, createPublisher } from './publisher.ts';
import { measure } from './sample.ts';

const fixture = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as Fixture;
const candidates = candidatesOf(fixture.introPoints.map(introPointOf));
const consensus = consensusOf(fixture);
const { sample } = await measure(() => createPublisher(fixture, consensus).publish(candidates, fixture.now));
process.stdout.write(`${JSON.stringify(sample)}\n`);
