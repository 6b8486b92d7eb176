// cosmos-telemetry, as built by `npm run build`.
import { EventEmitter } from 'node:events';
import { importBuild } from '../harness/build.mjs';
import { PRODUCT } from '../harness/sample-event.mjs';

const { createTelemetry } = await importBuild('index.js');

const MINUTE_MS = 60_000;

/** Does everything that a transport does except the request: it encodes each event. */
const encodesOnly = {
  send(events) {
    for (const event of events) event.requestTarget();
    return Promise.resolve({ kind: 'sent' });
  },
};

/** @param options.transport used without an endpoint; the default encodes and sends nothing */
export function open({ endpoint, concurrency, capacity, transport = encodesOnly, env = {} } = {}) {
  const telemetry = createTelemetry({
    product: PRODUCT,
    // EVENT has all fields that an event may have.
    dbt: true,
    executionModes: ['local'],
    env,
    ...(endpoint === undefined ? { transport } : { endpoint }),
    ...(concurrency !== undefined && { concurrency, drainConcurrency: concurrency }),
    ...(capacity !== undefined && { maxPendingEvents: capacity }),
  });
  return {
    telemetry,
    publish: (event) => telemetry.publish('task_instance', event),
    settle: () => telemetry.drain({ deadlineMs: 10 * MINUTE_MS }),
    close: () => telemetry.close(),
  };
}

/** With the transport of lines. */
export async function openLines({ endpoint, gzip, ...options }) {
  const { ndjsonTransport } = await importBuild('delivery/ndjson/index.js');
  return open({ ...options, transport: ndjsonTransport({ endpoint: `${endpoint}/ingest`, env: {}, gzip }) });
}

/** Through the exporter of OpenTelemetry that its own row uses, too. Loaded late: the quick run does without its packages. */
export async function openOtel({ endpoint, ...options }) {
  const { otelTransport } = await importBuild('otel/index.js');
  const { OTLPLogExporter } = await import('@opentelemetry/exporter-logs-otlp-http');
  return open({
    ...options,
    transport: otelTransport({ exporter: new OTLPLogExporter({ url: `${endpoint}/v1/logs` }), product: PRODUCT }),
  });
}

/** A host with our listeners attached. */
export function hostOf(telemetry) {
  const host = new EventEmitter();
  telemetry.register(host);
  return host;
}
