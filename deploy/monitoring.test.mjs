// Alerts and dashboard against the metrics of real relays, each brought into the state that an alert is for.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { inOrder, load } from './lib/manifests.mjs';
import { STATES } from './lib/states.mjs';
import { removeImage } from './lib/image.mjs';
import { serverVersion, startCluster } from './lib/nats.mjs';
import { freePort } from '../jetstream/server.mjs';
import { get, seriesOf, startCommand, startEndpoint, until } from './lib/relay.mjs';

const ALERTS = join(import.meta.dirname, 'prometheus', 'alerts.yml');
const dashboard = JSON.parse(readFileSync(join(import.meta.dirname, 'grafana', 'relay.json'), 'utf8'));
const EVENT = '/astronomer-cosmos/v3/dag_run?status=success&task_count=3';

const folder = mkdtempSync(join(tmpdir(), 'deploy-monitoring-'));
const closers = [];
let files = 0;
/** A file of its own for each call: the tests run at the same time. */
const newFile = (name) => join(folder, `${(files += 1)}-${name}`);
test.after.always(async () => {
  await Promise.all(closers.map((close) => close()));
  removeImage();
  rmSync(folder, { recursive: true, force: true });
});

/** Runs promtool, with a text as its standard input. Not synchronously: the endpoints of this process must go on answering. */
async function promtool(args, input = '') {
  const child = spawn('promtool', args, { cwd: folder });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (chunk) => (said += chunk));
  child.stdin.end(input);
  const [status] = await once(child, 'close').catch((error) => {
    throw new Error(`promtool is needed (Debian: the package prometheus): ${error.code}`);
  });
  return { isFine: status === 0, said };
}

/** Debian has the server of NATS as `nats-server`. */
const hasNats = serverVersion() !== undefined;
const names = Object.keys(STATES).filter((name) => STATES[name].queue === undefined || hasNats);
/** The metrics of the relay in each state. The relays live until the end. */
const pages = new Map();
const ports = new Map();

test.before(async (t) => {
  t.timeout(90_000);
  // Two at a time: a relay whose disk is kept waiting by the start of the others answers 200.
  const rest = [...names];
  const lane = async () => {
    for (let name = rest.shift(); name !== undefined; name = rest.shift()) await bring(name);
  };
  await Promise.all([lane(), lane()]);
});

async function bring(name) {
  const { args = [], env = {}, home: prepareHome, spool: prepare, queue = 0, endpoint: address, act } = STATES[name];
  const endpoint = await startEndpoint();
  const home = mkdtempSync(join(folder, 'state-'));
  const spool = join(home, 'spool');
  prepareHome?.(home);
  prepare?.(spool);
  const servers = queue === 0 ? [] : await startCluster(queue);
  closers.push(() => Promise.all(servers.map((server) => server.end())));
  const port = await freePort();
  const all = [
    `--listen=127.0.0.1:${port}`,
    `--forward=${address ?? endpoint.url}`,
    ...(prepare === null ? [] : [`--spool=${spool}`]),
    ...(queue === 0 ? [] : [`--jetstream=${servers[0].url}`, `--jetstream-replicas=${queue}`]),
    ...args,
  ];
  const command = startCommand(['relay', ...all], { HOME: home, ...env });
  closers.push(() => {
    command.kill('SIGKILL');
    endpoint.close();
  });
  await until(
    () => get(port, '/readyz'),
    ({ status }) => status === 200,
  );
  const page = async () => (await get(port, '/metrics')).text;
  await act({
    endpoint,
    metric: (series, value) => until(page, (text) => seriesOf(text).get(series) === value),
    send: async (events, allowed = [204, 200]) => {
      const statuses = [];
      for (let event = 0; event < events; event += 1) statuses.push((await get(port, EVENT)).status);
      if (!statuses.every((status) => allowed.includes(status))) throw new Error(`${name}: answers ${statuses.join(' ')}`);
      return statuses;
    },
  });
  const isDurable = Number(!STATES[name].alerts.some((alert) => /NotDurable|OptedOut/.test(alert)));
  pages.set(name, await until(page, (text) => seriesOf(text).get('cosmos_relay_spool_durable') === isDurable));
  ports.set(name, port);
}

/** A page of metrics as the series of a test of promtool: it stays as it is for half an hour. */
function inputSeries(page, labels) {
  const more = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
  return [...seriesOf(page)].map(([series, value]) => {
    const { 1: name, 2: own } = /^(\w+)(?:\{(.*)\})?$/.exec(series);
    return { series: `${name}{${[...more, ...(own === undefined ? [] : [own])].join(',')}}`, values: `${value}+0x30` };
  });
}

const LABELS = { job: 'cosmos-relay', instance: 'relay-0:9464' };
const rules = () =>
  load([ALERTS])
    .get(ALERTS)[0]
    .groups.flatMap((group) => group.rules);

