// The report: one HTML file that needs no network and no script.
import { createHash } from 'node:crypto';
import { bar, COLOURS, dayBars, escape, legend, number, percent, rangeOf, whisker } from './charts.mjs';

/** How many rows a table has at most. The rest is one row: a stranger may send a million names. */
const MAX_ROWS = 50;

const STYLE = `
:root{color-scheme:light dark;--back:#fff;--text:#1b1f24;--soft:#57606a;--line:#d5dae0;--c0:#1f6feb;--c1:#d9730d;--c2:#1a7f5a;--c3:#8a4fd0;
--c4:#9a7500;--c5:#0e7c86;--c6:#bf3989;--c7:#7d8590}
@media (prefers-color-scheme:dark){:root{--back:#0f1318;--text:#e6edf3;--soft:#9da7b3;--line:#323a44;--c0:#58a6ff;--c1:#f0883e;--c2:#3fb98a;
--c3:#b28cf0;--c4:#d9c04f;--c5:#4cc3cf;--c6:#f085c0;--c7:#8b949e}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:60rem;padding:1rem;background:var(--back);color:var(--text);font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.6rem;line-height:1.2}h2{font-size:1.2rem;margin:2.2rem 0 .4rem}h3{font-size:1rem;margin:1.2rem 0 .3rem}
p{max-width:44rem}.soft,caption,dt{color:var(--soft)}
figure{margin:.8rem 0}svg text{fill:var(--soft);font-size:12px;paint-order:stroke;stroke:var(--back);stroke-width:3px}
.grid{stroke:var(--line)}.interval{stroke:var(--text);stroke-width:2}
.s0{fill:var(--c0)}.s1{fill:var(--c1)}.s2{fill:var(--c2)}.s3{fill:var(--c3)}.s4{fill:var(--c4)}.s5{fill:var(--c5)}
.s6{fill:var(--c6)}.s7{fill:var(--c7)}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1rem;padding:0;margin:.3rem 0;list-style:none;font-size:.9rem}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.9rem;font-variant-numeric:tabular-nums}
caption{text-align:left;padding:.3rem 0}
th,td{padding:.25rem .6rem .25rem 0;border-bottom:1px solid var(--line);text-align:right;vertical-align:top}
th:first-child,td.text{text-align:left;overflow-wrap:anywhere;min-width:5.5rem}
td.wide{width:35%;min-width:6rem}.bar{display:block;margin-top:.3rem}
dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(8rem,1fr));gap:.8rem;margin:1rem 0}
dt{font-size:.9rem}dd{margin:0;font-size:1.5rem;font-weight:600}
summary{cursor:pointer;padding:.3rem 0}a,summary{color:var(--c0)}:focus-visible{outline:2px solid var(--c0);outline-offset:2px}
`;

const WORDS = {
  not_format: 'not in the log format',
  other_path: 'another path, which is no event',
  not_utf8: 'not UTF-8',
  too_long: 'longer than 32,768 bytes',
  not_json: 'not JSON, or cut off',
  not_object: 'JSON, but no object',
  bad_id: '`id` is missing, or no UUID in lower case',
  bad_time: '`time` is missing, or no time in UTC with milliseconds from 1970 to 2299',
  bad_event: '`event` is missing, or no name of an event',
};

const reasonWords = (reason) =>
  reason.startsWith('status_') ? `answered with ${reason.slice(7)}, so the client may have sent it again` : (WORDS[reason] ?? reason);

const said = (name) => (name === '' ? 'not said' : name);

/**
 * A table.
 *
 * @param columns Each with `head`; `cell`, which makes the content of a row's cell; `isText`, `isWide`, `isRaw` (the cell is HTML).
 */
function table(id, caption, columns, rows) {
  const head = columns.map(({ head: text }) => `<th scope="col">${escape(text)}</th>`).join('');
  const cells = (row) =>
    columns.map(({ cell, isText, isWide, isRaw }, index) => {
      const content = isRaw ? cell(row) : escape(cell(row));
      if (index === 0) return `<th scope="row">${content}</th>`;
      const name = isWide ? ' class="wide"' : isText ? ' class="text"' : '';
      return `<td${name}>${content}</td>`;
    });
  return (
    `<div class="scroll" role="region" tabindex="0" aria-label="Table: ${escape(caption)}"><table id="${id}">` +
    `<caption>${escape(caption)}</caption><thead><tr>${head}</tr></thead>` +
    `<tbody>${rows.map((row) => `<tr>${cells(row).join('')}</tr>`).join('\n')}</tbody></table></div>`
  );
}

