/**
 * The matrix as one HTML page: no script, nothing fetched, a table that a screen reader can read, light or dark by the reader's
 * own preference. Readable at Tor Browser's safest level.
 */
import { percentOf, summaryOf, type Matrix } from './model.ts';

const escaped = (text: string): string => text.replaceAll(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);

const style = `
:root { color-scheme: light dark; --ink: #1b1b1f; --page: #fdfcfa; --quiet: #6a6a72; --line: #d9d7d2; --live: 88, 60, 160; --strong: #ffffff; }
@media (prefers-color-scheme: dark) { :root { --ink: #ececf0; --page: #17171b; --quiet: #a0a0aa; --line: #3a3a42; --live: 176, 148, 255; --strong: #17171b; } }
body { margin: 2rem auto; max-width: 76rem; padding: 0 1rem; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.4rem; margin: 0; }
p { margin: 0.3rem 0 1.5rem; color: var(--quiet); }
.frame { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.85rem; }
p.legend { font-size: 0.85rem; margin: 0 0 0.5rem; }
th { font-weight: 500; padding: 0.2rem 0; white-space: nowrap; }
thead th, td { text-align: center; padding: 0.2rem 0.1rem; }
th:first-child { position: sticky; left: 0; background: var(--page); text-align: left; padding-right: 0.7rem; }
td { min-width: 1.9rem; border: 1px solid var(--line); }
td.number, th.number { border: 0; text-align: right; padding-left: 0.8rem; white-space: nowrap; }
tfoot th, tfoot td { color: var(--quiet); border: 0; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.3rem 1.5rem; margin-top: 2rem; }
dt { color: var(--quiet); }
dd { margin: 0; }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr; } dd { margin-bottom: 0.6rem; } }
`;

const shades = [0, 0.25, 0.5, 0.75, 1] as const;
/** The nearest shade; none only for none. */
const shadeOf = (share: number): number => (share <= 0 ? 0 : Math.max(1, Math.round(share * 4)));
const classes = shades
  .map((shade, index) =>
    index === 0
      ? ''
      : `.s${index} { background: rgba(var(--live), ${0.15 + 0.75 * shade});${shade > 0.5 ? ' color: var(--strong);' : ''} }`,
  )
  .join('\n');

export function matrixHtml(matrix: Matrix): string {
  const { strategy, rows, by, heads, hours, pointsPerHead, fromMs, live, changes } = matrix;
  const numbers = [...Array.from({ length: hours }).keys()];
  const from = new Date(fromMs).toISOString().slice(0, 16).replace('T', ' ');
  const cells = (values: readonly number[]): string => values.map((value) => `<td>${value}</td>`).join('');
  const body = rows.map(({ name, hours: shares, coverage, points }) => {
    const own = shares.map((share) => {
      // The figure is there too: colour alone would not be read by everybody.
      const figure = share <= 0 ? '' : share >= 0.999 ? '●' : `${Math.min(59, Math.max(1, Math.round(share * 60)))}′`;
      return `<td class="s${shadeOf(share)}">${figure}</td>`;
    });
    return `<tr><th scope="row">${escaped(name)}</th>${own.join('')}<td class="number">${percentOf(coverage)}</td><td class="number">${by === 'head' ? `${points} of ${pointsPerHead}` : ''}</td></tr>`;
  });
  const terms = summaryOf(matrix).map(([name, value]) => `<dt>${escaped(name)}</dt><dd>${escaped(value)}</dd>`);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Rotation matrix: ${escaped(strategy)}</title>
<style>${style}${classes}
</style>
</head>
<body>
<main>
<h1>Rotation matrix: ${escaped(strategy)}</h1>
<p>${heads} heads with ${pointsPerHead} introduction points each, ${hours} hours from ${from} UTC</p>
<p class="legend" id="legend">Which ${by} is live in which hour: ● all of it, else for how many minutes</p>
<div class="frame" role="region" aria-labelledby="legend" tabindex="0">
<table aria-describedby="legend">
<thead><tr><th scope="col">${by}</th>${numbers.map((hour) => `<th scope="col">${hour}</th>`).join('')}<th scope="col" class="number">covered</th><th scope="col" class="number">${by === 'head' ? 'points' : ''}</th></tr></thead>
<tbody>
${body.join('\n')}
</tbody>
<tfoot>
<tr><th scope="row">live ${by}s</th>${cells(live)}</tr>
<tr><th scope="row">changes</th>${cells(changes)}</tr>
</tfoot>
</table>
</div>
<dl>
${terms.join('\n')}
</dl>
</main>
</body>
</html>
`;
}