/** What the rules say of a state: the alerts that fire, with their texts. */
function alertsIn(state) {
  const page = pages.get(state);
  const { alerts, cause } = STATES[state];
  const series = seriesOf(page);
  const age = series.get('cosmos_relay_oldest_event_age_seconds');
  const used = series.get('cosmos_relay_spool_bytes') / series.get('cosmos_relay_spool_limit_bytes');
  return rules().map(({ alert, labels, annotations }) => ({
    alertname: alert,
    eval_time: '20m',
    exp_alerts: alerts.includes(alert)
      ? [
          {
            exp_labels: { ...labels, ...LABELS },
            exp_annotations: Object.fromEntries(
              Object.entries(annotations).map(([name, text]) => [
                name,
                text
                  .replace('{{ $labels.instance }}', LABELS.instance)
                  .replace(/\{\{ range .*\{\{ end \}\}/, cause)
                  .replace('{{ $value | humanizeDuration }}', humanDuration(age))
                  .replace('{{ $value | humanizePercentage }}', `${Number((used * 100).toPrecision(4))}%`),
              ]),
            ),
          },
        ]
      : [],
  }));
}

function humanDuration(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 3600)}h ${Math.floor(whole / 60) % 60}m ${whole % 60}s`;
}

function testRules(tests) {
  const file = newFile('rules-test.yml');
  writeFileSync(file, JSON.stringify({ rule_files: [ALERTS], evaluation_interval: '1m', tests }));
  return promtool(['test', 'rules', file]);
}

test('the rules are rules', async (t) => {
  const { isFine, said } = await promtool(['check', 'rules', ALERTS]);
  t.true(isFine, said);
  t.is(rules().length, 5);
});

test('the configuration of Prometheus is one, and finds the relays of the manifests', async (t) => {
  const config = load([join(import.meta.dirname, 'prometheus', 'scrape.yml')])
    .values()
    .next().value[0];
  const [job] = config.scrape_configs;
  const [image, port] = job.relabel_configs;
  for (const name of ['cosmos-relay', 'cosmos-relay:0.1.0', 'registry.example/team/cosmos-relay@sha256:0f'])
    t.regex(name, new RegExp(`^(?:${image.regex})$`));
  t.notRegex('my-cosmos-relay-tool:1', new RegExp(`^(?:${image.regex})$`));
  t.is(port.regex, 'metrics');
  t.deepEqual(job.kubernetes_sd_configs, [{ role: 'pod' }]);
  // Debian's Prometheus is built without the discovery of Kubernetes: the rest of the file is checked.
  const { kubernetes_sd_configs: left, ...rest } = job;
  const file = join(folder, 'scrape.yml');
  copyFileSync(ALERTS, join(folder, 'alerts.yml'));
  writeFileSync(file, JSON.stringify({ ...config, scrape_configs: [{ ...rest, static_configs: [] }] }));
  const { isFine, said } = await promtool(['check', 'config', file]);
  t.true(isFine, `${left.length} ${said}`);
});

test('promtool has no objection to the metrics of any state', async (t) => {
  for (const [name, page] of pages) {
    const { isFine, said } = await promtool(['check', 'metrics'], page);
    t.true(isFine, `${name}: ${said}`);
  }
});

for (const name of names) {
  const { alerts } = STATES[name];
  test(`${name}: ${alerts.length === 0 ? 'no alert' : alerts.join(', ')}`, async (t) => {
    const one = { interval: '1m', input_series: inputSeries(pages.get(name), LABELS), alert_rule_test: alertsIn(name) };
    const { isFine, said } = await testRules([one]);
    t.true(isFine, said);
  });
}

test('no text says that events are in memory, since a queue has them', (t) => {
  const { annotations } = rules().find(({ alert }) => alert === 'CosmosRelayNotDurable');
  for (const text of Object.values(annotations)) t.notRegex(text, /in memory/);
});

test('each alert fires in a state, and promtool sees a test that expects another', async (t) => {
  t.deepEqual(inOrder(new Set(names.flatMap((name) => STATES[name].alerts))), inOrder(rules().map(({ alert }) => alert)));
  const wrong = { interval: '1m', input_series: inputSeries(pages.get('healthy'), LABELS), alert_rule_test: alertsIn('opted out') };
  t.false((await testRules([wrong])).isFine);
});

/** Every expression of the dashboard, with what Grafana puts in for its variables. */
const expressions = dashboard.panels.flatMap(({ title, targets = [] }) =>
  targets.map(({ expr }) => ({ title, expr, filled: expr.replaceAll('$__rate_interval', '1m').replaceAll(/\$(job|instance)/g, '.+') })),
);

test('every metric that alerts and dashboard name is one of a relay', (t) => {
  const known = new Set([...pages.get('healthy').matchAll(/^# TYPE (\w+)/gm)].map((match) => match[1]));
  const texts = [
    ...expressions.map(({ expr }) => expr),
    ...rules().flatMap(({ expr, annotations }) => [expr, ...Object.values(annotations)]),
  ];
  const queries = dashboard.templating.list.map(({ definition = '' }) => definition);
  const used = new Set([...texts, ...queries].join('\n').match(/cosmos_relay_\w+/g));
  t.true(used.size > 15);
  t.deepEqual(
    [...used].filter((name) => !known.has(name) && !known.has(name.replace(/_(?:bucket|count|sum)$/, ''))),
    [],
  );
});

function checkExpressions(list) {
  const file = newFile('expressions.yml');
  const records = list.map((expr, index) => ({ record: `dashboard:expression_${index}`, expr }));
  writeFileSync(file, JSON.stringify({ groups: [{ name: 'dashboard', rules: records }] }));
  return promtool(['check', 'rules', file]);
}

test('every expression of the dashboard is one, and a wrong one is found', async (t) => {
  const { isFine, said } = await checkExpressions(expressions.map(({ filled }) => filled));
  t.true(isFine, said);
  t.false((await checkExpressions(['sum by (cause (cosmos_relay_not_delivering)'])).isFine);
  t.false(
    expressions.some(({ filled }) => filled.includes('$')),
    'a variable that the dashboard does not have',
  );
});

test('the panels have names, places and words of their own', (t) => {
  const { panels } = dashboard;
  t.is(new Set(panels.map(({ id }) => id)).size, panels.length);
  const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
    Array.from({ length: w * h }, (_, cell) => `${x + (cell % w)},${y + Math.floor(cell / w)}`),
  );
  t.is(new Set(cells).size, cells.length, 'no panel lies on another');
  for (const { type, title, description } of panels.filter((each) => each.type !== 'row')) t.truthy(description, `${type} ${title}`);
});

test('the page about the alerts names each alert and each cause', (t) => {
  const page = readFileSync(join(import.meta.dirname, '..', 'docs', 'monitoring.md'), 'utf8');
  const source = readFileSync(join(import.meta.dirname, '..', 'src', 'delivery', 'transport.ts'), 'utf8');
  const causes = [.../const CAUSES = \[(.*?)\] as const/s.exec(source)[1].matchAll(/^ {2}'(\w+)',$/gm)].map((match) => match[1]);
  t.true(causes.length > 5);
  const seen = names.map((name) => STATES[name].cause).filter(Boolean);
  for (const word of [...rules().map(({ alert }) => alert), ...causes, ...seen.filter((cause) => !cause.startsWith('http_'))])
    t.true(page.includes(`\`${word}\``), word);
});

