// PostHog: batches of up to 100 as gzip, one request at a time, by default at most 10,000 waiting events.
import { PostHog } from 'posthog-node';

const nowhere = () => Promise.resolve({ status: 200, text: () => Promise.resolve('{}'), json: () => Promise.resolve({}) });

export function open({ endpoint, capacity } = {}) {
  const client = new PostHog('key', {
    host: endpoint ?? 'http://127.0.0.1:9',
    // Only events: no geolocation, no feature flags.
    disableGeoip: true,
    enableLocalEvaluation: false,
    preloadFeatureFlags: false,
    ...(endpoint === undefined && { fetch: nowhere }),
    ...(capacity !== undefined && { maxQueueSize: capacity }),
  });
  return {
    publish: (event) => client.capture({ distinctId: 'bench', event: 'task_instance', properties: event }),
    settle: () => client.flush(),
    close: () => client.shutdown(),
  };
}
