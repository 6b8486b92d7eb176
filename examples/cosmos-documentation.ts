// What Cosmos' code and documentation do in Python, in TypeScript: emit one event at once if telemetry is enabled, and check that before
// collecting expensive data. In a long-running host use createTelemetry instead: it never waits.
import * as telemetry from 'cosmos-telemetry';
import { startCollector } from 'cosmos-telemetry/testing';

// Without an endpoint these functions send to COSMOS_ENDPOINT, as Cosmos does.
const collector = await startCollector();
const cosmos = { product: { name: 'cosmos', version: '1.12.0' }, host: { version: '2.10.1+astro.1', pythonVersion: '3.11.7' } };
const options = { ...cosmos, endpoint: collector.url, attemptTimeoutMs: 5000 };

// from cosmos import telemetry
// if telemetry.should_emit(): ...
console.log(`should emit: ${telemetry.shouldEmit()}`);

// telemetry.emit_usage_metrics_if_enabled("dbt_docs_access", {"storage_type": "s3", ...})
const docsAccess = { storage_type: 's3', docs_dir_configured: true, uses_custom_conn: false, has_custom_name: false };
const isSent = await telemetry.emitUsageMetricsIfEnabled('dbt_docs_access', docsAccess, options);
console.log(`dbt_docs_access sent: ${isSent}`);

// metrics = telemetry.collect_standard_usage_metrics()
// metrics["event_type"] = "dag_run"; metrics.update(...)
// telemetry.emit_usage_metrics(metrics)
const metrics = { ...telemetry.collectStandardUsageMetrics(cosmos), event_type: 'dag_run', status: 'success', task_count: 13 };
console.log(`dag_run sent: ${await telemetry.emitUsageMetrics(metrics, options)}`);

// The same product in a long-running host: check before collecting, publish without waiting.
await using client = telemetry.createTelemetry(options);
if (client.enabled) client.publish('dbt_docs_access', expensiveToFindOut());
await client.drain({ deadlineMs: 5000 });

for (const { url } of collector.requests) console.log(url);
await collector.close();

function expensiveToFindOut() {
  return { ...docsAccess, storage_type: 'gcs' } as const;
}
