// From counted groups to answers: values are decoded and judged here, each distinct one once.
import { columnsOf, decodeValue } from './columns.mjs';
import { InputError } from './read.mjs';

/** How many wrong values of a column are shown. */
const MAX_EXAMPLES = 3;

/** The 97.5% quantile of the normal distribution: an interval of 95% has as much outside at both ends. */
const Z = 1.959963984540054;

/** Wilson's 95% interval of a share. It is of use for small numbers and for shares near 0, unlike the textbook's. */
export function wilson(failed, all) {
  if (all === 0) return undefined;
  const share = failed / all;
  const scale = 1 + Z ** 2 / all;
  const middle = (share + Z ** 2 / (2 * all)) / scale;
  const half = (Z * Math.sqrt((share * (1 - share)) / all + Z ** 2 / (4 * all ** 2))) / scale;
  return { rate: share, low: failed === 0 ? 0 : middle - half, high: failed === all ? 1 : middle + half };
}

/** The numbers of a version, and what follows them. */
const partsOf = (version) => /^([\d.]*\d)?(.*)$/.exec(version);

const isBefore = (rest) => /^[-.]?(?:a|b|c|rc|alpha|beta|dev|pre|next)/i.test(rest);

/** Newer versions first, and a release before its candidates. What has another form is last. */
export function compareVersions(one, other) {
  const [, release = '', rest] = partsOf(one);
  const [, otherRelease = '', otherRest] = partsOf(other);
  return (
    otherRelease.localeCompare(release, 'en', { numeric: true }) ||
    Number(isBefore(rest)) - Number(isBefore(otherRest)) ||
    otherRest.localeCompare(rest, 'en', { numeric: true })
  );
}

/** Reads values as they were sent, and notes those that their column does not accept. */
class Values {
  #format;
  #columns;
  #bad = new Map();

  constructor(format, columns) {
    this.#format = format;
    this.#columns = columns;
  }

  /** @returns The value; undefined if there is none, or none that the column accepts. `events` are noted if they are given. */
  read(name, raw, events = 0) {
    if (raw === null || raw === undefined) return undefined;
    const { field, accepts } = this.#columns[name];
    const text = this.#format === 'nginx' ? decodeValue(field, raw) : raw;
    if (this.#format === 'nginx' && text === 'None') return undefined;
    if (accepts(text)) return text;
    if (events > 0) {
      const bad = this.#bad.get(field) ?? { field, events: 0, texts: new Map() };
      bad.events += events;
      bad.texts.set(text, (bad.texts.get(text) ?? 0) + events);
      this.#bad.set(field, bad);
    }
    return undefined;
  }

  get bad() {
    return [...this.#bad.values()].map(({ field, events, texts }) => ({
      field,
      events,
      examples: [...texts]
        .toSorted(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))
        .slice(0, MAX_EXAMPLES)
        .map(([text]) => text),
    }));
  }
}

const add = (map, key, events) => map.set(key, (map.get(key) ?? 0) + events);

/** The entry of a map, made by the first who asks. */
function entry(map, key, make) {
  if (!map.has(key)) map.set(key, make());
  return map.get(key);
}

/** How each version's runs or tasks ended. */
function outcomesOf(rows, values, type) {
  const versions = new Map();
  for (const { event, version, status, events } of rows) {
    if (event !== type) continue;
    const name = values.read('version', version) ?? '';
    const found = entry(versions, name, () => ({ version: name, succeeded: 0, failed: 0, others: 0 }));
    const text = values.read('status', status);
    // A run that was skipped or taken from a cache shows nothing of its version.
    found[text === 'success' ? 'succeeded' : text === 'failed' || text === 'timed_out' ? 'failed' : 'others'] += events;
  }
  return [...versions.values()]
    .toSorted((one, other) => compareVersions(one.version, other.version))
    .map((each) => ({ ...each, interval: wilson(each.failed, each.succeeded + each.failed) }));
}

/** How many tasks and runs have each value. */
function sharesOf(rows, read) {
  const found = new Map();
  for (const row of rows) {
    const key = row.event === 'task_instance' ? 'tasks' : row.event === 'dag_run' ? 'runs' : undefined;
    if (key === undefined || row.events === 0) continue;
    for (const name of read(row)) entry(found, name, () => ({ name, tasks: 0, runs: 0 }))[key] += row.events;
  }
  return [...found.values()].toSorted((a, b) => b.tasks - a.tasks || b.runs - a.runs || (a.name < b.name ? -1 : 1));
}

