import test from 'ava';
import { startCollector } from '../../src/testing/index.js';
import { until } from './helpers/until.js';
import { startRig } from './helpers/relay-rig.js';

/** The samples of a page, by name and labels. */
function samplesOf(text: string): Map<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]));
}

test('the accounts stand in /metrics', async (t) => {
  const collector = await startCollector({ faults: [{ kind: 'ok' }, { kind: 'status', status: 404 }] });
  t.teardown(() => collector.close());
  const { get, relay } = await startRig(t, { forward: collector.url, concurrency: 1 }, { leftBehind: ['/v3/dag_run?status=failed'] });
  await get('/v3/dag_run?status=success&unknown=1');
  await get('/v3/nothing');
  await until(() => relay.stats().pending === 0);
  const { text, headers } = await get('/metrics');
  t.is(headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8');
  const samples = samplesOf(text);
  const expected: Record<string, number> = {
    cosmos_relay_events_accepted_total: 1,
    cosmos_relay_events_recovered_total: 1,
    cosmos_relay_events_sent_total: 1,
    'cosmos_relay_events_failed_total{reason="http_404"}': 1,
    cosmos_relay_events_maybe_sent_twice_total: 0,
    cosmos_relay_fields_dropped_total: 1,
    cosmos_relay_spool_torn_lines_total: 0,
    'cosmos_relay_answers_total{status="204"}': 1,
    'cosmos_relay_answers_total{status="404"}': 1,
    cosmos_relay_events_pending: 0,
    cosmos_relay_spool_bytes: 0,
    cosmos_relay_spool_durable: 1,
    cosmos_relay_ready: 1,
    cosmos_relay_send_seconds_count: 2,
    'cosmos_relay_send_seconds_bucket{le="10"}': 2,
  };
  for (const [name, value] of Object.entries(expected)) t.is(samples.get(name), value, name);
  const again = samplesOf((await get('/metrics')).text);
  t.is(again.get('cosmos_relay_events_sent_total'), 1);
  t.is(again.get('cosmos_relay_answers_total{status="200"}'), 1);
  const { register } = await import('prom-client');
  t.is(register.getMetricsAsArray().length, 0);
});

test('without prom-client /metrics says what is missing, and so does the log, once', async (t) => {
  const { get, log } = await startRig(t, {}, { loadProm: () => Promise.reject(new Error("Cannot find package 'prom-client'")) });
  const { status, text } = await get('/metrics');
  t.deepEqual([status, text], [501, 'metrics need the package prom-client beside this one\n']);
  t.is(log.filter((line) => line.startsWith('[telemetry] no_metrics: ')).length, 1);
  t.is((await get('/healthz')).status, 200);
});
