// Application Insights: batches of up to 512 as gzip, one request at a time, by default at most 2,048 waiting events. Everything is off that
// it does beside events: instrumentation, metrics, live metrics, its own statistics, events on disk.
import { createDefaultHttpClient } from '@azure/core-rest-pipeline';
import appInsights from 'applicationinsights';

const accepted = JSON.stringify({ itemsReceived: 1, itemsAccepted: 1, errors: [] });
const nowhere = {
  sendRequest: (request) => Promise.resolve({ request, status: 200, headers: request.headers, bodyAsText: accepted }),
};

/** Its own client; the connection string makes https of every endpoint, which is undone for one that speaks http. */
function overHttp() {
  const client = createDefaultHttpClient();
  return {
    sendRequest: (request) =>
      client.sendRequest(Object.assign(request, { url: request.url.replace(/^https:/, 'http:'), allowInsecureConnection: true })),
  };
}

export function open({ endpoint } = {}) {
  Object.assign(process.env, { APPLICATIONINSIGHTS_STATSBEAT_DISABLED: 'true', APPLICATIONINSIGHTS_SDKSTATS_DISABLED: 'true' });
  const ingestion = endpoint ?? 'http://127.0.0.1:9';
  const connectionString = `InstrumentationKey=00000000-0000-4000-8000-000000000000;IngestionEndpoint=${ingestion}/;LiveEndpoint=${ingestion}/`;
  const client = new appInsights.TelemetryClient(connectionString);
  const off = { enabled: false };
  client.config.azureMonitorOpenTelemetryOptions = {
    azureMonitorExporterOptions: {
      connectionString,
      disableOfflineStorage: true,
      ...(endpoint === undefined && { httpClient: nowhere }),
      ...(endpoint?.startsWith('http:') && { httpClient: overHttp() }),
    },
    enableAutoCollectExceptions: false,
    enableAutoCollectPerformance: false,
    enableLiveMetrics: false,
    enablePerformanceCounters: false,
    enableStandardMetrics: false,
    instrumentationOptions: Object.fromEntries(
      ['http', 'azureSdk', 'mongoDb', 'mySql', 'redis', 'redis4', 'postgreSql', 'bunyan', 'winston'].map((name) => [name, off]),
    ),
  };
  client.initialize();
  return {
    publish: (event) => client.trackEvent({ name: 'task_instance', properties: event }),
    settle: () => client.flush(),
    close: () => client.shutdown(),
  };
}