function merged(...lists) {
  const found = new Map();
  for (const { name, tasks, runs } of lists.flat()) {
    const one = entry(found, name, () => ({ name, tasks: 0, runs: 0 }));
    one.tasks += tasks;
    one.runs += runs;
  }
  return [...found.values()].toSorted((a, b) => b.tasks + b.runs - a.tasks - a.runs || (a.name < b.name ? -1 : 1));
}

function countsOf(rows, values, name) {
  const found = new Map();
  for (const row of rows) if (row.events > 0) add(found, values.read(name, row[name], row.events) ?? '', row.events);
  return [...found].toSorted(([a, m], [b, n]) => n - m || (a < b ? -1 : 1)).map(([version, events]) => ({ version, events }));
}

/**
 * The answers of a report.
 *
 * @param read What `readFiles` returns.
 * @param options `product`, and `daily`: the type of the event that an installation sends once a day.
 * @throws InputError if there is no event.
 */
export function answersOf({ format, counted, repeated }, { product, daily }) {
  const columns = columnsOf(product);
  const values = new Values(format, columns);
  const reasons = new Map();
  let events = 0;
  for (const row of counted.reasons) {
    if (row.reason === null) events += row.lines;
    else add(reasons, row.reason, row.lines);
  }
  const notUnderstood = [...reasons].toSorted(([a, m], [b, n]) => n - m || (a < b ? -1 : 1)).map(([reason, lines]) => ({ reason, lines }));
  if (events === 0) {
    throw new InputError(
      `No line is an event: ${notUnderstood.map(({ reason, lines }) => `${reason} ${lines}`).join(', ') || 'no lines'}.`,
    );
  }

  const days = new Map();
  const versions = new Map();
  const versionDays = { events: new Map(), installations: new Map() };
  for (const row of counted.days) {
    if (row.events === 0) continue;
    const name = values.read('version', row.version, row.events) ?? '';
    const isCi = /^true$/i.test(values.read('ci', row.ci, row.events) ?? '');
    const day = entry(days, row.day, () => ({ day: row.day, events: 0, tasks: 0, runs: 0, installations: 0, ci: 0 }));
    const version = entry(versions, name, () => ({ version: name, events: 0, installations: 0, first: row.day, last: row.day }));
    day.events += row.events;
    version.events += row.events;
    if (row.event === 'task_instance') day.tasks += row.events;
    if (row.event === 'dag_run') day.runs += row.events;
    if (row.day < version.first) version.first = row.day;
    if (row.day > version.last) version.last = row.day;
    add(
      entry(versionDays.events, row.day, () => new Map()),
      name,
      row.events,
    );
    if (row.event !== daily) continue;
    day.installations += row.events;
    if (isCi) day.ci += row.events;
    version.installations += row.events;
    add(
      entry(versionDays.installations, row.day, () => new Map()),
      name,
      row.events,
    );
  }
  // Wrong values are noted once: here for `status`, and there for the others.
  for (const { status, events: number } of counted.outcomes) values.read('status', status, number);
  const hasDaily = versionDays.installations.size > 0;

  return {
    format,
    product,
    daily,
    hasDaily,
    lines: events + repeated + notUnderstood.reduce((sum, { lines }) => sum + lines, 0),
    events,
    repeated,
    notUnderstood,
    days: [...days.values()].toSorted((one, other) => (one.day < other.day ? -1 : 1)),
    versions: [...versions.values()].toSorted((one, other) => compareVersions(one.version, other.version)),
    versionDays: hasDaily ? versionDays.installations : versionDays.events,
    databases: sharesOf(counted.databases, ({ database, events: number }) => [values.read('database', database, number) ?? '']),
    modes: merged(
      sharesOf(
        counted.modes.filter(({ event }) => event !== 'dag_run'),
        ({ mode, events: number }) => [values.read('mode', mode, number) ?? ''],
      ),
      // A run has the modes of all its tasks: it counts for each of them.
      sharesOf(
        counted.modeSets.filter(({ event }) => event === 'dag_run'),
        ({ modes, events: number }) => new Set((values.read('modes', modes, number) ?? '').split('__')),
      ),
    ),
    outcomes: {
      runs: outcomesOf(counted.outcomes, values, 'dag_run'),
      tasks: outcomesOf(counted.outcomes, values, 'task_instance'),
    },
    airflow: countsOf(counted.airflow, values, 'airflow'),
    python: countsOf(counted.python, values, 'python'),
    badValues: values.bad,
  };
}
