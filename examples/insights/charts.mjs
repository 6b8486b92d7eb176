// Charts as plain SVG. Widths are percentages and heights pixels, so that texts keep their size on a phone and nothing needs a script.

const ENTITIES = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

/** Text for HTML and SVG, between tags or in an attribute. What turns the direction of a text, or is no character, is shown as U+FFFD. */
export function escape(text) {
  return String(text)
    .replaceAll(/[\p{Cc}\p{Cf}\p{Cs}]/gu, '\uFFFD')
    .replaceAll(/[&<>"']/g, (found) => ENTITIES[found]);
}

export const number = (value) => value.toLocaleString('en-US');

/** 0.1234 as `12.3%`. */
export const percent = (share) => `${(share * 100).toFixed(1)}%`;

/** How many series have a colour of their own. The rest is one. */
export const COLOURS = 8;

const HEIGHT = 200;
const TOP = 22;
const BOTTOM = 22;
const DAY_MS = 86_400_000;
const round = (value) => Math.round(value * 1000) / 1000;

/** The next number of 1, 2 or 5 times a power of ten. */
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return power * [1, 2, 5, 10].find((step) => step * power >= value);
}

const sumOf = ({ parts }) => parts.reduce((sum, part) => sum + part, 0);

const dayNumber = (day) => Date.parse(day) / DAY_MS;

/** The longest range that a chart of days has. */
const MAX_DAYS = 400;

/**
 * The days that charts show: all, or the range of 400 days with the most events. A client with a wrong clock would stretch it by years.
 *
 * @param days Each with `day` and `events`, in order.
 */
export function rangeOf(days) {
  let best = { from: 0, to: 0, events: -1 };
  let events = 0;
  let from = 0;
  for (const [to, { day, events: more }] of days.entries()) {
    events += more;
    while (dayNumber(day) - dayNumber(days[from].day) >= MAX_DAYS) {
      events -= days[from].events;
      from += 1;
    }
    if (events > best.events) best = { from, to, events };
  }
  return { first: days[best.from].day, last: days[best.to].day, events: best.events };
}

/**
 * Stacked bars, one a day.
 *
 * @param title What it shows, for those who cannot see it.
 * @param range Of `rangeOf`.
 * @param rows Each with `day` and `parts`, the numbers of the series from the bottom up.
 * @param options `names` of the series; `isShare`: whether each day is drawn as 100%.
 */
export function dayBars(title, { first, last }, rows, { names, isShare = false }) {
  const shown = rows.filter(({ day }) => day >= first && day <= last);
  const start = dayNumber(first);
  const width = 100 / (dayNumber(last) - start + 1);
  const top = isShare ? 1 : roundUp(Math.max(...shown.map(sumOf)));
  const inner = HEIGHT - TOP - BOTTOM;
  const bars = shown.flatMap((row) => {
    const whole = isShare ? sumOf(row) : top;
    let y = HEIGHT - BOTTOM;
    return row.parts.flatMap((part, index) => {
      const height = whole === 0 ? 0 : (part / whole) * inner;
      y -= height;
      if (part === 0) return [];
      const said = `${row.day}, ${names[index]}: ${number(part)}`;
      return (
        `<rect class="s${index}" x="${round((dayNumber(row.day) - start) * width)}%" y="${round(y)}" width="${round(width * 0.86)}%" ` +
        `height="${round(height)}"><title>${escape(said)}</title></rect>`
      );
    });
  });
  const middle = new Date((start + Math.floor((dayNumber(last) - start) / 2)) * DAY_MS).toISOString().slice(0, 10);
  const ticks = [
    [0, 'start', first],
    [50, 'middle', middle],
    [100, 'end', last],
  ].filter(([at]) => first !== last || at === 0);
  const levels = [0, 0.5, 1].map((at) => ({
    y: HEIGHT - BOTTOM - at * inner,
    said: at === 0 ? '' : isShare ? `${at * 100}%` : number(top * at),
  }));
  return (
    `<svg role="img" aria-label="${escape(title)}" width="100%" height="${HEIGHT}">` +
    levels.map(({ y }) => `<line class="grid" x1="0" x2="100%" y1="${y}" y2="${y}"/>`).join('') +
    bars.join('') +
    levels.map(({ y, said }) => `<text x="0" y="${y - 5}">${said}</text>`).join('') +
    ticks.map(([x, anchor, day]) => `<text x="${x}%" y="${HEIGHT - 6}" text-anchor="${anchor}">${day}</text>`).join('') +
    '</svg>'
  );
}

/** The colours of a chart in words. */
export function legend(names) {
  const items = names.map(
    (name, index) =>
      `<li><svg width="12" height="12" aria-hidden="true"><rect class="s${index}" width="12" height="12"/></svg> ${escape(name)}</li>`,
  );
  return `<ul class="legend">${items.join('')}</ul>`;
}

/** A bar in a cell of a table. The number is beside it. */
export function bar(share, series = 0) {
  const rect = `<rect class="s${series}" width="${round(share * 100)}%" height="14"/>`;
  return `<svg class="bar" aria-hidden="true" width="100%" height="14">${rect}</svg>`;
}

/** A share and its interval in a cell of a table, as a point on a line. `top` is the share at the right end. */
export function whisker({ rate, low, high }, top) {
  const at = (share) => `${round(Math.min(1, share / top) * 98 + 1)}%`;
  return (
    `<svg class="bar" aria-hidden="true" width="100%" height="16"><line class="grid" x1="1%" x2="99%" y1="8" y2="8"/>` +
    `<line class="interval" x1="${at(low)}" x2="${at(high)}" y1="8" y2="8"/><circle class="s0" cx="${at(rate)}" cy="8" r="4"/></svg>`
  );
}
