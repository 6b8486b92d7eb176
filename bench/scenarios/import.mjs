// The cost of loading a package at the start of a process: milliseconds from the first import to the step in the row.
import { importBuild } from '../harness/build.mjs';
import { EVENT, PRODUCT } from '../harness/sample-event.mjs';

const imports =
  (...names) =>
  async () => {
    for (const name of names) await import(name);
  };

async function construct(options) {
  const { createTelemetry } = await importBuild('index.js');
  return createTelemetry({ product: PRODUCT, env: {}, ...options });
}

const STEPS = {
  'an empty module': imports('../harness/empty.mjs'),
  'eventemitter3, p-queue, p-retry, node-fetch': imports('eventemitter3', 'p-queue', 'p-retry', 'node-fetch'),
  'ours: import': () => importBuild('index.js'),
  'ours: import, construction, opted out': ({ endpoint }) => construct({ endpoint, env: { DO_NOT_TRACK: '1' } }),
  'ours: import, construction': ({ endpoint }) => construct({ endpoint }),
  'ours: import, construction, first event delivered': async ({ endpoint }) => {
    const telemetry = await construct({ endpoint });
    telemetry.publish('task_instance', EVENT);
    const { sent } = await telemetry.drain();
    if (sent !== 1) throw new Error('the first event was not delivered');
  },
};

const RIVAL_STEPS = {
  'OpenTelemetry: import': imports('@opentelemetry/sdk-logs', '@opentelemetry/exporter-logs-otlp-http'),
  'PostHog: import': imports('posthog-node'),
  'Segment: import': imports('@segment/analytics-node'),
  'Sentry: import': imports('@sentry/node'),
  'Application Insights: import': imports('applicationinsights'),
};

export function plan({ quick }) {
  const steps = Object.keys(quick ? STEPS : { ...STEPS, ...RIVAL_STEPS });
  return steps.map((row) => ({ row, rounds: quick ? 5 : 20, params: { row }, collector: { kind: 'get' }, reuseCollector: true }));
}

export async function measure({ row, endpoint }) {
  const step = { ...STEPS, ...RIVAL_STEPS }[row];
  const startedAtMs = performance.now();
  await step({ endpoint });
  return { ms: performance.now() - startedAtMs };
}
