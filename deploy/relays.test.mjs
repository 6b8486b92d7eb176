// The relay of each manifest, run for real: the very arguments, with a folder in place of the volume and free ports of loopback in place of
// those of the pod.
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { flag, objects, preStopSeconds, relays } from './lib/manifests.mjs';
import { removeImage } from './lib/image.mjs';
import { serverVersion, startCluster } from './lib/nats.mjs';
import { freePort } from '../jetstream/server.mjs';
import { BIN, get, seriesOf, startCommand, startEndpoint, until } from './lib/relay.mjs';

const EVENT = '/astronomer-cosmos/v3/dag_run?status=success&task_count=3';

test.after.always(removeImage);

const hasQueue = ({ container }) => flag(container, 'jetstream').length > 0;
/** Debian has the server of NATS as `nats-server`. */
const testOf = (relay) => (hasQueue(relay) && serverVersion() === undefined ? test.skip : test);

/** What the ConfigMaps of a container say. */
function environmentOf({ folder, container }) {
  const names = (container.envFrom ?? []).map(({ configMapRef }) => configMapRef.name);
  const maps = objects.filter(({ content }) => content.kind === 'ConfigMap' && names.includes(content.metadata.name));
  const own = maps.filter((each) => each.folder === folder);
  return Object.assign({}, ...(own.length > 0 ? own : maps).map(({ content }) => content.data));
}

