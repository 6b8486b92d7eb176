/** The events of the last hour: a chart as SVG, and the same numbers as a table. */
import type { StatusMinute } from '../status.js';
import { count, html, tableOf } from './html.js';
import type { Html } from './html.js';

/** The minutes that the chart has room for: an hour, and the minute that is not over. */
const MINUTES = 61;

/** Of the chart, in its own units. On a phone a unit is smaller than a pixel. */
const WIDTH = 560;
const HEIGHT = 230;
const LEFT = 66;
const RIGHT = 6;
const TOP = 12;
const BOTTOM = 26;
const STEP = (WIDTH - LEFT - RIGHT) / MINUTES;
const FLOOR = HEIGHT - BOTTOM;

/** A minute with one event must be seen beside one with a million. */
const LEAST_HEIGHT = 3;

/** Every so many minutes there is a time below. */
const LABEL_EVERY = 15;

/** Events a minute, as bars: what was accepted behind, what failed and was dropped before it; and what was sent as a line. */
export function chartOf(minutes: readonly StatusMinute[]): Html {
  const shown = minutes.slice(-MINUTES);
  const most = Math.max(...shown.map(({ accepted, sent, failed, dropped }) => Math.max(accepted, sent, failed + dropped)), 1);
  const top = niceCeiling(most);
  const heightOf = (events: number): number => (events === 0 ? 0 : Math.max(LEAST_HEIGHT, (events / top) * (FLOOR - TOP)));
  const offset = MINUTES - shown.length;
  const leftOf = (index: number): number => LEFT + (offset + index) * STEP;
  const bar = (index: number, kind: string, from: number, height: number, isNarrow: boolean): Html => {
    const inset = isNarrow ? STEP / 3 : 0.6;
    const size = html`width="${round(STEP - 2 * inset)}" height="${round(height)}"`;
    return html`<rect class="${kind}" x="${round(leftOf(index) + inset)}" y="${round(FLOOR - from - height)}" ${size}/>`;
  };
  const bars = shown.flatMap(({ accepted, failed, dropped }, index) => {
    const failedHeight = heightOf(failed);
    return [
      ...(accepted > 0 ? [bar(index, 'accepted', 0, heightOf(accepted), false)] : []),
      ...(failed > 0 ? [bar(index, 'failed', 0, failedHeight, true)] : []),
      ...(dropped > 0 ? [bar(index, 'dropped', failedHeight, heightOf(dropped), true)] : []),
    ];
  });
  const line = shown.map(({ sent }, index) => stepOf(leftOf(index), FLOOR - heightOf(sent))).join(' ');
  const levels = [0, top / 2, top].map((level) => {
    const y = round(FLOOR - (level / top) * (FLOOR - TOP));
    const label = html`<text x="${LEFT - 6}" y="${y + 4}" text-anchor="end">${count(level)}</text>`;
    return html`<path class="grid" d="M${LEFT} ${y}H${WIDTH - RIGHT}"/>${label}`;
  });
  const labels = shown.flatMap(({ at }, index) =>
    Number(at.slice(14, 16)) % LABEL_EVERY === 0
      ? [html`<text x="${round(leftOf(index) + STEP / 2)}" y="${HEIGHT - 8}" text-anchor="middle">${at.slice(11, 16)}</text>`]
      : [],
  );
  const words = html`<title id="chart-title">Events a minute, in the last hour</title><desc id="chart-desc">${describe(shown)}</desc>`;
  const marks = html`${levels}${bars}<polyline class="sent" points="${line}"/>${labels}`;
  return html`<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-labelledby="chart-title chart-desc">${words}${marks}</svg>`;
}

function describe(shown: readonly StatusMinute[]): string {
  const sum = (key: 'accepted' | 'sent' | 'failed' | 'dropped') => shown.reduce((total, each) => total + each[key], 0);
  const outcomes = `${count(sum('sent'))} sent, ${count(sum('failed'))} failed, ${count(sum('dropped'))} dropped`;
  const time = shown.length === 1 ? 'the last minute' : `the last ${shown.length} minutes`;
  return `In ${time} ${count(sum('accepted'))} events were accepted, ${outcomes}. The table below has the numbers.`;
}

/** A step as wide as its minute: a line of one minute is seen, too. */
function stepOf(left: number, y: number): string {
  return `${round(left)},${round(y)} ${round(left + STEP)},${round(y)}`;
}

/** The next number with one digit that is 1, 2, 4, 6 or 8 before zeros: its half is a whole number, too. */
function niceCeiling(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  const digit = [1, 2, 4, 6, 8, 10].find((each) => each * power >= value) ?? 10;
  return Math.max(2, digit * power);
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

/** The same numbers as the rows of a table, the newest first. */
export function minuteRows(minutes: readonly StatusMinute[]): Html {
  const rows = minutes
    .slice(-MINUTES)
    .toReversed()
    .map(({ at, accepted, sent, failed, dropped }) => [at.slice(11, 16), ...[accepted, sent, failed, dropped].map(count)]);
  return tableOf(['Minute, UTC', 'Accepted', 'Sent', 'Failed', 'Dropped'], rows);
}
