// The standard metrics that start every event: versions and platform.
import { givenOptions } from '../base/check-options.js';
import { COSMOS } from '../base/constants.js';
import { describe } from '../base/describe.js';
import { machineFacts } from '../base/machine.js';
import type { MachineFacts } from '../base/machine.js';
import { quote } from '../wire/python.js';
import type { UsageMetrics } from '../wire/python.js';
import { assertName } from './definition.js';
import type { Fields } from './definition.js';
import { isVersion, oneOf, optional, version } from './fields.js';
import type { Field } from './fields.js';

/**
 * The product that sends events: a plug-in or a tool.
 *
 * @example
 * const product: Product<'acme'> = { name: 'acme', version: '1.2.0' };
 */
export interface Product<P extends string = string> {
  /** What its fields, variables and module prefixes begin with: `^[a-z][a-z0-9_]{0,31}$`. */
  name: P;
  /** Its version, at most 64 characters: letters, digits and `. + ! _ -`. */
  version: string;
}

/**
 * The orchestrator that the product runs in.
 *
 * @example
 * const host: Host = { name: 'airflow', version: '2.10.1', pythonVersion: '3.11.7' };
 */
export interface Host {
  /** What the field with its version begins with: `^[a-z][a-z0-9_]{0,31}$`. @default 'airflow' */
  name?: string | undefined;
  /** Its version. Without it none is sent. */
  version?: string | undefined;
  /** The version of the host's Python, if it has one. Without it the version of Node is sent instead. */
  pythonVersion?: string | undefined;
}

const SYSTEMS = ['Linux', 'Darwin', 'Windows', 'FreeBSD', 'OpenBSD', 'NetBSD', 'SunOS', 'AIX'] as const;
const MACHINES = [
  'x86_64',
  'AMD64',
  'amd64',
  'arm64',
  'ARM64',
  'aarch64',
  'i386',
  'i686',
  'x86',
  'armv6l',
  'armv7l',
  'armv8l',
  'ppc64',
  'ppc64le',
  's390x',
  'riscv64',
  'loong64',
  'loongarch64',
  'mips',
  'mips64',
] as const;

/** On Windows, Python says `AMD64` and Node says `x86_64`. The wire has Python's names. */
const WINDOWS_MACHINES: ReadonlyMap<string, string> = new Map([
  ['x86_64', 'AMD64'],
  ['arm64', 'ARM64'],
]);

/** The example of a version that is not known here. */
const SOME_VERSION = '1.4.0';

/** The declarations of the standard metrics. Their examples are of no machine and no release: the notice must not change with these. */
export function standardFields(product: string, hostName: string): Fields {
  const own = product === COSMOS ? '1.12.0' : SOME_VERSION;
  const ofHost = hostName === 'airflow' ? '2.10.1' : SOME_VERSION;
  return {
    [`${product}_version`]: versionOf(product, 'To know how long a version must be supported.', own),
    [`${hostName}_version`]: versionOf(hostName, 'To test against the versions that are in use.', ofHost),
    python_version: versionOf('Python', 'To test against the versions that are in use.', '3.11.7'),
    node_version: nodeVersion('Node, if there is no Python'),
    platform_system: optional(oneOf(SYSTEMS, { description: 'The operating system.', reason: 'To test on the systems that are in use.' })),
    platform_machine: optional(
      oneOf(MACHINES, { description: 'The kind of processor.', reason: 'To build for the processors that are in use.' }),
    ),
  };
}

/**
 * The standard fields that a product may send. A product of its own name that says nothing of a host sends no version of one, and a
 * version of Python only if its host is Airflow or has one.
 */
export function sentStandardFields(product: string, host: Host | undefined): Fields {
  const { name: hostName = 'airflow', pythonVersion } = host ?? {};
  const all = standardFields(product, hostName);
  const { [`${hostName}_version`]: ofHost, python_version: ofPython, node_version: ofNode, ...rest } = all;
  const { [`${product}_version`]: own, ...platform } = rest;
  const isKnown = product === COSMOS || host !== undefined;
  const hasPython = isKnown && (hostName === 'airflow' || pythonVersion !== undefined);
  return {
    [`${product}_version`]: own,
    ...(isKnown && { [`${hostName}_version`]: ofHost }),
    ...(hasPython && { python_version: ofPython }),
    node_version: hasPython ? ofNode : nodeVersion('Node'),
    ...platform,
  } as Fields;
}

/**
 * The standard metrics, in the order of the wire. A version that is not known is omitted.
 *
 * @param options The product and its host. By default no product, Airflow without a version, and this machine.
 * @throws TypeError for a name that could change a key, two names that give the same key, or a version of another form.
 * @example
 * const metrics = collectStandardUsageMetrics({ product: { name: 'acme', version: '1.2.0' } });
 * console.log(metrics['acme_version']); // 1.2.0
 */
export function collectStandardUsageMetrics(
  options: { product?: Product | undefined; host?: Host | undefined; machine?: MachineFacts | undefined } = {},
): UsageMetrics {
  const asked = givenOptions(options, ['product', 'host', 'machine']);
  const product = asked.product && givenOptions(asked.product, ['name', 'version']);
  const host = givenOptions(asked.host ?? {}, ['name', 'version', 'pythonVersion']);
  const machine = asked.machine ?? machineFacts();
  const hostName = host.name ?? 'airflow';
  assertName('`host.name`', hostName);
  const metrics: UsageMetrics = {};
  const add = (name: string, option: string, value: string | undefined) => {
    if (value === undefined) return;
    if (!isVersion(value)) throw new TypeError(`Expected \`${option}\` to be a version, got ${describe(value)}.`);
    const key = `${name}_version`;
    if (Object.hasOwn(metrics, key)) throw new TypeError(`Expected product and host to have different names, got ${describe(name)} twice.`);
    metrics[key] = value;
  };
  if (product !== undefined) {
    assertName('`product.name`', product.name);
    add(product.name, 'product.version', product.version);
  }
  add(hostName, 'host.version', host.version);
  // Cosmos quotes this value before it builds the query, so it is quoted twice on the wire.
  const airflowVersion = metrics['airflow_version'];
  if (hostName === 'airflow' && typeof airflowVersion === 'string') metrics['airflow_version'] = quote(airflowVersion);
  // The version of Node is not an option: one of an unexpected form is omitted, and nothing is thrown.
  if (host.pythonVersion !== undefined) add('python', 'host.pythonVersion', host.pythonVersion);
  else if (isVersion(machine.nodeVersion)) add('node', 'node', machine.nodeVersion);
  const system = machine.system === 'Windows_NT' ? 'Windows' : machine.system;
  if (isOneOf(SYSTEMS, system)) metrics['platform_system'] = system;
  const kind = system === 'Windows' ? (WINDOWS_MACHINES.get(machine.machine) ?? machine.machine) : machine.machine;
  if (isOneOf(MACHINES, kind)) metrics['platform_machine'] = kind;
  return metrics;
}

function nodeVersion(what: string): Field {
  return versionOf(what, 'To test against the versions that are in use.', '20.19.0');
}

function versionOf(what: string, reason: string, example: string): Field {
  return optional(version({ description: `The version of ${what}.`, reason, example }));
}

function isOneOf(values: readonly string[], value: string): boolean {
  return values.includes(value);
}
