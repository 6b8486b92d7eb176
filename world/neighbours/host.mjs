// A host with incoming requests, in whose handler an event is published and a request of the host's own is made. The agent was loaded
// before. Prints its port, serves until its standard input ends, and then prints the spans that an agent keeps in this process.
import http from 'node:http';
import { once } from 'node:events';
import { createTelemetry } from '../../dist/index.js';

const { ENDPOINT, CONTROL } = process.env;
const telemetry = createTelemetry({
  product: { name: 'acme', version: '1.0.0' },
  dbt: true,
  endpoint: ENDPOINT,
  connectTimeoutMs: 5000,
  attemptTimeoutMs: 10_000,
});

function docsAccess() {
  telemetry.publish('dbt_docs_access', {
    storage_type: 's3',
    docs_dir_configured: true,
    uses_custom_conn: false,
    has_custom_name: false,
  });
}

/** A request of the host's own, as the agents trace it. */
async function ownRequest() {
  await new Promise((resolve, reject) => {
    http.get(`${CONTROL}/control`, (response) => response.resume().once('end', resolve)).once('error', reject);
  });
}

const server = http.createServer((_request, response) => void serve(response));

async function serve(response) {
  docsAccess();
  docsAccess();
  await Promise.all([ownRequest(), telemetry.drain({ deadlineMs: 10_000 })]);
  response.end('ok');
}

async function finish() {
  server.close();
  server.closeAllConnections();
  const report = await telemetry.close({ deadlineMs: 5000 });
  const spans = (await globalThis.finishedSpans?.()) ?? [];
  console.log(JSON.stringify({ report, spans }));
  process.exit(0);
}

await once(server.listen(0, '127.0.0.1'), 'listening');
console.log(JSON.stringify({ port: server.address().port }));
process.stdin.once('end', () => void finish()).resume();
