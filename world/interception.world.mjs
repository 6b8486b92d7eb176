// nock 14 in a host's tests: it replaces the class of requests, and must still intercept ours.
import { createRequire } from 'node:module';
import { createTelemetry } from '../dist/index.js';

const require = createRequire(import.meta.url);
let failed = 0;
for (const name of ['nock-14']) {
  const loaded = require(name);
  const nock = loaded.default ?? loaded;
  const scope = nock('http://collector.test')
    .get(/^\/v3\/dbt_docs_access/)
    .reply(200, 'ok');
  const telemetry = createTelemetry({ product: { name: 'acme', version: '1.0.0' }, endpoint: 'http://collector.test', env: {} });
  telemetry.publish('dbt_docs_access', { storage_type: 's3', docs_dir_configured: true, uses_custom_conn: false, has_custom_name: false });
  const { sent, reasons } = await telemetry.close();
  const holds = sent === 1 && scope.isDone();
  console.log(`${holds ? 'ok    ' : 'FAILED'} ${name}: ${sent} of 1 events intercepted ${JSON.stringify(reasons)}`);
  if (!holds) failed += 1;
  nock.restore();
}
process.exitCode = failed === 0 ? 0 : 1;
