// One scenario with a real exporter, for `otel.host.mjs`. Argument, as JSON: `folder` of the packages, `format` of the exporter, `scenario`, and
// the URLs of the receivers. It prints what it has seen as JSON.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import {
  circuitBreaker,
  count,
  createTelemetry,
  defineEvent,
  duration,
  boolean as flag,
  identifier,
  nullable,
  retrying,
} from '../../dist/index.js';
import { otelTransport } from '../../dist/otel/index.js';
import { transportContract } from '../../dist/testing/index.js';

const { folder, format, scenario, urls, events = 2, deadlineMs = 60_000 } = JSON.parse(process.argv[2]);
const require = createRequire(join(folder, 'package.json'));
const { OTLPLogExporter } = require(`@opentelemetry/exporter-logs-otlp-${format}`);
const { resourceFromAttributes } = require('@opentelemetry/resources');

const product = { name: 'acme', version: '1.2.0' };
const note = { description: 'What it says.', reason: 'To know which sizes must stay fast.' };
const exported = defineEvent(
  'export_done',
  { seconds: duration(note), rows: count(note), cached: flag(note), layer: identifier(note), tool: nullable(identifier(note)) },
  'An export ended.',
);

/** For gRPC there is no path: its service has a name. */
const exporterOf = (url, more = {}) =>
  new OTLPLogExporter({ url: format === 'grpc' ? url : `${url}/v1/logs`, timeoutMillis: 1500, ...more });
const resource = resourceFromAttributes({ 'service.name': 'scheduler', 'acme.region': Promise.resolve('eu') });
const open = (transport, more = {}) =>
  createTelemetry({ product, events: [exported], transport, env: {}, maxPendingEvents: 50_000, ...more });

function publish(telemetry, n) {
  for (let index = 0; index < n; index += 1) {
    telemetry.publish('export_done', {
      seconds: index % 2 === 0 ? 7 : 7.5,
      rows: index,
      cached: index % 3 === 0,
      layer: 'marts',
      tool: null,
    });
  }
}

async function closed(telemetry, limitMs) {
  const startMs = performance.now();
  const elapsedMs = () => Math.round(performance.now() - startMs);
  // A busy machine is late for every timer: ours is compared with another one for the same time.
  let dueMs = limitMs;
  const due = setTimeout(() => (dueMs = elapsedMs()), limitMs);
  const report = await telemetry.close({ deadlineMs: limitMs });
  clearTimeout(due);
  return { ...report, closeMs: elapsedMs(), lateMs: Math.max(0, elapsedMs() - dueMs) };
}

const make = (url) => () => otelTransport({ exporter: exporterOf(url), product, shutdownExporter: true, maxBatchSize: 50 });

const SCENARIOS = {
  deliver: async () => {
    // No limit matters here, however busy the machine is.
    const exporter = exporterOf(urls.ok, { timeoutMillis: 30_000 });
    const transport = otelTransport({ exporter, product, resource, timeoutMs: 40_000 });
    const telemetry = open(transport);
    const fromMs = Date.now();
    publish(telemetry, events);
    const toMs = Date.now();
    return { ...(await closed(telemetry, deadlineMs)), fromMs, toMs };
  },
  fault: async () => {
    const exporter = exporterOf(urls.fault);
    const telemetry = open(otelTransport({ exporter, product }), { retries: 0 });
    publish(telemetry, events);
    await telemetry.drain({ deadlineMs: 3000 });
    return closed(telemetry, 300);
  },
  // What docs/otel.md puts around it: events wait while there is no connection.
  outage: async () => {
    const telemetry = open(retrying(circuitBreaker(otelTransport({ exporter: exporterOf(urls.fault), product, lingerMs: 0 }))));
    publish(telemetry, events);
    await telemetry.drain({ deadlineMs: 1500 });
    const { pending, failed, dropped } = telemetry.stats();
    await closed(telemetry, 300);
    return { pending, failed, dropped };
  },
  // Its own exporter is shut down, and `close()` waits for no longer than its deadline.
  shutdown: async () => {
    const exporter = exporterOf(urls.fault, { timeoutMillis: 5000 });
    const telemetry = open(otelTransport({ exporter, product, shutdownExporter: true, lingerMs: 0 }), { retries: 0 });
    publish(telemetry, events);
    return closed(telemetry, 500);
  },
  // Nothing is closed: the process ends.
  leave: async () => {
    publish(open(otelTransport({ exporter: exporterOf(urls.ok, { timeoutMillis: 30_000 }), product, lingerMs: 60_000 })), events);
    return {};
  },
  contract: async () => {
    const failed = [];
    const rules = transportContract(make(urls.ok), { unreachable: make(urls.refused), silent: make(urls.silent) });
    for (const { name, run } of rules) await run().catch((error) => failed.push(`${name}: ${error.message}`));
    return { rules: rules.length, failed };
  },
  // Whether what the exporter does is kept out of the host's traces, by OpenTelemetry's own function.
  traces: async () => {
    const { context } = require('@opentelemetry/api');
    const { isTracingSuppressed } = require('@opentelemetry/core');
    const { AsyncLocalStorageContextManager } = require('@opentelemetry/context-async-hooks');
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
    const seen = [isTracingSuppressed(context.active())];
    const exporter = {
      export: async (_records, done) => {
        seen.push(isTracingSuppressed(context.active()));
        await new Promise((resolve) => setTimeout(resolve, 1));
        seen.push(isTracingSuppressed(context.active()));
        done({ code: 0 });
      },
    };
    const telemetry = open(otelTransport({ exporter, product }));
    publish(telemetry, 1);
    const { sent } = await closed(telemetry, deadlineMs);
    return { sent, seen };
  },
};

const seen = await SCENARIOS[scenario]();
process.stdout.write(`${JSON.stringify({ node: process.version, ...seen })}\n`);
