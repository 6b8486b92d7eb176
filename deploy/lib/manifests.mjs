// The manifests of `deploy/kubernetes` as objects, and what the tests ask of them.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

export const FOLDER = join(import.meta.dirname, '..', 'kubernetes');
const SCRIPT = join(import.meta.dirname, '..', 'manifests.py');

/** The oldest Kubernetes with native sidecars, and the newest of the schemas. */
export const VERSIONS = ['1.29', '1.37'];

/** The image that `examples/relay/Dockerfile` builds. */
export const RELAY_IMAGE = 'cosmos-relay';

function python(args, input) {
  const command = process.env.DEPLOY_PYTHON;
  if (command === undefined) throw new Error('run this with `npm run test:deploy`, which installs the schemas');
  const { status, stdout, stderr } = spawnSync(command, [SCRIPT, ...args], { input, encoding: 'utf8', maxBuffer: 2 ** 26 });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}

/** @returns The first error of each document, or null. */
export const errorsOf = (documents, versions = VERSIONS) => python(['check', ...versions], JSON.stringify(documents));

/** The documents of YAML files, by file. A key that stands twice is an error. */
export const load = (files) => new Map(Object.entries(python(['load', ...files])));

/** Texts in the order of the alphabet. */
export const inOrder = (texts) => [...texts].sort((one, other) => one.localeCompare(other));

const files = inOrder(readdirSync(FOLDER, { recursive: true }).filter((name) => name.endsWith('.yaml')));
const loaded = load(files.map((name) => join(FOLDER, name)));

/** Every document: its file below `deploy/kubernetes`, its folder, and its content. */
export const documents = files.flatMap((file) =>
  loaded.get(join(FOLDER, file)).map((content) => ({ file, folder: file.split('/')[0], content })),
);

/** All but the kustomizations, which are no objects of the cluster. */
export const objects = documents.filter(({ content }) => content.kind !== 'Kustomization');

/** The pods that an object makes; a pod is its own. */
export function podOf({ kind, metadata, spec }) {
  if (kind === 'Pod') return { labels: metadata.labels, spec };
  return spec?.template === undefined ? undefined : { labels: spec.template.metadata.labels, spec: spec.template.spec };
}

/** Each container with a relay, with its pod and the object that it is in. */
export const relays = objects.flatMap(({ file, folder, content }) => {
  const pod = podOf(content);
  if (pod === undefined) return [];
  const containers = [...(pod.spec.initContainers ?? []), ...pod.spec.containers];
  return containers
    .filter(({ image }) => image === RELAY_IMAGE)
    .map((container) => ({ name: `${folder}/${content.kind} ${content.metadata.name}`, file, folder, object: content, pod, container }));
});

/** The values of a flag, as `--name=value`. */
export function flag({ args }, name) {
  return args.filter((arg) => arg.startsWith(`--${name}=`)).map((arg) => arg.slice(name.length + 3));
}

/** The seconds of `10s`. */
export function secondsOf(text) {
  const { 1: digits } = /^(\d+)s$/.exec(text) ?? [];
  if (digits === undefined) throw new Error(`${text} is not written in seconds`);
  return Number(digits);
}

/** How long a preStop takes at most: `sleep N`, or a loop that counts seconds up to a number. */
export function preStopSeconds({ lifecycle }) {
  const command = lifecycle?.preStop?.exec.command;
  if (command === undefined) return 0;
  const { 1: seconds } =
    (command[0] === 'sleep' ? /^()(\d+)$/ : /\[ \$i -lt (\d+) \].*; do sleep 1;/).exec(command.at(-1))?.filter(Boolean) ?? [];
  if (seconds === undefined) throw new Error(`no one knows how long ${JSON.stringify(command)} takes`);
  return Number(seconds);
}
