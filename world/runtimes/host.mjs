// A host in any runtime: publishes events, ends as it is told, and prints its report as JSON. It uses no feature of Node alone.
import { createTelemetry } from '../../dist/index.js';

const { endpoint, end, events = 2, options = {}, isOptingOut = false } = JSON.parse(process.argv[2]);
const env = {};
const telemetry = createTelemetry({ product: { name: 'acme', version: '1.0.0' }, dbt: true, endpoint, env, ...options });
const metrics = { storage_type: 's3', docs_dir_configured: true, uses_custom_conn: false, has_custom_name: false };
for (let event = 0; event < events; event += 1) telemetry.publish('dbt_docs_access', metrics);
const print = () => console.log(JSON.stringify(telemetry.stats()));
if (isOptingOut) {
  // The first request is in flight by then, and the environment is read once a second.
  await new Promise((resolve) => setTimeout(resolve, 300));
  env.DO_NOT_TRACK = '1';
  await new Promise((resolve) => setTimeout(resolve, 1500));
}
if (end === 'close') {
  await telemetry.close({ deadlineMs: 1500 });
  print();
} else process.on('exit', print);