/** The first rows, and the sum of the others as one. */
function bounded(rows, sum) {
  if (rows.length <= MAX_ROWS) return rows;
  const kept = rows.slice(0, MAX_ROWS);
  return [...kept, sum(rows.slice(MAX_ROWS))];
}

const total = (rows, name) => rows.reduce((sum, row) => sum + row[name], 0);
const detail = (summary, content) => `<details><summary>${escape(summary)}</summary>${content}</details>`;
const section = (id, title, ...content) =>
  `<section aria-labelledby="${id}"><h2 id="${id}">${escape(title)}</h2>${content.join('\n')}</section>`;
const figure = (chart, names) => `<figure>${names.length > 1 ? legend(names) : ''}${chart}</figure>`;

// What stands for the rows that a table leaves out.
const restOfVersions = (rest) => ({
  version: `${number(rest.length)} others`,
  events: total(rest, 'events'),
  installations: total(rest, 'installations'),
  first: rest.map(({ first }) => first).toSorted()[0],
  last: rest
    .map(({ last }) => last)
    .toSorted()
    .at(-1),
});
const restOfNames = (rest) => ({ name: `${number(rest.length)} others`, tasks: total(rest, 'tasks'), runs: total(rest, 'runs') });
const restOfHosts = (rest) => ({ version: `${number(rest.length)} others`, events: total(rest, 'events') });

/** Whether a row is of a day that the charts show. Others are few, or of wrong clocks, and there may be a hundred thousand of them. */
const isIn =
  ({ first, last }) =>
  ({ day }) =>
    first <= day && day <= last;

function overview({ days, hasDaily, repeated, notUnderstood, ...answers }) {
  const most = days.reduce((highest, { installations: each }) => Math.max(highest, each), 0);
  const facts = [
    ['events', 'Events', number(answers.events)],
    ['days', 'Days with events', number(days.length)],
    ['versions', 'Versions', number(answers.versions.filter(({ version }) => version !== '').length)],
    ['most', 'Most installations in a day', hasDaily ? number(most) : 'not known'],
    ['repeated', 'Repeated lines, removed', number(repeated)],
    ['broken', 'Lines not understood', number(total(notUnderstood, 'lines'))],
  ];
  return `<dl>${facts.map(([id, term, value]) => `<div><dt>${term}</dt><dd id="${id}">${value}</dd></div>`).join('')}</dl>`;
}

function installations({ days, hasDaily, daily, format }, range) {
  const title = 'Installations per day';
  if (!hasDaily) {
    return section(
      'h-installations',
      title,
      `<p>No event is of type <code>${escape(daily)}</code>, so nothing here tells how many installations there are. If your product has a
daily event of another name, say <code>--daily NAME</code>.</p>`,
    );
  }
  const hasCi = days.some(({ ci }) => ci > 0);
  const names = hasCi ? ['others', 'on build servers'] : ['installations'];
  const rows = days.map(({ day, installations: all, ci }) => ({ day, parts: hasCi ? [all - ci, ci] : [all] }));
  const columns = [
    { head: 'Day (UTC)', cell: ({ day }) => day },
    { head: 'Installations', cell: (row) => number(row.installations) },
    { head: 'On build servers', cell: ({ ci }) => number(ci) },
  ];
  return section(
    'h-installations',
    title,
    `<p>Counted by the event <code>${escape(daily)}</code>, which an installation, a config folder, sends at most once a day. A machine that
makes a new home at each start, as a container does, counts each time; an installation without a writable folder or without network does
not count.
${format === 'nginx' ? 'The day is that on which the request arrived.' : 'The day is that of the sender’s clock.'}</p>`,
    figure(dayBars(`${title}, from ${range.first} to ${range.last}`, range, rows, { names }), names),
    detail('The numbers', table('t-installations', title, columns, days.filter(isIn(range)))),
  );
}

function events({ days }, range) {
  const names = ['tasks', 'runs', 'others'];
  const rows = days.map(({ day, tasks, runs, events: all }) => ({ day, parts: [tasks, runs, all - tasks - runs] }));
  const columns = [
    { head: 'Day (UTC)', cell: ({ day }) => day },
    { head: 'Events', cell: (row) => number(row.events) },
    { head: 'Tasks', cell: (row) => number(row.tasks) },
    { head: 'Runs', cell: (row) => number(row.runs) },
  ];
  return section(
    'h-events',
    'Events per day',
    '<p>Runs are not users: one installation with a schedule of minutes sends more than a thousand that run once a week.</p>',
    figure(dayBars(`Events per day, from ${range.first} to ${range.last}`, range, rows, { names }), names),
    detail('The numbers', table('t-days', 'Events per day', columns, days.filter(isIn(range)))),
  );
}

