// Draws charts as SVG with Vega, without a browser.
import { parse, View } from 'vega';
import { figure } from '../harness/table.mjs';

const COLOURS = { ours: '#0b6e4f', floor: '#9aa5b1', rival: '#d1495b', naive: '#edae49', library: '#3d5a80' };
const POWERS_OF_TEN = [1, 10, 100, 1000, 10_000, 100_000, 1_000_000];
const FONT = 'Helvetica, Arial, sans-serif';
const CONFIG = {
  axis: {
    labelFont: FONT,
    titleFont: FONT,
    labelFontSize: 12,
    titleFontSize: 12,
    grid: true,
    gridColor: '#e5e5e5',
    domain: false,
    ticks: false,
  },
  title: { font: FONT, fontSize: 15, anchor: 'start', offset: 12 },
  background: 'white',
};

/**
 * Horizontal bars, each with a line from the lowest to the highest sample.
 *
 * @param chart.bars `{ label, kind, median, min, max, text? }`; `text` replaces the median's figure
 * @param chart.isLog whether the axis is logarithmic, for bars that differ by orders of magnitude
 */
export async function barChart({ title, unit, bars, isLog }) {
  const rows = bars.map((bar) => ({ ...bar, text: bar.text ?? figure(bar.median) }));
  const smallest = Math.min(...rows.map(({ min }) => min));
  const base = isLog ? 10 ** Math.floor(Math.log10(smallest) - 0.2) : 0;
  const middle = { scale: 'y', field: 'label', band: 0.5 };
  return draw({
    title,
    width: 520,
    height: rows.length * 26,
    data: [{ name: 'rows', values: rows }],
    scales: [
      {
        name: 'x',
        type: isLog ? 'log' : 'linear',
        domain: [base, Math.max(...rows.map(({ max }) => max)) * (isLog ? 2.5 : 1.12)],
        range: 'width',
      },
      { name: 'y', type: 'band', domain: rows.map(({ label }) => label), range: 'height', padding: 0.25 },
      { name: 'colour', type: 'ordinal', domain: Object.keys(COLOURS), range: Object.values(COLOURS) },
    ],
    axes: [
      { orient: 'bottom', scale: 'x', title: unit, format: ',~r', ...(isLog ? { values: POWERS_OF_TEN } : { tickCount: 6 }) },
      { orient: 'left', scale: 'y', grid: false, labelLimit: 0 },
    ],
    marks: [
      {
        type: 'rect',
        from: { data: 'rows' },
        encode: {
          enter: {
            y: { scale: 'y', field: 'label' },
            height: { scale: 'y', band: 1 },
            x: { scale: 'x', value: base },
            x2: at('median'),
            fill: { scale: 'colour', field: 'kind' },
          },
        },
      },
      {
        type: 'rule',
        from: { data: 'rows' },
        encode: { enter: { y: middle, x: at('min'), x2: at('max'), stroke: { value: '#333' }, strokeWidth: { value: 1.5 } } },
      },
      {
        type: 'text',
        from: { data: 'rows' },
        encode: {
          enter: {
            y: middle,
            x: at('max'),
            dx: { value: 6 },
            text: { field: 'text' },
            baseline: { value: 'middle' },
            font: { value: FONT },
            fontSize: { value: 11 },
          },
        },
      },
    ],
  });
}

const at = (field) => ({ scale: 'x', field });

/** Lines over a logarithmic x axis, from points `{ label, kind, x, y }`. */
export async function lineChart({ title, unit, xTitle, points }) {
  const labels = [...new Set(points.map(({ label }) => label))];
  const xs = [...new Set(points.map(({ x }) => x))];
  const colour = { scale: 'colour', field: 'label' };
  const place = { x: { scale: 'x', field: 'x' }, y: { scale: 'y', field: 'y' } };
  return draw({
    title,
    width: 520,
    height: 280,
    data: [{ name: 'points', values: points }],
    scales: [
      { name: 'x', type: 'log', base: 2, domain: [Math.min(...xs), Math.max(...xs)], range: 'width' },
      { name: 'y', type: 'linear', domain: [0, Math.max(...points.map(({ y }) => y)) * 1.05], range: 'height' },
      {
        name: 'colour',
        type: 'ordinal',
        domain: labels,
        range: labels.map((label) => COLOURS[points.find((point) => point.label === label).kind]),
      },
    ],
    axes: [
      { orient: 'bottom', scale: 'x', title: xTitle, values: xs },
      { orient: 'left', scale: 'y', title: unit, format: ',~r', tickCount: 6 },
    ],
    legends: [{ stroke: 'colour', symbolType: 'stroke', orient: 'right', labelFont: FONT, labelFontSize: 12, symbolStrokeWidth: 2.5 }],
    marks: [
      {
        type: 'group',
        from: { facet: { name: 'line', data: 'points', groupby: 'label' } },
        marks: [{ type: 'line', from: { data: 'line' }, encode: { enter: { ...place, stroke: colour, strokeWidth: { value: 2.5 } } } }],
      },
      { type: 'symbol', from: { data: 'points' }, encode: { enter: { ...place, fill: colour, size: { value: 40 } } } },
    ],
  });
}

async function draw(spec) {
  const view = new View(parse({ $schema: 'https://vega.github.io/schema/vega/v6.json', padding: 5, ...spec }, CONFIG), {
    renderer: 'none',
  });
  try {
    return `${await view.toSVG()}\n`;
  } finally {
    view.finalize();
  }
}
