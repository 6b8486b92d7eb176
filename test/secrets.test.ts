import { EventEmitter } from 'node:events';
import test from 'ava';
import type { ExecutionContext } from 'ava';
// Loaded before the first send, so that no limit of time is spent on loading.
import '../src/delivery/http/client.js';
import { createTelemetry, emitUsageMetrics, fetchTransport } from '../src/index.js';
import type { Logger, TelemetryOptions } from '../src/index.js';
import { NameLookup } from '../src/delivery/http/name-lookup.js';
import { startLimit } from '../src/delivery/pacing.js';
import { underWay } from '../src/delivery/under-way.js';
import { nameMachine } from './helpers/dns-server.js';
import { thisMachine } from '../src/base/machine.js';
import { createTelemetryWith } from '../src/client/telemetry.js';
import { hostilePayloads } from '../src/testing/index.js';
import { validPayload } from '../src/testing/valid-payloads.js';
import { systemClock } from '../src/base/clock.js';
import { atATime } from './helpers/at-a-time.js';
import { NETWORK_FAULTS } from './helpers/faults.js';
import type { FaultSite, NetworkFault } from './helpers/fault-types.js';
import { proves } from './helpers/promises.js';

const PASSWORD = 'hunter2';
const DAG_ID = 'payroll_of_the_board';

/** What no log line and no report may contain: secrets as text and as a header, the DAG id, and parts of a payload or a query. */
const SECRETS = [
  PASSWORD,
  Buffer.from(`me:${PASSWORD}`).toString('base64'),
  DAG_ID,
  'status=',
  'dag_hash',
  'DbtRunLocalOperator',
  '/v3/',
  '?',
];

class Listening implements Logger {
  readonly lines: string[] = [];
  readonly debug = (line: string): void => {
    this.lines.push(line);
  };
  readonly warn = this.debug;

  get codes(): Set<string> {
    return new Set(this.lines.map((line) => /^\[telemetry\] (\w+): /.exec(line)?.[1] ?? line));
  }
}

function keepsSecrets(t: ExecutionContext, texts: readonly string[], where: string): void {
  for (const text of texts) {
    t.deepEqual(
      SECRETS.filter((secret) => text.includes(secret)),
      [],
      `${where}: ${text}`,
    );
  }
}

/** Emits every event of a host, with a DAG id that a search finds. */
function emitAll(host: EventEmitter): void {
  for (const event of ['dag_run.success', 'dag_run.failed'] as const) {
    const payload = validPayload(event, 'acme');
    host.emit(event, { ...payload, dagRun: { ...(payload['dagRun'] as object), dagId: DAG_ID } });
  }
  for (const event of ['task_instance.success', 'task_instance.failed'] as const) {
    const payload = validPayload(event, 'acme');
    host.emit(event, { ...payload, taskInstance: { ...(payload['taskInstance'] as object), dagId: DAG_ID } });
  }
}

const PRODUCT = { name: 'acme', version: '1.0.0' } as const;

async function fail({ endpoint, nameServers, proxy }: FaultSite['where'], logger: Logger): Promise<string> {
  const names =
    nameServers === undefined
      ? undefined
      : new NameLookup({ timeoutMs: 300, startLimit, underWay, clock: systemClock, machine: nameMachine(), servers: nameServers });
  const telemetry = createTelemetryWith(
    {
      product: PRODUCT,
      dbt: true,
      endpoint,
      env: {},
      logger,
      connectTimeoutMs: 300,
      attemptTimeoutMs: 600,
      retries: 0,
      dagHash: (id) => id,
      ...(proxy !== undefined && { proxy: proxy.replace('secret', PASSWORD) }),
    },
    { ...thisMachine, ...(names && { lookup: names.lookup }) },
  );
  const host = new EventEmitter();
  telemetry.register(host);
  for (let round = 0; round < 3; round += 1) emitAll(host);
  // Longer than an attempt, so that an attempt fails by itself and is logged.
  const drained = await telemetry.drain({ deadlineMs: 1500 });
  const closed = await telemetry.close({ deadlineMs: 100 });
  return JSON.stringify([drained, closed]);
}