function versions(answers, range) {
  const { hasDaily, versionDays } = answers;
  const key = hasDaily ? 'installations' : 'events';
  // The most used ones have colours, and stand in the order of their numbers.
  const most = new Set(
    answers.versions
      .toSorted((one, other) => other[key] - one[key])
      .slice(0, answers.versions.length > COLOURS ? COLOURS - 1 : COLOURS)
      .map(({ version }) => version),
  );
  const shown = answers.versions
    .map(({ version }) => version)
    .filter((version) => most.has(version))
    .toReversed();
  const hasRest = answers.versions.length > shown.length;
  const names = [...shown.map(said), ...(hasRest ? ['others'] : [])];
  const rows = [...versionDays]
    .map(([day, counts]) => {
      const parts = shown.map((version) => counts.get(version) ?? 0);
      const rest = [...counts].filter(([version]) => !most.has(version)).reduce((sum, [, more]) => sum + more, 0);
      return { day, parts: hasRest ? [...parts, rest] : parts };
    })
    .toSorted((one, other) => (one.day < other.day ? -1 : 1));
  const columns = [
    { head: 'Version', cell: ({ version }) => said(version) },
    { head: 'Events', cell: (row) => number(row.events) },
    { head: 'Daily events', cell: (row) => number(row.installations) },
    { head: 'First day', cell: ({ first }) => first },
    { head: 'Last day', cell: ({ last }) => last },
  ];
  const byDay = [{ head: 'Day (UTC)', cell: ({ day }) => day }].concat(
    names.map((name, index) => ({ head: name, cell: ({ parts }) => number(parts[index]) })),
  );
  const basis = hasDaily ? 'installations, by the daily event' : 'events, and not of installations: who runs more counts more';
  return section(
    'h-versions',
    'Versions over time',
    `<p>The share of each day’s ${basis}.</p>`,
    figure(dayBars(`Versions, from ${range.first} to ${range.last}`, range, rows, { names, isShare: true }), names),
    table('t-versions', 'All days together', columns, bounded(answers.versions, restOfVersions)),
    detail(
      'Each day',
      table('t-version-days', hasDaily ? 'Installations by version' : 'Events by version', byDay, rows.filter(isIn(range))),
    ),
  );
}

function shares(id, title, words, rows) {
  const shown = bounded(rows, restOfNames);
  const most = Math.max(1, ...shown.map(({ tasks, runs }) => Math.max(tasks, runs)));
  const columns = [
    { head: 'Name', cell: ({ name }) => said(name) },
    { head: 'Tasks', cell: (row) => number(row.tasks) },
    { head: 'Runs', cell: (row) => number(row.runs) },
    { head: 'Tasks, then runs', isWide: true, isRaw: true, cell: ({ tasks, runs }) => bar(tasks / most, 0) + bar(runs / most, 1) },
  ];
  return section(`h-${id}`, title, `<p>${words}</p>`, table(`t-${id}`, `${title} of tasks and runs`, columns, shown));
}

function failures(id, caption, rows) {
  const known = rows.filter(({ interval }) => interval !== undefined);
  if (known.length === 0) return `<p>No event says how ${caption.toLowerCase()} ended.</p>`;
  const largest = known.toSorted((one, other) => other.succeeded + other.failed - one.succeeded - one.failed).slice(0, MAX_ROWS);
  const shown = known.filter((row) => largest.includes(row));
  const top = Math.max(0.01, ...shown.map(({ interval, succeeded, failed }) => (succeeded + failed < 30 ? interval.rate : interval.high)));
  const columns = [
    { head: 'Version', cell: ({ version }) => said(version) },
    { head: 'Rate', cell: ({ interval }) => percent(interval.rate) },
    { head: '95% interval', cell: ({ interval }) => `${percent(interval.low)} to ${percent(interval.high)}` },
    { head: `0% to ${percent(top)}`, isWide: true, isRaw: true, cell: ({ interval }) => whisker(interval, top) },
    { head: 'Failed', cell: ({ failed }) => number(failed) },
    { head: 'Succeeded', cell: ({ succeeded }) => number(succeeded) },
    { head: 'Neither', cell: ({ others }) => number(others) },
  ];
  const left = known.length - shown.length;
  const note = left > 0 ? `<p>Without ${number(left)} versions of few events.</p>` : '';
  return `<h3>${caption}</h3>${table(`t-failed-${id}`, `${caption} that failed, by version`, columns, shown)}${note}`;
}

