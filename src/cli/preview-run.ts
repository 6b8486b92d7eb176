/*
 * What would be sent for an event: reads events from JSON, runs them through the pieces of a client, and makes samples.
 */
import { EventEmitter } from 'node:events';
import { systemClock } from '../base/clock.js';
import { shorten } from '../base/describe.js';
import { Ledger } from '../base/ledger.js';
import type { Loss } from '../base/ledger.js';
import { Log } from '../base/log.js';
import { EventBus, keepUsable } from '../bus/bus.js';
import type { TakenEvent } from '../delivery/event-buffer.js';
import { EventBuilder } from '../delivery/event-builder.js';
import type { Fields } from '../events/definition.js';
import type { Field } from '../events/fields.js';
import { compressTelemetryMetadata, metadataParam } from '../events/metadata.js';
import { productDagHash } from '../events/product-events.js';
import { noticeMisspelt } from '../events/mistake-words.js';
import type { FoundNames } from '../events/mistake-words.js';
import type { DeclaredEvent, EventDefinitions } from '../events/product-events.js';
import { collectStandardUsageMetrics } from '../events/standard-metrics.js';
import type { HostEvents } from '../listeners/host.js';
import { hostListeners, ListenerRegistry } from '../listeners/register.js';
import { fieldExample } from '../notice/fields.js';
import { Gate } from '../opt-out/gate.js';
import type { MetricValue, UsageMetrics } from '../wire/python.js';
import { isTooLong, requestUrl } from '../wire/url.js';
import { CliFailure, EXIT } from './exit-codes.js';
import type { Program } from './program.js';

/** One event to preview: one that a host emits, or one that a program publishes itself. */
export type PreviewItem =
  | { readonly kind: 'host'; readonly event: keyof HostEvents; readonly payload: unknown }
  | { readonly kind: 'published'; readonly event: string; readonly metrics: unknown; readonly packedMetadata?: string };

/** All names: the compiler refuses this object if one is missing. */
const HOST_EVENTS: Readonly<Record<keyof HostEvents, true>> = {
  'dag_run.success': true,
  'dag_run.failed': true,
  'task_instance.success': true,
  'task_instance.failed': true,
};

const FORM = '{"event": "dag_run.success", "payload": {...}}';

/**
 * Reads a document: one event or a list of events.
 *
 * @param source The name of the document in messages.
 * @throws CliFailure that names the document and its wrong event.
 */
export function parseDocument(text: string, source: string, definitions: EventDefinitions): PreviewItem[] {
  const value = parseJson(text, source);
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (list.length === 0) throw new CliFailure(`${source} holds no event: expected ${FORM} or a list of such objects`);
  return list.map((item, index) => toItem(item, list.length === 1 ? source : `${source}, event ${index + 1},`, definitions));
}

function parseJson(text: string, source: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    // The parser's message may hold text of the file, so only the position is taken from it.
    const position = error instanceof Error ? /at position (\d+)/.exec(error.message)?.[1] : undefined;
    const line = position === undefined ? undefined : text.slice(0, Number(position)).split('\n').length;
    throw new CliFailure(`${source} is not JSON${line === undefined ? '' : ` (line ${line})`}`);
  }
}

function toItem(item: unknown, source: string, definitions: EventDefinitions): PreviewItem {
  if (typeof item !== 'object' || item === null || Array.isArray(item)) throw new CliFailure(`${source} is no event: expected ${FORM}`);
  const { event, payload, metrics, packedMetadata, ...rest } = item as Record<string, unknown>;
  if (typeof event !== 'string') throw new CliFailure(`${source} has no "event": expected ${FORM}`);
  const [unknownKey] = Object.keys(rest);
  if (unknownKey !== undefined) throw new CliFailure(`${source} has an unknown key "${shorten(unknownKey)}"`);
  if (isHostEvent(event)) {
    if (payload === undefined) throw new CliFailure(`${source} has no "payload", which ${event} needs`);
    return { kind: 'host', event, payload };
  }
  if (!definitions.has(event))
    throw unknownEvent(`${source} has an unknown event`, event, [...Object.keys(HOST_EVENTS), ...definitions.keys()]);
  if (metrics === undefined) throw new CliFailure(`${source} has no "metrics", which ${event} needs`);
  if (packedMetadata !== undefined && typeof packedMetadata !== 'string')
    throw new CliFailure(`${source} has a "packedMetadata" that is no text`);
  return { kind: 'published', event, metrics, ...(packedMetadata !== undefined && { packedMetadata }) };
}

function isHostEvent(event: string): event is keyof HostEvents {
  return Object.hasOwn(HOST_EVENTS, event);
}

/** The failure for an unknown event. Its message lists the known ones. */
export function unknownEvent(start: string, event: string, known: readonly string[]): CliFailure {
  return new CliFailure(`${start} "${shorten(event)}"; known: ${known.join(', ')}`, EXIT.usage);
}

/** One field as it would be sent, read from the request itself. */
interface PreviewField {
  readonly name: string;
  /** As the server reads it. */
  readonly value: string;
  /** Whether it is a field of every event, of this event, or of the DAG's metadata. */
  readonly from: 'standard' | 'event' | 'metadata';
  readonly field: Field;
}

/** Why no request would be sent. */
export type NotSent = 'left_out' | 'not_own' | 'invalid' | 'too_large';

