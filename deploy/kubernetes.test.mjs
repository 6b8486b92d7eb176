// The manifests say what Kubernetes understands, and fit each other and the relay's own files.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import {
  documents,
  errorsOf,
  flag,
  FOLDER,
  inOrder,
  load,
  objects,
  podOf,
  preStopSeconds,
  RELAY_IMAGE,
  relays,
  secondsOf,
  VERSIONS,
} from './lib/manifests.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Keys whose objects take any name. */
const FREE = new Set(['labels', 'matchLabels', 'annotations', 'data', 'limits', 'requests', 'nodeSelector']);

/** A copy of a document for each of its objects, with one unknown key in it. */
function* spoilt(document, path = []) {
  const at = path.reduce((value, key) => value[key], document);
  const isFree = FREE.has(path.at(-1)) || (document.kind === 'Service' && path.at(-1) === 'selector');
  if (typeof at !== 'object' || at === null || isFree) return;
  if (!Array.isArray(at)) {
    const copy = structuredClone(document);
    path.reduce((value, key) => value[key], copy).unknownKey = 'x';
    yield { copy, path };
  }
  for (const key of Object.keys(at)) yield* spoilt(document, [...path, key]);
}

const matches = (selector, labels) => Object.entries(selector).every(([name, value]) => labels[name] === value);
const podsOf = (folder) =>
  objects
    .filter((each) => each.folder === folder)
    .map(({ content }) => podOf(content))
    .filter(Boolean);
const portNames = ({ spec }) =>
  [...(spec.initContainers ?? []), ...spec.containers].flatMap(({ ports = [] }) => ports.map(({ name }) => name));

test('each manifest is what the oldest and the newest Kubernetes understand', (t) => {
  t.true(objects.length >= 8);
  t.deepEqual(
    errorsOf(objects.map(({ content }) => content)),
    objects.map(() => null),
  );
});

test('an unknown key is an error, wherever it is', (t) => {
  const all = objects.flatMap(({ file, content }) => [...spoilt(content)].map((each) => ({ ...each, file })));
  t.true(all.length > 100);
  const errors = errorsOf(
    all.map(({ copy }) => copy),
    [VERSIONS.at(-1)],
  );
  t.deepEqual(
    all.filter((_, index) => errors[index] === null).map(({ file, path }) => `${file}: ${path.join('.')}`),
    [],
  );
});

test('a wrong value, a missing field, a kind that does not exist and a key that stands twice are errors', (t) => {
  const { content } = objects.find((each) => each.content.kind === 'StatefulSet');
  const change = (edit) => {
    const copy = structuredClone(content);
    edit(copy);
    return copy;
  };
  const wrong = [
    change(({ spec }) => (spec.replicas = '2')),
    change(({ spec }) => delete spec.selector),
    change((copy) => (copy.kind = 'StatefullSet')),
    change((copy) => (copy.apiVersion = 'apps/v1beta1')),
  ];
  for (const error of errorsOf(wrong)) t.is(typeof error, 'string');
  const double = join(import.meta.dirname, 'fixtures', 'double-key.yaml');
  t.throws(() => load([double]), { message: /duplicate keys \['replicas'\]/ });
});

test('each kustomization names the files of its folder, and every image that they use', (t) => {
  const kustomizations = documents.filter(({ content }) => content.kind === 'Kustomization');
  t.true(kustomizations.length >= 2);
  for (const { folder, content } of kustomizations) {
    for (const resource of content.resources) t.true(existsSync(join(FOLDER, folder, resource)), resource);
    const images = new Set(
      podsOf(folder).flatMap(({ spec }) => [...(spec.initContainers ?? []), ...spec.containers].map(({ image }) => image)),
    );
    t.deepEqual(inOrder(content.images.map(({ name }) => name)), inOrder(images), folder);
    for (const image of images) t.false(image.includes('/'), 'no registry is named');
  }
});

const hasKubectl = spawnSync('kubectl', ['version', '--client']).status === 0;
(hasKubectl ? test : test.skip)('kubectl builds each kustomization, with the image that it names', (t) => {
  for (const { folder, content } of documents.filter((each) => each.content.kind === 'Kustomization')) {
    const { status, stdout, stderr } = spawnSync('kubectl', ['kustomize', join(FOLDER, folder)], { encoding: 'utf8' });
    t.is(status, 0, stderr);
    t.true(stdout.includes(`image: ${RELAY_IMAGE}:${content.images[0].newTag}`));
    const expected = objects.filter((each) => each.folder === folder && content.resources.includes(each.file.split('/')[1]));
    t.is(stdout.split(/^---$/m).length, expected.length);
  }
});