function hosts({ airflow, python }) {
  const columns = [
    { head: 'Version', cell: ({ version }) => said(version) },
    { head: 'Events', cell: (row) => number(row.events) },
  ];
  return section(
    'h-hosts',
    'Airflow and Python',
    '<p>Of all events, so who runs more counts more.</p>',
    table('t-airflow', 'Airflow', columns, bounded(airflow, restOfHosts)),
    table('t-python', 'Python', columns, bounded(python, restOfHosts)),
  );
}

function leftOut({ notUnderstood, badValues, repeated, format, lines, days }, range) {
  const columns = [
    { head: 'Why', cell: ({ reason }) => reasonWords(reason) },
    { head: 'Lines', cell: (row) => number(row.lines) },
  ];
  const fields = [
    { head: 'Field', cell: ({ field }) => field },
    { head: 'Events', cell: (row) => number(row.events) },
    {
      head: 'Examples',
      isText: true,
      cell: ({ examples }) => examples.map((text) => (text.length > 60 ? `${text.slice(0, 60)}…` : text)).join(' · '),
    },
  ];
  const outside = total(days, 'events') - range.events;
  return section(
    'h-left-out',
    'What is left out',
    `<p>Of <span id="lines">${number(lines)}</span> lines, ${number(total(notUnderstood, 'lines'))} lines were not understood` +
      `${format === 'ndjson' ? `, and ${number(repeated)} repeated the id of an earlier line` : ''}.</p>`,
    notUnderstood.length > 0 ? table('t-not-understood', 'Lines that were not understood', columns, notUnderstood) : '',
    badValues.length > 0
      ? '<p>These values are none of their field. Their events are counted, as if they had said nothing there.</p>' +
          table('t-bad-values', 'Values that were not understood', fields, badValues)
      : '',
    outside > 0 ? `<p>${number(outside)} events are of days outside of the charts and their tables: clocks may be wrong.</p>` : '',
  );
}

function caveats({ format, daily, hasDaily }) {
  const list = [
    'Runs are not users. No event has an id of a person or a machine, so nobody can be followed, and nobody can be counted.',
    hasDaily
      ? `Installations are counted by <code>${escape(daily)}</code>. Do not add the numbers of two days: an installation is in both.`
      : 'Without a daily event no number here is one of installations.',
    'Whoever opted out is missing, and no number says how many they are. They may differ from the others.',
    'How much is missing otherwise is not known: machines without network, proxies, full buffers, processes that were killed.',
    format === 'nginx'
      ? 'An address of a sender in a log would not be read; the documented format has none.'
      : 'No address of a sender is in these files.',
    format === 'nginx'
      ? 'Requests have no id. One that was answered with an error may have been sent again, so only those answered with 2xx are counted. ' +
        'A line that is in two of the files counts twice.'
      : 'A batch may arrive twice. Of lines with the same id the first one is counted.',
    'An interval is Wilson’s, of 95%: if events were independent, it would contain the true rate in 19 of 20 cases. They are not: ' +
      'a workflow that is broken fails each time it runs. So the true uncertainty is larger.',
    'Versions differ in who uses them, and when. A higher rate is a reason to look, and no proof.',
    'Anyone who knows the endpoint can send anything.',
  ];
  return section('h-caveats', 'What these numbers do not say', `<ul>${list.map((item) => `<li>${item}</li>`).join('\n')}</ul>`);
}

/**
 * The report as HTML.
 *
 * @param answers Of `answersOf`.
 */
export function reportOf(answers) {
  const { product, days } = answers;
  const range = rangeOf(days);
  const hash = createHash('sha256').update(STYLE).digest('base64');
  const title = `${product}: usage from ${range.first} to ${range.last}`;
  const intervals = 'The share of those that failed among those that failed or succeeded, with Wilson’s 95% interval.';
  const { tasks, runs } = answers.outcomes;
  const failed = [`<p>${intervals}</p>`, failures('tasks', 'Tasks', tasks), failures('runs', 'Runs', runs)];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>${escape(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>${escape(title)}</h1>
<p class="soft">${answers.format === 'nginx' ? 'From the access log of a web server.' : 'From lines of JSON.'}</p>
${overview(answers)}
${installations(answers, range)}
${versions(answers, range)}
${section('h-failures', 'Failures by version', ...failed)}
${shares('databases', 'Databases', 'How many tasks and runs name each kind of database.', answers.databases)}
${shares('modes', 'Execution modes', 'A run has the modes of all its tasks, and counts for each of them.', answers.modes)}
${hosts(answers)}
${events(answers, range)}
${leftOut(answers, range)}
${caveats(answers)}
</main>
</body>
</html>
`;
}
