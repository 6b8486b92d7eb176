// OpenTelemetry's http instrumentation, with a provider that keeps its spans.
import { createRequire, register } from 'node:module';
const require = createRequire(import.meta.url);
const isNew = process.env.NEIGHBOUR_PACKAGE === 'new';
const { HttpInstrumentation } = require(isNew ? '@opentelemetry/instrumentation-http' : '@opentelemetry/instrumentation-http-0.223');
const sdk = require(isNew ? '@opentelemetry/sdk-trace' : '@opentelemetry/sdk-trace-base');
const { AsyncLocalStorageContextManager } = require('@opentelemetry/context-async-hooks');
const { W3CTraceContextPropagator } = require('@opentelemetry/core');
const { context, propagation, trace } = require('@opentelemetry/api');
register('@opentelemetry/instrumentation/hook.mjs', import.meta.url);
const exporter = new sdk.InMemorySpanExporter();
const Provider = isNew ? sdk.TracerProvider : sdk.BasicTracerProvider;
const provider = new Provider({ spanProcessors: [new sdk.SimpleSpanProcessor(isNew ? { exporter } : exporter)] });
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
propagation.setGlobalPropagator(new W3CTraceContextPropagator());
trace.setGlobalTracerProvider(provider);
const instrumentation = new HttpInstrumentation();
instrumentation.setTracerProvider(provider);
globalThis.finishedSpans = async () => {
  return exporter.getFinishedSpans().map(({ name, attributes }) => ({ name, attributes }));
};