test('every selector matches the pods that it is meant for', (t) => {
  let selectors = 0;
  for (const { folder, file, content } of objects) {
    const { kind, spec } = content;
    const pods = podsOf(folder);
    const own = podOf(content);
    const selector = { Service: spec?.selector, NetworkPolicy: spec?.podSelector?.matchLabels }[kind] ?? spec?.selector?.matchLabels;
    const spread = own?.spec.topologySpreadConstraints?.map(({ labelSelector }) => labelSelector.matchLabels) ?? [];
    for (const each of [selector, ...spread].filter(Boolean)) {
      selectors += 1;
      t.true(
        (own === undefined ? pods : [own]).some(({ labels }) => matches(each, labels)),
        file,
      );
    }
  }
  t.true(selectors >= 8);
});

test('every port that a probe, a Service or a NetworkPolicy names is a port of the pod', (t) => {
  for (const { folder, file, content } of objects) {
    const { kind, spec } = content;
    const selector = kind === 'Service' ? spec.selector : spec?.podSelector?.matchLabels;
    const names =
      (kind === 'Service' ? spec.ports.map(({ targetPort }) => targetPort) : undefined) ??
      (kind === 'NetworkPolicy' ? spec.ingress.flatMap(({ ports }) => ports.map(({ port }) => port)) : []);
    for (const pod of selector === undefined ? [] : podsOf(folder).filter(({ labels }) => matches(selector, labels)))
      for (const name of names) t.true(portNames(pod).includes(name), `${file}: ${name}`);
  }
  for (const { name, container } of relays) {
    const { startupProbe, livenessProbe, readinessProbe, ports } = container;
    for (const probe of [startupProbe, livenessProbe, readinessProbe].filter(Boolean))
      t.true(
        ports.some((port) => port.name === probe.httpGet.port),
        name,
      );
    t.truthy(livenessProbe, name);
    t.is(livenessProbe.httpGet.path, '/healthz');
    t.is((readinessProbe ?? startupProbe).httpGet.path, '/readyz');
  }
});

test('a NetworkPolicy lets a relay reach DNS, its queue and its endpoint, and nothing in the cluster but that', (t) => {
  const policies = objects.filter(({ content }) => content.kind === 'NetworkPolicy');
  t.true(policies.length > 0);
  for (const { folder, content } of policies) {
    t.deepEqual(content.spec.policyTypes, ['Ingress', 'Egress']);
    const ports = content.spec.egress.flatMap((rule) => rule.ports.map(({ protocol, port }) => `${protocol}/${port}`));
    for (const needed of ['UDP/53', 'TCP/53', 'TCP/443']) t.true(ports.includes(needed), needed);
    const [block] = content.spec.egress.flatMap(({ to }) => to.map(({ ipBlock }) => ipBlock)).filter(Boolean);
    t.true(block.except.includes('169.254.0.0/16'), 'the metadata service of a cloud');
    const queues = relays
      .filter((relay) => relay.folder === folder)
      .flatMap(({ container }) => flag(container, 'jetstream').map((server) => `TCP/${new URL(server).port}`));
    t.deepEqual(
      ports.filter((port) => !['UDP/53', 'TCP/53', 'TCP/443'].includes(port)),
      queues,
      folder,
    );
    for (const { to } of content.spec.egress) t.true(to?.length > 0, 'a rule without `to` lets everything through');
  }
});

test('each listening address is a port of the container, and the events of a sidecar stay in its pod', (t) => {
  t.true(relays.length >= 3);
  for (const { name, folder, container } of relays) {
    const { ports } = container;
    const listen = [...flag(container, 'listen'), ...flag(container, 'metrics-listen')].map((address) => address.split(':'));
    const remote = listen.filter(([host]) => host === '0.0.0.0').map(([, port]) => port);
    t.deepEqual(inOrder(ports.map(({ containerPort }) => String(containerPort))), inOrder(remote), name);
    if (folder === 'airflow') t.is(listen[0][0], '127.0.0.1', name);
  }
});

