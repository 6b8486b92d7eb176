// Segment: batches of 15, one request per batch with no limit on requests in flight, no limit on waiting events.
import { Analytics } from '@segment/analytics-node';

const nowhere = { makeRequest: () => Promise.resolve({ status: 200, statusText: 'OK', headers: {}, text: () => Promise.resolve('{}') }) };

export function open({ endpoint } = {}) {
  const client = new Analytics({
    writeKey: 'key',
    host: endpoint ?? 'http://127.0.0.1:9',
    ...(endpoint === undefined && { httpClient: nowhere }),
  });
  return {
    publish: (event) => client.track({ userId: 'bench', event: 'task_instance', properties: event }),
    settle: () => client.flush(),
    close: () => client.closeAndFlush(),
  };
}
