/*
 * The description of a product: the options that the client, the privacy notice and the command share, and their checks.
 */
import { aFunction, anObject, anyOf, aText, aUrl, checkOptions, checkValue, readOption } from '../base/check-options.js';
import type { Check, Checks } from '../base/check-options.js';
import { COSMOS } from '../base/constants.js';
import { describe } from '../base/describe.js';
import { bare } from '../base/foreign-values.js';
import type { UrlObject } from '../base/platform-types.js';
import type { MetricValue } from '../wire/python.js';
import { parseEndpoint } from '../wire/url.js';
import { assertName } from './definition.js';
import type { EventDefinition, Fields } from './definition.js';
import { isField, isVersion, MAX_TEXT_LENGTH } from './fields.js';
import type { Field } from './fields.js';
import { productEvents, STANDARD_EVENTS } from './product-events.js';
import type { EventDefinitions, StandardEvent } from './product-events.js';
import { collectStandardUsageMetrics, sentStandardFields, standardFields } from './standard-metrics.js';
import type { Host } from './standard-metrics.js';

/**
 * A field that goes with every event, and its value, which is the same in the whole process.
 *
 * @example
 * const field = boolean({ description: 'Whether it runs in CI.', reason: 'To tell people from build servers.' });
 * const ci: CommonField = { field, value: process.env['CI'] === 'true' };
 */
export interface CommonField {
  /** Made by `boolean`, `oneOf` or another kind. */
  readonly field: Field;
  /** A value that the field accepts. An `optional` field may have none. */
  readonly value: MetricValue | undefined;
}

/**
 * One description of a product. `createTelemetry`, `renderPrivacyNotice`, `writePrivacyNotice` and `createTelemetryCli` take the same
 * object, so that they agree; each ignores what only another one needs.
 *
 * @example
 * const acme = {
 *   product: { name: 'acme', version: '1.2.0' },
 *   endpoint: 'https://telemetry.acme.example',
 *   contact: 'Write to privacy@acme.example.',
 * } satisfies ProductDescription;
 * const telemetry = createTelemetry(acme);
 * const notice = renderPrivacyNotice(acme);
 */
export interface ProductDescription<
  P extends string = string,
  E extends readonly EventDefinition[] = readonly EventDefinition[],
  D extends boolean = boolean,
  S extends false | readonly StandardEvent[] = false | readonly StandardEvent[],
  M extends string = string,
> {
  /**
   * The product that is observed: `cosmos`, or your own name (`^[a-z][a-z0-9_]{0,31}$`) and version. `createTelemetry` needs the version.
   * @example { name: 'acme', version: '1.2.0' }
   */
  product: { name: P; version?: string | undefined };
  /**
   * Base URL to which `/v3/{event_type}?{query}` is appended: http or https, no credentials, query or fragment. `createTelemetry` needs it
   * unless `transport` is given; there is no default. The environment variable `<NAME>_TELEMETRY_ENDPOINT` overrides it.
   * @example 'https://telemetry.acme.example/usage'
   */
  endpoint?: string | UrlObject | undefined;
  /**
   * The orchestrator in which the product runs. @default { name: 'airflow' }; without it, the notice of your own product names no host
   * @example { name: 'airflow', version: '2.10.1', pythonVersion: '3.11.7' }
   */
  host?: Host | undefined;
  /** The product's own events, in addition to the standard ones. @default [] */
  events?: E | undefined;
  /**
   * Whether the standard events have the fields about dbt, packed metadata of a DAG included, and whether there is the event
   * `dbt_docs_access`. For `cosmos` it is always so, and `false` throws. @default false
   */
  dbt?: D | undefined;
  /**
   * The standard events that the product has: a list, or `false` for none. An event that is left out does not exist: not in the types, on
   * the bus, in the notice or in the command.
   * @default all: `dag_run`, `task_instance`, and `dbt_docs_access` with `dbt: true`
   * @example ['dag_run']
   */
  standardEvents?: S | undefined;
  /**
   * The execution modes that may be sent, as words: the third part of an own task's `module`. It adds `execution_modes` to `dag_run` and
   * `execution_mode` to `task_instance`; a part that is none of the words is not sent. Each has letters, digits, `-` and single `_`.
   * `cosmos` sends all modes, and the option throws.
   * @default [], nothing from the name of a module is sent
   * @example ['local', 'container']
   */
  executionModes?: readonly M[] | undefined;
  /**
   * Fields that go with every event, after the versions and the platform. They are checked once, when the client is constructed.
   * `cosmos` sends what Cosmos sends, and the option throws. @default {}
   * @example { ci: { field: boolean({ description: 'Whether it runs in CI.', reason: '…' }), value: process.env.CI === 'true' } }
   */
  common?: Readonly<Record<string, CommonField>> | undefined;
  /** `false` is one more opt-out, and any opt-out wins. There is no `true`: code cannot overrule a person. */
  enabled?: false | undefined;
  /** `'opt-in'`: nothing happens until the person's own configuration says yes. @default 'opt-out' */
  consent?: 'opt-out' | 'opt-in' | undefined;
  /**
   * Digest of a DAG id, or null for none. For a product other than `cosmos` the field `dag_hash` exists only with this option; the host's
   * own `dagHash` comes first. @default md5 in hex for `cosmos`, as on its wire; none for other products
   * @example (dagId) => createHmac('sha256', secret).update(dagId).digest('hex')
   */
  dagHash?: ((dagId: string) => string | null) | undefined;
  /** Whom people can ask, in words for the notice. @example 'Write to privacy@acme.example.' @default the notice names nobody */
  contact?: string | undefined;
  /**
   * What the server keeps and for how long, in words for the notice. @example 'The server keeps requests for 90 days.'
   * @default the notice says that the operator of the server decides
   */
  retention?: string | undefined;
  /**
   * What users type to run the product's telemetry command, for its help and the notice.
   * @default the product's name and `telemetry`, as in `acme telemetry`; the notice names no command
   */
  command?: string | undefined;
}

