// A host's test in which a library answers for the endpoint. Prints how many of our events were sent and how many the library answered.
import { createTelemetry } from '../../dist/index.js';

const [, , library] = process.argv;
const ENDPOINT = 'http://collector.test';
let intercepted = 0;

if (library.startsWith('nock')) {
  const { default: nock } = await import(library);
  nock(ENDPOINT)
    .get(/^\/v3\/dbt_docs_access/)
    .reply(200, () => {
      intercepted += 1;
      return 'ok';
    });
} else {
  const [{ http, HttpResponse }, { setupServer }] = await Promise.all([import(library), import(`${library}/node`)]);
  const answer = () => {
    intercepted += 1;
    return new HttpResponse('ok');
  };
  setupServer(http.get(`${ENDPOINT}/v3/*`, answer)).listen({ onUnhandledRequest: 'error' });
}
const telemetry = createTelemetry({ product: { name: 'acme', version: '1.0.0' }, dbt: true, endpoint: ENDPOINT, env: {} });
telemetry.publish('dbt_docs_access', { storage_type: 's3', docs_dir_configured: true, uses_custom_conn: false, has_custom_name: false });
const { sent, reasons } = await telemetry.close();
console.log(JSON.stringify({ sent, intercepted, reasons }));
process.exit(0);
