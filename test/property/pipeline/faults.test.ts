import { isDeepStrictEqual } from 'node:util';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { cycleSteps, type Published } from '../../../core/pipeline/index.ts';
import { acceptAll, confirmAll, createBench, makeBackend, makeConsensus } from '../../unit/pipeline/support.ts';

const consensus = makeConsensus();
const heads = await Promise.all(['a/1', 'b/1', 'c/1'].map((head) => makeBackend(head, consensus)));

/** What may go wrong in one cycle. */
const fault = fc.oneof(
  fc.record({ step: fc.constantFrom(...cycleSteps), how: fc.constantFrom('throw' as const, 'hang' as const) }),
  fc.constantFrom(
    { step: 'heads' as const, how: 'none' as const },
    { step: 'heads' as const, how: 'damaged' as const },
    { step: 'heads' as const, how: 'one' as const },
    { step: 'disk' as const, how: 'full' as const },
    { step: 'upload' as const, how: 'refused' as const },
    { step: 'upload' as const, how: 'partly' as const },
    { step: 'confirm' as const, how: 'missing' as const },
    { step: 'uploaded' as const, how: 'throw' as const },
    { step: 'settled' as const, how: 'throw' as const },
    { step: 'sift' as const, how: 'nothing' as const },
    { step: 'merge' as const, how: 'nothing' as const },
    { step: 'merge' as const, how: 'too many' as const },
  ),
);
/** What clients get, and where. */
const said = (published: Published | undefined) =>
  published && { live: published.live, content: published.content, placement: published.placement };

test('any sequence of faults leaves `published` as it was unless an HSDir took something, and never zero points', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(fault, { maxLength: 3 }), { minLength: 1, maxLength: 6 }), async (cycles) => {
      const bench = await createBench({ consensus, maximumIntroPoints: 8 });
      const { world, hooks, memory, store } = bench;
      const broken: string[] = [];
      const hold = (what: string, holds: boolean | undefined): unknown => holds || broken.push(what);
      let now: (typeof cycles)[number] = [];
      const how = (step: string): string | undefined => now.find((one) => one.step === step)?.how;
      const interfere = async (step: string): Promise<undefined> => {
        if (how(step) === 'throw') throw new Error(`${step} broke`);
        if (how(step) === 'hang') await new Promise(() => undefined);
        return undefined;
      };
      const early = { name: 'faults', stage: -1000 };
      for (const step of ['admit', 'gather', 'rotate', 'review', 'upload', 'confirm', 'settled'] as const)
        hooks[step].tapPromise(early, () => interfere(step));
      hooks.sift.tapPromise(early, async (known) => {
        await interfere('sift');
        return how('sift') === 'nothing' ? [] : known;
      });
      hooks.merge.tapPromise(early, async ({ candidates }) => {
        await interfere('merge');
        if (how('merge') === 'nothing') return { sets: [] };
        return how('merge') === 'too many' ? { sets: [candidates] } : undefined;
      });
      hooks.uploaded.tap(early, () => {
        if (how('uploaded') === 'throw') throw new Error('uploaded broke');
      });
      const { signer } = world;
      world.signer = {
        ...signer,
        sign: async (period, message) => {
          await interfere('seal');
          return signer.sign(period, message);
        },
      };
      world.answerUpload = (sealed) =>
        acceptAll(sealed).map((upload, index) => ({
          ...upload,
          accepted: how('upload') !== 'refused' && (how('upload') !== 'partly' || index % 2 === 0),
        }));
      world.answerConfirm = (sealed) =>
        confirmAll(sealed).map((one) => ({ ...one, confirmed: how('confirm') !== 'missing' }));

      for (const faults of cycles) {
        now = faults;
        store.full = how('disk') === 'full';
        const reports = heads.map(({ report }) => report);
        if (how('heads') === 'none') world.reports = [];
        else if (how('heads') === 'damaged') world.reports = reports.map((report) => ({ ...report, descriptor: 'x' }));
        else world.reports = how('heads') === 'one' ? reports.slice(0, 1) : reports;
        const before = memory.published;
        const result = await bench.run('test');

        const took = result.uploads.some(({ accepted }) => accepted);
        const { outcome, introPoints } = result;
        const published = outcome === 'published' || outcome === 'unconfirmed';
        const kept = isDeepStrictEqual(said(memory.published), said(before));
        hold('untouched unless taken', took || kept);
        hold('remembered when taken', !took || memory.published?.live.length === introPoints);
        hold('the outcome says whether it was taken', took === published);
        hold('confirmed only when it is', (took && memory.published?.confirmed === true) === (outcome === 'published'));
        hold('a failure has its error', outcome !== 'failed' || result.error instanceof Error);
        hold('never zero', !published || introPoints > 0);
        hold('told in any case', bench.settled.at(-1) === result);
        hold('nothing is left running', bench.clock.pending === 0);
      }
      expect(broken).toEqual([]);
    }),
    { numRuns: 60 },
  );
}, 60_000);