/** The container of a manifest on this machine. */
async function onThisMachine(t, { container, ...relay }) {
  const folder = mkdtempSync(join(tmpdir(), 'deploy-relay-'));
  const endpoint = await startEndpoint();
  const ports = new Map();
  const args = [];
  for (const arg of container.args) {
    const { 1: name, 2: port } = /^--([a-z-]*listen)=[^:]+:(\d+)$/.exec(arg) ?? [];
    if (port !== undefined) ports.set(Number(port), await freePort());
    args.push(port === undefined ? arg : `--${name}=127.0.0.1:${ports.get(Number(port))}`);
  }
  for (const { mountPath } of container.volumeMounts ?? []) {
    const volume = join(folder, mountPath);
    // As the kubelet leaves it: others may write there.
    mkdirSync(volume, { recursive: true, mode: 0o777 });
    for (const index of args.keys()) args[index] = args[index].replace(mountPath, volume);
  }
  const servers = hasQueue({ container }) ? await startCluster(Number(flag(container, 'jetstream-replicas')[0])) : [];
  // The name of a Service leads to any of its pods.
  const service = args.findIndex((arg) => arg.startsWith('--jetstream='));
  if (service >= 0) args.splice(service, 1, ...servers.map(({ url }) => `--jetstream=${url}`));
  const commands = [];
  t.teardown(async () => {
    for (const command of commands) command.kill('SIGKILL');
    await Promise.all(servers.map((server) => server.end()));
    endpoint.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const portOf = (name) => ports.get(container.ports.find((port) => port.name === name).containerPort);
  return {
    endpoint,
    servers,
    home: folder,
    eventsPort: ports.get(Number(flag(container, 'listen')[0].split(':')[1])),
    metricsPort: portOf('metrics'),
    /** Asks what the kubelet asks, with the address of the pod as `Host`. */
    probe: ({ httpGet }) => get(portOf(httpGet.port), httpGet.path),
    volumes: (container.volumeMounts ?? []).map(({ mountPath }) => join(folder, mountPath)),
    start(environment = environmentOf({ ...relay, container }), runner = []) {
      const command = startCommand([...args, `--forward=${endpoint.url}`], { HOME: folder, ...environment }, runner);
      commands.push(command);
      return command;
    },
  };
}

/** How clients address it: by the name of a Service, or on the loopback that a pod shares. */
function hostOf({ folder, object }) {
  const service = objects.find(
    ({ folder: of, content }) => of === folder && content.kind === 'Service' && content.spec.clusterIP === undefined,
  );
  return object.kind === 'Pod' || service === undefined
    ? [undefined]
    : [service.content.metadata.name, `${service.content.metadata.name}:8787`];
}

for (const relay of relays) {
  testOf(relay)(`${relay.name}: starts, is ready, delivers an event, and ends within its grace period`, async (t) => {
    const { container, pod } = relay;
    const machine = await onThisMachine(t, relay);
    const { endpoint, eventsPort, metricsPort, probe } = machine;
    const send = (host) => get(eventsPort, EVENT, host === undefined ? {} : { host });
    const metrics = async () => seriesOf((await get(metricsPort, '/metrics')).text);
    const command = machine.start();
    const { startupProbe, livenessProbe, readinessProbe } = container;
    for (const each of [startupProbe, livenessProbe, readinessProbe].filter(Boolean))
      await until(
        () => probe(each),
        ({ status }) => status === 200,
      );

    // A disk that a busy machine keeps waiting for half a second answers 200: the next event is on it.
    const onDisk = async (host) =>
      (
        await until(
          () => send(host),
          ({ status }) => status !== 200,
        )
      ).status;
    for (const host of hostOf(relay)) t.is(await onDisk(host), 204, `on disk, sent to ${host}`);
    t.is((await send('evil.example')).status, 403);
    t.is((await get(metricsPort, EVENT)).status, 404, 'the address of the probes takes no events');
    await until(
      () => endpoint.targets.length,
      (length) => length >= hostOf(relay).length,
    );

    // The worst end: an endpoint that accepts each connection and never answers, and more events than fit in flight.
    endpoint.status = undefined;
    endpoint.targets.length = 0;
    for (let event = 0; event < 40; event += 1) t.true([200, 204].includes((await send(hostOf(relay)[0])).status));
    const { code, seconds } = await command.stop();
    t.is(code, 0);
    const graceSeconds = pod.spec.terminationGracePeriodSeconds - preStopSeconds(container);
    t.true(seconds < graceSeconds, `${seconds} s of ${graceSeconds} s`);
    t.log(`${seconds.toFixed(1)} s of ${graceSeconds} s`);

    // No acknowledged event is missing: each one has reached the silent endpoint, or is sent now.
    const reached = endpoint.targets.length;
    endpoint.status = 204;
    const next = machine.start();
    await until(
      () => endpoint.targets.length,
      (length) => length >= 40,
    );
    t.log(`${reached} before the end, ${endpoint.targets.length - reached} after the start`);
    await until(metrics, (series) => series.get('cosmos_relay_events_pending') === 0);
    t.is((await next.stop()).code, 0);
  });
}

/** Makes the volume as the kubelet does for `fsGroup`, or for an emptyDir; then nothing else can be written, and no right is left. */
const IN_A_POD = `mount -t tmpfs -o "mode=$1,uid=0,gid=$2" volume "$3" && mount -o remount,bind,ro / && shift 3 && exec setpriv "$@"`;
const WITHOUT_A_VOLUME = 'mount -o remount,bind,ro / && exec setpriv "$@"';
const hasPods =
  spawnSync('unshare', ['--mount', 'sh', '-c', 'mount -o remount,bind,ro / && exec setpriv --no-new-privs true']).status === 0 &&
  // In a folder that only its owner may enter, the user of the container cannot read the relay.
  spawnSync('setpriv', ['--reuid=1000', '--regid=1000', '--clear-groups', process.execPath, BIN, '--version']).status === 0;

for (const relay of relays) {
  const run = hasPods ? testOf(relay) : test.skip;
  run(`${relay.name}: keeps events with the user, the rights and the file system of its manifest`, async (t) => {
    const { container, pod } = relay;
    const machine = await onThisMachine(t, relay);
    const { runAsUser, runAsGroup } = { ...pod.spec.securityContext, ...container.securityContext };
    const { fsGroup } = pod.spec.securityContext;
    const [volume] = machine.volumes;
    // The user of the container must be able to reach it.
    for (
      let parent = volume === undefined ? machine.home : join(volume, '..');
      parent !== tmpdir() && parent !== '/';
      parent = join(parent, '..')
    )
      chmodSync(parent, 0o755);
    const [mode, group] = fsGroup === undefined ? ['0777', 0] : ['2775', fsGroup];
    const user = [
      `--reuid=${runAsUser}`,
      `--regid=${runAsGroup}`,
      ...(fsGroup === undefined ? ['--clear-groups'] : [`--groups=${fsGroup}`]),
    ];
    const rights = ['--no-new-privs', '--bounding-set=-all', '--inh-caps=-all'];
    const start = volume === undefined ? [WITHOUT_A_VOLUME, 'pod'] : [IN_A_POD, 'pod', mode, String(group), volume];
    const runner = ['unshare', '--mount', 'sh', '-c', ...start, ...user, ...rights];
    const command = machine.start(undefined, runner);
    await until(
      () => machine.probe(container.startupProbe),
      ({ status }) => status === 200,
    );
    const host = hostOf(relay)[0] ?? `127.0.0.1:${machine.eventsPort}`;
    const metrics = async () => seriesOf((await get(machine.metricsPort, '/metrics')).text);
    // At first, and after a moment in which the disk was slow, it may be 0: it becomes 1 if the volume or the queue can be used.
    await until(metrics, (series) => series.get('cosmos_relay_spool_durable') === 1).catch((error) =>
      t.fail(`${error.message}${command.log()}`),
    );
    const { status, text } = await until(
      () => get(machine.eventsPort, EVENT, { host }),
      (answer) => answer.status !== 200,
    );
    t.is(status, 204, `${text}${command.log()}`);
    t.is((await command.stop()).code, 0);
  });
}

for (const relay of relays.filter(hasQueue)) {
  testOf(relay)(`${relay.name}: goes on without one server of the queue, and ends within its grace period without any`, async (t) => {
    const { container, pod } = relay;
    const machine = await onThisMachine(t, relay);
    const { servers, endpoint, eventsPort } = machine;
    const command = machine.start();
    const host = hostOf(relay)[0];
    const answerOf = (wanted) =>
      until(
        () => get(eventsPort, EVENT, { host }),
        ({ status }) => status === wanted,
      );
    await answerOf(204);
    await servers[0].stop('SIGKILL');
    endpoint.targets.length = 0;
    await answerOf(204);
    await until(
      () => endpoint.targets.length,
      (length) => length > 0,
    );

    // Servers that hang keep their connections.
    for (const server of servers.slice(1)) process.kill(server.pid, 'SIGSTOP');
    const { text } = await answerOf(200);
    t.regex(text, /memory|on disk/);
    t.is((await machine.probe(container.readinessProbe)).status, 200, 'it takes events into memory');
    const { code, seconds } = await command.stop();
    t.is(code, 0);
    const graceSeconds = pod.spec.terminationGracePeriodSeconds - preStopSeconds(container);
    t.true(seconds < graceSeconds, `${seconds} s of ${graceSeconds} s`);
    t.log(`${seconds.toFixed(1)} s of ${graceSeconds} s`);
  });
}

(serverVersion() === undefined ? test.skip : test)('a relay whose queue has too few servers ends with the reason', async (t) => {
  const [server] = await startCluster(1);
  t.teardown(() => server.end());
  const command = startCommand(['relay', '--listen=127.0.0.1:0', `--jetstream=${server.url}`, '--jetstream-replicas=3'], {});
  t.teardown(() => command.kill('SIGKILL'));
  t.is((await command.ended).code, 1);
  t.regex(command.log(), /the stream COSMOS_TELEMETRY cannot be used: .*replicas/);
});

test('each variable of the ConfigMap opts out', async (t) => {
  const relay = relays.find(({ object }) => object.kind === 'StatefulSet');
  const names = Object.keys(environmentOf(relay));
  t.true(names.length > 0);
  for (const name of names) {
    const machine = await onThisMachine(t, relay);
    const command = machine.start({ ...environmentOf(relay), [name]: '1' });
    const { readinessProbe } = relay.container;
    await until(
      () => machine.probe(readinessProbe),
      ({ status }) => status === 200,
    );
    t.is((await get(machine.eventsPort, EVENT)).status, 202, name);
    t.is((await command.stop()).code, 0);
    t.is(machine.endpoint.targets.length, 0);
  }
});
