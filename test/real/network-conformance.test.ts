import { startPrivateNetwork } from '../kit/network/private/index.ts';
import { describeTorNetwork } from '../kit/network/conformance/index.ts';
import { systemRuntime, withDeadline } from '../../core/runtime/index.ts';

const { CHIMERA_WHOLE_DAY: wholeDay } = process.env;

describeTorNetwork(
  'the private network of real tors',
  async () => {
    const runtime = systemRuntime();
    return {
      network: await startPrivateNetwork(runtime, { authorities: 3, relays: 17 }),
      runtime,
      within: (promise, limitMs) =>
        withDeadline(
          runtime.clock,
          limitMs,
          () => new Error(`it took more than ${limitMs} ms`),
          () => promise,
        ),
      pass: (durationMs) => runtime.clock.sleep(durationMs),
    };
  },
  { wholeDay: wholeDay === '1', limitMs: 180_000 },
);
