// An HTTP server with a graceful shutdown: on SIGTERM it stops listening, then closes telemetry within its grace period. The signal handler
// belongs to the host. This package sets none, because a library does not know what else must happen before the process ends.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { boolean, createTelemetry, defineEvent } from 'cosmos-telemetry';
import { startCollector } from 'cosmos-telemetry/testing';

const visit = defineEvent('visit', { cached: boolean({ description: 'Whether a cache had it.', reason: 'To size the cache.' }) });
const collector = await startCollector();
const telemetry = createTelemetry({ product: { name: 'acme', version: '3.1.0' }, endpoint: collector.url, events: [visit] });

const server = createServer((_request, response) => {
  telemetry.publish('visit', { cached: false });
  response.end('hello\n');
});
await new Promise<void>((resolve) => {
  server.listen(0, '127.0.0.1', resolve);
});

let impatience: NodeJS.Timeout | undefined;
process.once('SIGTERM', () => {
  void shutDown();
});

async function shutDown(): Promise<void> {
  clearTimeout(impatience);
  server.close();
  // Kubernetes kills after 30 s, systemd after 90 s, so 2 s are safe. close() never takes longer than its deadline.
  const { published, sent, timedOut } = await telemetry.close({ deadlineMs: 2000 });
  console.log(`closed: published ${published}, sent ${sent}, timed out: ${timedOut}`);
  await collector.close();
}

for (let visitor = 0; visitor < 3; visitor += 1) {
  const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  await response.text();
}
console.log(`served 3 visitors, waiting for SIGTERM: kill ${process.pid}`);

// Ends the example if no signal comes. The first argument is the wait in milliseconds.
impatience = setTimeout(() => process.emit('SIGTERM', 'SIGTERM'), Number(process.argv[2] ?? 500));
