// Servers of NATS with JetStream as one cluster, on free ports.
import { freePort, startNats } from '../../jetstream/server.mjs';
import { get, until } from './relay.mjs';

export { serverVersion } from '../../jetstream/server.mjs';

/** Starts servers that share their streams, and waits until each knows the leader. @returns The servers, as `startNats` makes them. */
export async function startCluster(size) {
  // A cluster of one server never has a leader.
  if (size === 1) return [await startNats()];
  const routes = await freePorts(size);
  const monitors = await freePorts(size);
  const urls = routes.map((port) => `nats://127.0.0.1:${port}`);
  const servers = await Promise.all(
    routes.map((_, index) =>
      startNats([
        `--server_name=nats-${index}`,
        '--cluster_name=queue',
        `--cluster=${urls[index]}`,
        `--routes=${urls.join(',')}`,
        `--http_port=${monitors[index]}`,
      ]),
    ),
  );
  for (const port of monitors)
    await until(
      () => get(port, '/healthz'),
      ({ status }) => status === 200,
    );
  return servers;
}

async function freePorts(count) {
  const ports = new Set();
  while (ports.size < count) ports.add(await freePort());
  return [...ports];
}
