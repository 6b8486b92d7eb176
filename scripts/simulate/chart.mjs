// The chart of docs/scale.md, as SVG without a library: requests over the mean of the day, in windows of 10 s, on a logarithmic scale.
import { NIGHT, WINDOW_S, windows } from './simulation.mjs';

const WIDTH = 760;
const PANEL = { left: 56, width: 684, height: 150, gap: 46, top: 54 };
const MOST = 300;
const LINES = [1, 3, 10, 30, 100, 300];
const HOUR_MS = 3_600_000;
const COLOURS = { without: '#d1495b', with: '#0b6e4f' };

/** The style follows the reader's colours: a page on GitHub may be dark. */
const STYLE =
  `text{font:12px Helvetica,Arial,sans-serif;fill:#333}.t{font-size:15px;font-weight:bold}.g{stroke:#e5e5e5}.o{fill:#9aa5b1;fill-opacity:.25}
.b{fill:white}@media(prefers-color-scheme:dark){text{fill:#ddd}.g{stroke:#444}.b{fill:#0d1117}}`.replaceAll('\n', '');

/** @param panels `{ title, lines: [{ kind: 'without' | 'with', result }] }`: one below the other */
export function chart({ title, panels }) {
  const height = PANEL.top + panels.length * (PANEL.height + PANEL.gap) + 22;
  const parts = panels.map((panel, index) => drawPanel(panel, PANEL.top + 14 + index * (PANEL.height + PANEL.gap)));
  const key = Object.entries({ without: 'without spreadMs', with: 'spreadMs: 60,000' }).map(
    ([kind, label], index) =>
      `<path d="M${420 + index * 160} 24h22" stroke="${COLOURS[kind]}" stroke-width="2.5"/><text x="${448 + index * 160}" y="28">${label}</text>`,
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}"><style>${STYLE}</style>`,
    `<rect class="b" width="${WIDTH}" height="${height}"/><text class="t" x="12" y="28">${title}</text>${key.join('')}`,
    ...parts,
    `<text x="${PANEL.left}" y="${height - 8}">Requests in windows of ${WINDOW_S} s over the mean of the day; time in UTC; grey: the outage</text></svg>\n`,
  ].join('\n');
}

function drawPanel({ title, lines }, top) {
  const bottom = top + PANEL.height;
  const y = (value) => (bottom - (Math.log(Math.max(value, 1 / 3) * 3) / Math.log(MOST * 3)) * PANEL.height).toFixed(1);
  const x = (ms) => (PANEL.left + ((ms - NIGHT.fromMs) / (NIGHT.untilMs - NIGHT.fromMs)) * PANEL.width).toFixed(1);
  const { outage } = lines[0].result;
  const shade =
    outage &&
    `<rect class="o" x="${x(outage.fromMs)}" y="${top}" width="${(x(outage.untilMs) - x(outage.fromMs)).toFixed(1)}" height="${PANEL.height}"/>`;
  const grid = LINES.map(
    (value) =>
      `<path class="g" d="M${PANEL.left} ${y(value)}h${PANEL.width}"/><text x="${PANEL.left - 8}" y="${Number(y(value)) + 4}" text-anchor="end">${value}x</text>`,
  );
  const hours = [];
  for (let ms = Math.ceil(NIGHT.fromMs / HOUR_MS) * HOUR_MS; ms <= NIGHT.untilMs; ms += HOUR_MS)
    hours.push(`<text x="${x(ms)}" y="${bottom + 16}" text-anchor="middle">${String((ms / HOUR_MS) % 24).padStart(2, '0')}:00</text>`);
  const paths = lines.map(({ kind, result }) => {
    const points = windows(result, NIGHT.fromMs, NIGHT.untilMs, WINDOW_S).map(
      ({ atMs, perS }) => `${x(atMs)} ${y(perS / result.meanPerS)}`,
    );
    return `<path d="M${points.join('L')}" fill="none" stroke="${COLOURS[kind]}" stroke-width="1.2"/>`;
  });
  return [`<text x="${PANEL.left}" y="${top - 8}">${title}</text>`, shade ?? '', ...grid, ...hours, ...paths].join('');
}