test('Airflow is pointed at an address that a relay has', (t) => {
  const plugin = readFileSync(join(root, 'examples/airflow/plugins/cosmos_telemetry_relay.py'), 'utf8');
  const name = /^RELAY_URL = "(\w+)"$/m.exec(plugin)?.[1];
  const others = objects.flatMap(({ folder, content }) =>
    (podOf(content)?.spec.containers ?? []).filter(({ image }) => image !== RELAY_IMAGE).map((container) => ({ folder, container })),
  );
  t.true(others.length >= 2);
  for (const { folder, container } of others) {
    const { value } = container.env.find((each) => each.name === name);
    const relay = relays.find((each) => each.folder === folder);
    t.is(value, `http://${flag(relay.container, 'listen')[0]}`);
  }
  const [service] = objects.filter(({ content }) => content.kind === 'Service' && content.spec.clusterIP === undefined);
  const { name: host } = service.content.metadata;
  const text = readFileSync(join(root, 'docs/kubernetes.md'), 'utf8');
  t.true(text.includes(`${name}=http://${host}:${service.content.spec.ports[0].port}`));
  const central = relays.filter(({ folder }) => folder !== 'airflow');
  for (const { container } of central) t.true(flag(container, 'allowed-host').includes(host));
});

test('a relay runs without rights, and writes to its volume alone', (t) => {
  t.regex(readFileSync(join(root, 'examples/relay/Dockerfile'), 'utf8'), /^USER node$/m);
  for (const { name, object, pod, container } of relays) {
    const context = { ...pod.spec.securityContext, ...container.securityContext };
    t.is(context.runAsNonRoot, true, name);
    // The user `node` of the official images.
    t.deepEqual([context.runAsUser, context.runAsGroup], [1000, 1000], name);
    t.is(context.allowPrivilegeEscalation, false, name);
    t.is(context.readOnlyRootFilesystem, true, name);
    t.deepEqual(context.capabilities, { drop: ['ALL'] }, name);
    t.deepEqual(context.seccompProfile, { type: 'RuntimeDefault' }, name);
    const volumes = [...(pod.spec.volumes ?? []), ...(object.spec.volumeClaimTemplates ?? []).map(({ metadata }) => metadata)];
    const mounts = container.volumeMounts ?? [];
    for (const mount of mounts)
      t.true(
        volumes.some((volume) => volume.name === mount.name),
        name,
      );
    t.is(flag(container, 'spool').length + flag(container, 'jetstream').length, 1, `${name}: events wait in one place`);
    for (const spool of flag(container, 'spool'))
      t.true(
        mounts.some(({ mountPath }) => spool.startsWith(`${mountPath}/`)),
        name,
      );
    t.truthy(container.resources.requests.memory, name);
    t.truthy(container.resources.limits.memory, name);
  }
  for (const { content } of objects.filter((each) => each.content.kind === 'ServiceAccount')) t.false(content.automountServiceAccountToken);
  for (const { name, pod } of relays.filter(({ folder }) => folder !== 'airflow')) t.false(pod.spec.automountServiceAccountToken, name);
});

/** How much longer than its deadline a close takes for a disk or a queue that does not answer, twice at most. */
const DISK_GRACE_SECONDS = 2;

test('the grace period is longer than preStop, drain and a disk that does not answer', (t) => {
  for (const { name, pod, container } of relays) {
    const needed = preStopSeconds(container) + secondsOf(flag(container, 'drain-deadline')[0]) + DISK_GRACE_SECONDS;
    t.true(pod.spec.terminationGracePeriodSeconds >= needed + 5, `${name}: ${needed} s`);
  }
});

(existsSync('/proc/self/cmdline') ? test : test.skip)(
  'the preStop of a worker lasts as long as a process of celery, and does not find itself',
  (t) => {
    const { container } = relays.find((each) => each.container.lifecycle?.preStop.exec.command[0] === 'sh');
    const [shell, option, script] = container.lifecycle.preStop.exec.command;
    // The tests run beside other processes: a name of our own instead of celery's.
    const own = script.replace("'[c]elery'", `'[c]elery-${process.pid}'`);
    t.not(own, script);
    const alone = spawnSync(shell, [option, own], { timeout: 5000 });
    t.is(alone.status, 0, 'it ends at once where no worker is');
    const started = performance.now();
    const both = spawnSync('sh', ['-c', `sh -c 'sleep 1.5; : celery-${process.pid}' & exec "$0" "$@"`, shell, option, own], {
      timeout: 20_000,
    });
    t.is(both.status, 0);
    t.true(performance.now() - started >= 1400, 'it waits while a worker is there');
  },
);
