// A host process in debug mode: publishes events, calls `emitUsageMetrics`, and prints its counters as JSON to standard output.
// Arguments: the endpoint, the number of events.
import { createTelemetry, emitUsageMetrics } from '../../src/index.js';

const [endpoint = '', events = '1'] = process.argv.slice(2);
const product = { name: 'acme', version: '1.0.0' };
const warned: string[] = [];
const logger = { debug: () => undefined, warn: (line: string) => void warned.push(line) };
const telemetry = createTelemetry({ product, dbt: true, endpoint, logger });
for (let event = 0; event < Number(events); event += 1) {
  telemetry.publish('dbt_docs_access', { storage_type: 's3', docs_dir_configured: true, uses_custom_conn: false, has_custom_name: false });
}
const stats = await telemetry.close({ deadlineMs: 20_000 });
const isSent = await emitUsageMetrics({ event_type: 'once', a: 'b c' }, { endpoint, product, logger });
process.stdout.write(JSON.stringify({ stats, isSent, warned, stderrListeners: process.stderr.listenerCount('error') }));
