/*
 * The options of the command, and their checks.
 */
import { aFunction, anObject, anyOf, aUrl, checkOptions } from '../base/check-options.js';
import type { Check, Checks } from '../base/check-options.js';
import type { UrlObject } from '../base/platform-types.js';
import { assertName } from '../events/definition.js';
import type { EventDefinition } from '../events/definition.js';
import { isVersion } from '../events/fields.js';
import { productEvents } from '../events/product-events.js';
import type { EventDefinitions } from '../events/product-events.js';
import { collectStandardUsageMetrics } from '../events/standard-metrics.js';
import type { Host } from '../events/standard-metrics.js';
import { parseEndpoint } from '../wire/url.js';

/** Options of `createTelemetryCli`. Give it the options that `createTelemetry` gets, so that both agree. */
export interface TelemetryCliOptions {
  /** The product, as for `createTelemetry`. Without a version, none is shown. @example { name: 'acme', version: '3.1.0' } */
  product: { name: string; version?: string | undefined };
  /** The endpoint of the program. Leave it out if the program has its own transport. @default unknown */
  endpoint?: string | UrlObject | undefined;
  /** The product's own events, in addition to the built-in ones. @default [] */
  events?: readonly EventDefinition[] | undefined;
  /** The orchestrator that runs the product. @default { name: 'airflow' } */
  host?: Host | undefined;
  /** As for `createTelemetry`. @default 'opt-out' */
  consent?: 'opt-out' | 'opt-in' | undefined;
  /** `false` if the program itself opts out. @default undefined */
  enabled?: false | undefined;
  /** As for `createTelemetry`; used by `preview`. @default md5 in hex for `cosmos`; none for others */
  dagHash?: ((dagId: string) => string | null) | undefined;
  /** What users type to run this command; shown in the help. @default the product's name and `telemetry`, as in `acme telemetry` */
  command?: string | undefined;
}

/** The checked options. */
export interface Program extends Pick<TelemetryCliOptions, 'consent' | 'enabled' | 'dagHash'> {
  readonly product: { readonly name: string; readonly version?: string };
  readonly endpoint: string | undefined;
  readonly host: Host;
  readonly definitions: EventDefinitions;
  readonly command: string;
}

const A_TEXT: Check = ['a text', (value) => typeof value === 'string' && value.trim() !== ''];
const A_VERSION: Check = ['a version', isVersion];

const CHECKS: Checks<TelemetryCliOptions> = {
  product: anObject,
  endpoint: aUrl,
  events: ['a list of event definitions', Array.isArray],
  host: anObject,
  consent: anyOf('opt-out', 'opt-in'),
  enabled: ['false or left out (it can only opt out)', (value) => value === false],
  dagHash: aFunction,
  command: A_TEXT,
};

/** The options are checked without reading the facts of the machine. */
const NO_MACHINE = { system: '', machine: '', nodeVersion: '' };

/** @throws TypeError naming option and value. */
export function toProgram(options: TelemetryCliOptions): Program {
  const checked = checkOptions<TelemetryCliOptions>('options', options, CHECKS);
  const { endpoint, events = [], command, consent, enabled, dagHash } = checked;
  if (checked.product === undefined) throw new TypeError('Expected `product` to be an object, got undefined.');
  const product = checkOptions<TelemetryCliOptions['product']>('product', checked.product, { name: A_TEXT, version: A_VERSION });
  assertName('`product.name`', product.name);
  const { name, version } = product;
  const host = checkOptions<Host>('host', checked.host ?? {}, { name: A_TEXT, version: A_VERSION, pythonVersion: A_VERSION });
  collectStandardUsageMetrics({ host, machine: NO_MACHINE, ...(version !== undefined && { product: { name, version } }) });
  return {
    product: { name, ...(version !== undefined && { version }) },
    endpoint: endpoint === undefined ? undefined : parseEndpoint(endpoint, '`endpoint`'),
    host,
    definitions: productEvents(name, host.name ?? 'airflow', events),
    command: command ?? `${name} telemetry`,
    ...(consent !== undefined && { consent }),
    ...(enabled === false && { enabled }),
    ...(dagHash !== undefined && { dagHash }),
  };
}