test('a real Prometheus that scrapes the relays has data for every panel', async (t) => {
  const port = await freePort();
  const targets = names.map((name) => ({ targets: [`127.0.0.1:${ports.get(name)}`], labels: { in: name } }));
  const file = join(folder, 'prometheus.yml');
  const global = { scrape_interval: '1s', evaluation_interval: '1s' };
  writeFileSync(
    file,
    JSON.stringify({ global, rule_files: [ALERTS], scrape_configs: [{ job_name: 'cosmos-relay', static_configs: targets }] }),
  );
  const listen = `--web.listen-address=127.0.0.1:${port}`;
  const child = spawn('prometheus', [`--config.file=${file}`, `--storage.tsdb.path=${join(folder, 'tsdb')}`, listen], { stdio: 'ignore' });
  const ended = once(child, 'close');
  try {
    const query = async (expr) => {
      const { status, text } = await get(port, `/api/v1/query?query=${encodeURIComponent(expr)}`);
      return status === 200 ? JSON.parse(text).data.result : [];
    };
    // Two samples of each relay, for the rates.
    await until(
      () => query('count_over_time(cosmos_relay_ready[1m]) >= 2'),
      (result) => result.length === names.length,
    );
    for (const { title, filled } of expressions) t.not((await query(filled)).length, 0, `${title}: ${filled}`);
    // The one alert that waits for nothing.
    const firing = await until(
      () => query('ALERTS{alertstate="firing"}'),
      (result) => result.length > 0,
    );
    t.deepEqual(
      firing.map(({ metric }) => [metric.alertname, metric.in]),
      [['CosmosRelayOptedOut', 'opted out']],
    );
    const expected = names.flatMap((name) =>
      STATES[name].alerts.filter((alert) => alert !== 'CosmosRelayOptedOut').map((alert) => `${alert} ${name}`),
    );
    const pending = await until(
      () => query('ALERTS{alertstate="pending"}'),
      (result) => result.length >= expected.length,
    );
    t.deepEqual(inOrder(pending.map(({ metric }) => `${metric.alertname} ${metric.in}`)), inOrder(expected));
  } finally {
    child.kill('SIGTERM');
    await ended;
  }
});
