/** What a list of requests says. Pure. */
import type { Request } from './curl.ts';

export interface Summary {
  readonly requests: number;
  readonly failed: number;
  readonly failedPercent: number;
  /** From the first of a row of failures to the next request that succeeded, or to the last request. */
  readonly longestOutageSeconds: number;
  readonly medianSeconds: number;
  readonly worstSeconds: number;
  /** Percent of the successful requests that each head served. */
  readonly sharesPercent: Readonly<Record<string, number>>;
}

export function summarize(requests: readonly Request[], heads: readonly string[]): Summary {
  const ordered = [...requests].sort((a, b) => a.at - b.at);
  const good = ordered.filter(({ head }) => head !== undefined);
  const times = good.map(({ seconds }) => seconds).sort((a, b) => a - b);
  const failed = ordered.length - good.length;
  const share = (name: string): number => percent(good.filter(({ head }) => head === name).length, good.length);
  const served = new Set([...heads, ...good.map(({ head }) => head as string)]);
  return {
    requests: ordered.length,
    failed,
    failedPercent: percent(failed, ordered.length),
    longestOutageSeconds: longestOutage(ordered),
    medianSeconds: times[Math.floor(times.length / 2)] ?? 0,
    worstSeconds: times.at(-1) ?? 0,
    sharesPercent: Object.fromEntries([...served].map((name) => [name, share(name)])),
  };
}

function longestOutage(ordered: readonly Request[]): number {
  let longest = 0;
  let since: number | undefined;
  let end = 0;
  for (const { at, seconds, head } of ordered) {
    if (head === undefined) {
      since ??= at;
      end = at + seconds;
    } else if (since !== undefined) {
      longest = Math.max(longest, at - since);
      since = undefined;
    }
  }
  return since === undefined ? longest : Math.max(longest, end - since);
}

function percent(part: number, whole: number): number {
  return whole === 0 ? 0 : (100 * part) / whole;
}