test(proves('log-secrets', 'no log line and no report holds a query, a password or a DAG id, whatever fails in the network'), async (t) => {
  const seen = new Set<string>();
  const queue = atATime(8);
  const meet = async (fault: NetworkFault): Promise<void> => {
    const logger = new Listening();
    const report = await fail((await fault.begin(t)).where, logger);
    keepsSecrets(t, [...logger.lines, report], fault.name);
    for (const code of logger.codes) seen.add(code);
  };
  await Promise.all(NETWORK_FAULTS.map((fault) => queue(() => meet(fault))));
  for (const code of ['connect', 'network', 'timeout', 'http_500', 'http_503', 'http_414', 'redirect_refused']) {
    t.true(seen.has(code), `${code} was never logged, so that fault was not met`);
  }
});

test(proves('log-secrets', 'no log line and no report holds one, whatever fails in the host'), async (t) => {
  const logger = new Listening();
  const leak = new Error(`GET http://me:${PASSWORD}@collector.test/v3/dag_run?status=failed of ${DAG_ID}`);
  const fails = (): never => {
    throw leak;
  };
  const transport = { send: fails, close: fails };
  const env = {
    ACME_TELEMETRY_ENDPOINT: `http://me:${PASSWORD}@collector.test/?token=${PASSWORD}`,
    HTTP_PROXY: `socks5://me:${PASSWORD}@proxy.test`,
  };
  const host = Object.assign(new EventEmitter(), { off: fails });
  const telemetry = createTelemetry({ product: PRODUCT, dbt: true, transport, env, logger, dagHash: fails, maxPendingEvents: 2 });
  telemetry.register(host);
  telemetry.bus.on('dag_run', fails);
  telemetry.bus.on('task_instance', async () => fails());
  for (let round = 0; round < 3; round += 1) emitAll(host);
  for (const { make } of hostilePayloads({ product: 'acme' }).filter(({ name }) => name.startsWith('payload: ')))
    host.emit('dag_run.success', make('dag_run.success'));
  const drained = await telemetry.drain({ deadlineMs: PASSWORD as never });
  const closed = await telemetry.close();
  telemetry.publish('dag_run', { status: 'success', dag_hash: DAG_ID } as never);
  const viaProxy = createTelemetry({ product: PRODUCT, dbt: true, endpoint: 'http://collector.test', env, logger });
  viaProxy.publish('dbt_docs_access', {} as never);
  const reports = [drained, closed, await viaProxy.close()];
  await emitUsageMetrics({ event_type: 'dag_run', dag_id: DAG_ID }, { endpoint: 'http://127.0.0.1:9', product: PRODUCT, env, logger });
  keepsSecrets(t, [...logger.lines, JSON.stringify(reports)], 'in the host');
  const expected = [
    'transport_error',
    'buffer_full',
    'invalid',
    'subscriber_failed',
    'unregister_failed',
    'transport_close_failed',
    'deadline_invalid',
    'closed',
    'endpoint_invalid',
    'proxy_invalid',
    'connect',
  ];
  t.deepEqual(
    expected.filter((code) => !logger.codes.has(code)),
    [],
  );
});

test(proves('error-secrets', 'no thrown message holds one, whatever a programmer gets wrong'), (t) => {
  const url = `http://me:${PASSWORD}@collector.test/?status=${PASSWORD}#${PASSWORD}`;
  const base = { product: PRODUCT, dbt: true, endpoint: 'http://collector.test', env: {} };
  const wrong: Partial<Record<keyof TelemetryOptions | 'unknown', unknown>>[] = [
    { endpoint: url },
    { endpoint: new URL(url) },
    { proxy: 7 },
    { transport: url },
    { logger: url },
    { dagHash: url },
    { env: url },
    { host: url },
    { host: { name: url } },
    { events: url },
    { allowedRedirectHosts: [url] },
    { consent: url },
    { connectTimeoutMs: url },
    { unknown: url },
    { product: url },
    { product: { name: url, version: '1' } },
    { product: { name: 'acme', version: url } },
  ];
  const messages = wrong.map(
    (options) =>
      t.throws(() => createTelemetry({ ...base, ...options } as never), { instanceOf: TypeError }, JSON.stringify(options))?.message ?? '',
  );
  for (const options of [
    { endpoint: url },
    { endpoint: 'http://x', proxy: new URL(url) },
    { endpoint: 'http://x', allowedRedirectHosts: [url] },
    { endpoint: 'http://x', env: url },
  ]) {
    messages.push(t.throws(() => fetchTransport(options as never), { instanceOf: TypeError }, JSON.stringify(options))?.message ?? '');
  }
  for (const message of messages) t.false(message.includes(PASSWORD), message);
});