/** What would be sent for one event. */
export interface Preview {
  readonly item: PreviewItem;
  /** The event type; undefined if no event would be published. */
  readonly type: string | undefined;
  readonly notSent: NotSent | undefined;
  /** The whole URL, or only the request's target if the endpoint is unknown. */
  readonly url: string | undefined;
  readonly fields: readonly PreviewField[];
  readonly losses: readonly Loss[];
}

/**
 * What would be sent for an event. It runs the listeners, bus and builder of a client without a transport, also if telemetry is off.
 *
 * @param endpoint as `parseEndpoint` gives it; undefined if unknown.
 */
export function previewOf(item: PreviewItem, program: Program, endpoint: string | undefined): Preview {
  const losses: Loss[] = [];
  const ledger = new Ledger((loss) => losses.push(loss));
  const taken = take(item, program, ledger);
  if (taken === undefined) {
    const isInvalid = ledger.snapshot(0).reasons['invalid'] !== undefined;
    const isLeftOut = item.kind === 'host' && !program.definitions.has(item.event.split('.')[0] ?? '');
    return {
      item,
      type: undefined,
      notSent: isLeftOut ? 'left_out' : isInvalid ? 'invalid' : 'not_own',
      url: undefined,
      fields: [],
      losses,
    };
  }
  const { name, version } = program.product;
  const standard = collectStandardUsageMetrics({ host: program.host, ...(version !== undefined && { product: { name, version } }) });
  const target = new EventBuilder(standard, ledger, program.common).build(taken).requestTarget();
  const url = requestUrl(endpoint ?? '', target);
  const { type } = taken.definition;
  return { item, type, notSent: isTooLong(url) ? 'too_large' : undefined, url, fields: decode(target, taken.definition, program), losses };
}

function take(item: PreviewItem, program: Program, ledger: Ledger): TakenEvent | undefined {
  const log = new Log(undefined, systemClock);
  const gate = new Gate({ state: 'open', watch: { optedOutNow: () => false }, clock: systemClock });
  const bus = new EventBus({ definitions: program.definitions, gate, ledger, log });
  let taken: TakenEvent | undefined;
  bus.attach((metrics: UsageMetrics, packed, definition, isChecked) => {
    if (!isChecked) keepUsable(metrics, definition, ledger);
    taken = { seq: 0, definition, metrics, packed, timeMs: 0, built: undefined };
  });
  if (item.kind === 'published') {
    bus.publish(item.event, item.metrics as object, item.packedMetadata);
    return taken;
  }
  const { product, definitions, owns, dagHash = productDagHash(product.name) } = program;
  const compare = (collect: () => readonly FoundNames[]): void => noticeMisspelt(collect(), ledger);
  const listeners = () => hostListeners(product.name, { definitions, bus, ledger, log, dagHash, owns, compare });
  const registry = new ListenerRegistry({ listeners, gate, ledger, log });
  const host = new EventEmitter();
  registry.register(host);
  host.emit(item.event, item.payload);
  registry.close();
  return taken;
}

/** The fields of the request itself, so that the preview shows what would be sent and not the input. */
function decode(target: string, { fields: own, metadata = {} }: DeclaredEvent, { everyEvent }: Program): PreviewField[] {
  const sources = [
    ['event', own],
    ['metadata', metadata],
    ['standard', everyEvent],
  ] as const;
  const query = target.slice(target.indexOf('?') + 1);
  return query.split('&').flatMap((pair) => {
    const [name = '', value = ''] = pair.split('=').map((text) => decodeURIComponent(text.replaceAll('+', ' ')));
    for (const [from, fields] of sources) {
      const field = Object.hasOwn(fields, name) ? fields[name] : undefined;
      if (field !== undefined) return [{ name, value, from, field }];
    }
    return [];
  });
}

/** One sample event of each kind that the program may send, as a host emits it or as the program publishes it. */
export function sampleItems({ product, definitions }: Program): PreviewItem[] {
  return [...definitions.values()].map((definition): PreviewItem => {
    const { type, fields } = definition;
    if (type === 'dag_run') return { kind: 'host', event: 'dag_run.success', payload: { dagRun: sampleRun(product.name, definition) } };
    if (type !== 'task_instance') return { kind: 'published', event: type, metrics: exampleMetrics(fields) };
    const taskInstance = {
      dagId: 'example_dag',
      taskId: 'example_task',
      mapIndex: -1,
      attempt: 1,
      duration: 7.5,
      task: sampleTask(product.name, definition),
    };
    return { kind: 'host', event: 'task_instance.success', payload: { taskInstance } };
  });
}

function sampleRun(product: string, definition: DeclaredEvent) {
  const task = sampleTask(product, definition);
  const metadata = definition.metadata && compressTelemetryMetadata(exampleMetrics(definition.metadata));
  return {
    dagId: 'example_dag',
    duration: 93.5,
    failedCount: 0,
    retriedCount: 1,
    skippedCount: 0,
    dag: { params: { [metadataParam(product)]: metadata }, tasks: [task, { ...task, module: 'other.operators' }] },
  };
}

function sampleTask(product: string, { fields }: DeclaredEvent) {
  const mode = (fields['execution_modes'] ?? fields['execution_mode'])?.values?.[0] ?? 'local';
  return {
    module: `${product}.operators.${mode}`,
    operatorName: 'ExampleOperator',
    isDbtOperator: true,
    invocationMode: 'subprocess',
    baseCmd: ['run'],
    installDeps: true,
    callback: null,
    profileConfig: { profileMappingClass: 'ExampleProfileMapping', profileType: 'postgres' },
  };
}

function exampleMetrics(fields: Fields): Record<string, MetricValue> {
  return Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, fieldExample(field)]));
}