/** The options that only `createTelemetry` reads, but for `owns`: the command asks it in a preview. */
export const CLIENT_KEYS = [
  'env',
  'owns',
  'transport',
  'maxPendingEvents',
  'concurrency',
  'drainConcurrency',
  'connectTimeoutMs',
  'attemptTimeoutMs',
  'retries',
  'allowedRedirectHosts',
  'proxy',
  'drainOnExit',
  'exitDeadlineMs',
  'spreadMs',
  'logger',
] as const;

/** What the notice and the command take: the description, and what only the client reads. */
export type DescriptionOptions = ProductDescription & { readonly [K in (typeof CLIENT_KEYS)[number]]?: unknown };

const A_STRING: Check = ['a string', (value) => typeof value === 'string'];
const A_VERSION: Check = ['a version', isVersion];

/** The checks of a description. */
export const DESCRIPTION_CHECKS: Checks<ProductDescription> = {
  product: anObject,
  endpoint: aUrl,
  host: anObject,
  events: ['a list of event definitions', Array.isArray],
  dbt: anyOf(true, false),
  standardEvents: ['false or a list of event types', (value) => value === false || Array.isArray(value)],
  executionModes: ['a list of words', Array.isArray],
  common: anObject,
  enabled: ['false or left out (it can only opt out)', (value) => value === false],
  consent: anyOf('opt-out', 'opt-in'),
  dagHash: aFunction,
  contact: aText,
  retention: aText,
  command: aText,
};

const ANYTHING: Check = ['anything', () => true];

/** Checks the options of the notice and of the command, which ignore those of the client. */
export function checkDescriptionOptions(given: DescriptionOptions): Description {
  const ignored = Object.fromEntries(CLIENT_KEYS.map((name) => [name, ANYTHING]));
  return checkDescription(checkOptions<ProductDescription>('options', given, { ...DESCRIPTION_CHECKS, ...ignored }));
}

/** Fields with their values. */
export interface CommonValues {
  readonly fields: Fields;
  readonly values: Readonly<Record<string, MetricValue>>;
}

/** A checked description. */
export interface Description extends Omit<ProductDescription, 'endpoint' | 'events' | 'common' | 'product'> {
  readonly product: { readonly name: string; readonly version?: string | undefined };
  /** Without a slash at its end. */
  readonly endpoint: string | undefined;
  readonly host: Host;
  readonly definitions: EventDefinitions;
  readonly common: CommonValues;
  /** The fields that every event may have: versions, platform, and the product's own. */
  readonly everyEvent: Fields;
}

/** The options are checked without reading the facts of the machine. */
const NO_MACHINE = { system: '', machine: '', nodeVersion: '' };

/**
 * Checks what depends on several options.
 *
 * @param options Checked by {@link DESCRIPTION_CHECKS}.
 * @throws TypeError naming option and value.
 */
export function checkDescription(options: ProductDescription): Description {
  const { events = [], endpoint, common = {}, ...rest } = options;
  if (options.product === undefined) throw new TypeError('Expected `product` to be an object, got undefined.');
  const product = checkOptions<ProductDescription['product']>('product', options.product, { name: A_STRING, version: A_VERSION });
  const { name, version } = product;
  assertName('`product.name`', name);
  const host = checkOptions<Host>('host', options.host ?? {}, { name: A_STRING, version: A_VERSION, pythonVersion: A_VERSION });
  if (host.name !== undefined) assertName('`host.name`', host.name);
  const hostName = host.name ?? 'airflow';
  if (name === hostName) throw new TypeError(`Expected product and host to have different names, got ${describe(name)} twice.`);
  collectStandardUsageMetrics({ host, machine: NO_MACHINE, ...(version !== undefined && { product: { name, version } }) });
  if (name === COSMOS) checkCosmos(options);
  checkChoices(name, options);
  const definitions = productEvents(name, hostName, events, options);
  const standard = standardFields(name, hostName);
  const checkedCommon = checkCommon(common, Object.keys(standard), definitions);
  return bare({
    ...rest,
    product,
    host,
    endpoint: endpoint === undefined ? undefined : parseEndpoint(endpoint, '`endpoint`'),
    definitions,
    common: checkedCommon,
    everyEvent: { ...sentStandardFields(name, options.host && host), ...checkedCommon.fields },
  });
}

const MODE = /^[A-Za-z][A-Za-z0-9-]*(?:_[A-Za-z0-9-]+)*$/;
const A_MODE: Check = ['a word of letters, digits, - and single _', (value) => typeof value === 'string' && MODE.test(value)];

function checkChoices(product: string, { dbt = product === COSMOS, standardEvents, executionModes = [] }: ProductDescription): void {
  const types = anyOf(...STANDARD_EVENTS);
  for (const { 0: index, 1: type } of (standardEvents || []).entries()) {
    checkValue(`standardEvents[${index}]`, type, types);
    if (type === 'dbt_docs_access' && !dbt) {
      throw new TypeError(
        `Expected \`standardEvents[${index}]\` to be an event of the product, got ${describe(type)} without \`dbt: true\`.`,
      );
    }
  }
  for (const { 0: index, 1: word } of executionModes.entries()) checkValue(`executionModes[${index}]`, word, A_MODE);
  const { length } = executionModes.join('__');
  if (length > MAX_TEXT_LENGTH) {
    throw new TypeError(`Expected \`executionModes\` to have at most ${MAX_TEXT_LENGTH} characters, joined by __, got ${length}.`);
  }
}

/** What Cosmos sends is not a choice of the program. */
function checkCosmos({ dbt, executionModes, common }: ProductDescription): void {
  for (const [option, value, isOwn] of [
    ['dbt', dbt, dbt === false],
    ['executionModes', executionModes, executionModes !== undefined],
    ['common', common, common !== undefined],
  ] as const) {
    if (isOwn) throw new TypeError(`Expected \`${option}\` to be left out for product cosmos, got ${describe(value)}.`);
  }
}

/** @throws TypeError for a field of another form, a value that its field refuses, or a name that an event has. */
function checkCommon(
  common: Readonly<Record<string, CommonField>>,
  standard: readonly string[],
  definitions: EventDefinitions,
): CommonValues {
  const taken = new Set([...standard, ...[...definitions.values()].flatMap((each) => Object.keys({ ...each.fields, ...each.metadata }))]);
  const fields: Record<string, Field> = {};
  const values: Record<string, MetricValue> = {};
  for (const name of Object.keys(common)) {
    assertName('a name in `common`', name);
    const option = `common.${name}`;
    const entry = readOption(common, name, option) as CommonField;
    if (taken.has(name)) throw new TypeError(`Expected \`${option}\` to have a name of its own: an event has a field of that name.`);
    const { field, value } = checkOptions<CommonField>(option, entry, { field: ANYTHING, value: ANYTHING });
    if (!isField(field)) throw new TypeError(`Expected \`${option}.field\` to be made by boolean(), oneOf() or another kind.`);
    fields[name] = field;
    if (value === undefined && field.optional) continue;
    if (!field.accepts(value)) throw new TypeError(`Expected \`${option}.value\` to be a value of its field, got ${describe(value)}.`);
    values[name] = value as MetricValue;
  }
  return { fields, values };
}
