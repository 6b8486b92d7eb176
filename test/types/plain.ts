/*
 * A user's program that names no type of the platform: it compiles without `@types/node` and without the lib `dom`. It uses every public
 * name once; `scripts/check-types.mjs` compiles it and never runs it.
 */
import {
  boolean,
  circuitBreaker,
  collectStandardUsageMetrics,
  command,
  compressTelemetryMetadata,
  configFilePath,
  COSMOS_ENDPOINT,
  count,
  createTelemetry,
  decompressTelemetryMetadata,
  defineEvent,
  duration,
  emitUsageMetrics,
  emitUsageMetricsIfEnabled,
  explainSettings,
  fetchTransport,
  hash,
  identifier,
  identifierSet,
  nullable,
  oneOf,
  optional,
  policyFilePaths,
  renderPrivacyNotice,
  resolveSettings,
  retrying,
  shouldEmit,
  storeTelemetryMetadata,
  TELEMETRY_METADATA_PARAM,
  TelemetryMetadataError,
  version,
  writePrivacyNotice,
} from 'cosmos-telemetry';
import type {
  AddRemoveHost,
  Cause,
  ChannelMessage,
  CircuitBreakerOptions,
  Clock,
  Consent,
  ConsentInput,
  ConsentOutput,
  ConsentQuestion,
  ConsentReport,
  ConsentState,
  CommonField,
  Dag,
  DagRun,
  DrainReport,
  EmitOptions,
  Environment,
  EventDefinition,
  EventMetrics,
  EventNames,
  End,
  EventOptions,
  EventTargetHost,
  FetchTransportOptions,
  Field,
  FieldKind,
  FieldNote,
  Fields,
  Host,
  HostEmitter,
  HostEvents,
  HostMap,
  HostReport,
  Logger,
  MachineFacts,
  Mapped,
  MetricsOf,
  MetricValue,
  OnOffHost,
  Outcome,
  Platform,
  PrivacyNoticeOptions,
  Product,
  ProductDescription,
  ProfileConfig,
  RegisterOptions,
  RetryingOptions,
  Rule,
  RunReport,
  RunTask,
  EventOutcome,
  SendOutcome,
  SendSignal,
  Settings,
  SettingsOptions,
  StandardEvent,
  StandardMetrics,
  Task,
  TaskInstance,
  Telemetry,
  TelemetryBus,
  TelemetryMetadataProblem,
  TelemetryOptions,
  TelemetryStats,
  Timer,
  Transport,
  TypedHost,
  UrlObject,
  UsageEvent,
  UsageMetrics,
  When,
} from 'cosmos-telemetry';
import { createTelemetryCli } from 'cosmos-telemetry/cli';
import type { CliIo, CliStream, TelemetryCli, TelemetryCliOptions } from 'cosmos-telemetry/cli';
import { ndjsonColumns, ndjsonLine, ndjsonStatements, ndjsonTransport, readNdjsonLine } from 'cosmos-telemetry/ndjson';
import type {
  HeadersOption,
  NdjsonColumn,
  NdjsonColumnType,
  NdjsonEvent,
  NdjsonKind,
  NdjsonProblem,
  NdjsonReading,
  NdjsonStatementOptions,
  NdjsonStatements,
  NdjsonTransportOptions,
  ReadNdjsonEvent,
} from 'cosmos-telemetry/ndjson';
import { otelTransport } from 'cosmos-telemetry/otel';
import type { OtelExporter, OtelExportResult, OtelLogRecord, OtelResource, OtelScope } from 'cosmos-telemetry/otel';
import { createRelay } from 'cosmos-telemetry/relay';
import type {
  HttpRequest,
  HttpResponse,
  Relay,
  RelayAddress,
  RelayLogger,
  RelayOptions,
  RelayReport,
  RelayStats,
  RelayStatus,
  RelayStoreOptions,
  RelayStoreStats,
  SharedQueueStats,
} from 'cosmos-telemetry/relay';
import { JetstreamError, jetstreamStore, jetstreamTransport } from 'cosmos-telemetry/jetstream';
import type {
  JetstreamOptions,
  JetstreamStoreOptions,
  JetstreamTransportOptions,
  NatsClient,
  NatsConnection,
  NatsHeaders,
  NatsMessage,
} from 'cosmos-telemetry/jetstream';
import {
  hostilePayloads,
  recordingTransport,
  refusedPort,
  relayStoreContract,
  silentServer,
  startCollector,
  testEnvironment,
  transportContract,
} from 'cosmos-telemetry/testing';
import type {
  CollectedRequest,
  Collector,
  CollectorOptions,
  ContractTest,
  Fault,
  FaultHeaders,
  FaultSource,
  HostEventName,
  HostilePayload,
  HostilePayloadOptions,
  MakeTransport,
  OutcomeScript,
  RecordedEvent,
  RecordingTransport,
  RecordingTransportOptions,
  RelayStore,
  RelayStoreContractOptions,
  SilentServer,
  Stored,
  StoredEvent,
  TransportContractOptions,
} from 'cosmos-telemetry/testing';
import { EventEmitter } from 'eventemitter3';
import type { Emitter } from 'mitt';

const note = { description: 'What it says.', reason: 'The decision that it serves.', example: undefined } satisfies FieldNote;
const kind: FieldKind = 'count';
const days: Field<number, false> = count(note);
const fields = {
  days,
  took: nullable(duration(note)),
  layer: optional(oneOf(['staging', 'marts'], { ...note, example: 'marts' })),
  cached: boolean(note),
  operator: identifier(note),
  modes: identifierSet(note),
  dbt_command: command(note),
  dbt_version: version(note),
  dag: hash(note),
} satisfies Fields;
const eventOptions: EventOptions = { daily: undefined };
const BACKFILL = defineEvent('backfill', fields, 'Sent after a backfill.', eventOptions);
const METRICS: MetricsOf<typeof fields> = {
  days: 3,
  took: null,
  cached: true,
  operator: 'DbtRun',
  modes: 'local',
  dbt_command: 'run',
  dbt_version: '1.9.0',
  dag: 'abcdefgh',
};

const environment: Environment = { HOME: '/home/alice', DO_NOT_TRACK: undefined };
const platform: Platform = 'linux';
const logger: Logger = { debug: () => undefined, warn: (message: string) => void message.length };
const product: Product<'acme'> = { name: 'acme', version: '1.2.0' };
const machine: MachineFacts = { system: 'Linux', machine: 'x86_64', nodeVersion: '22.15.0' };
const cause: Cause = 'slow';
const airflow: Host = { name: 'airflow', version: '2.10.1', pythonVersion: undefined };
/** A URL object of another library, such as whatwg-url. */
const url: UrlObject = { href: 'https://telemetry.acme.example/', searchParams: new Map() };
const timer: Timer = { ref: () => timer, unref: () => timer };
const clock: Clock = { now: () => 0, wallNow: () => 0, setTimeout: () => timer, clearTimeout: () => undefined, defer: (run) => run() };

/** A transport of the user's own, with every way to use the signal. */
class QueueTransport implements Transport {
  readonly maxBatchSize = 10;
  readonly sent: string[] = [];

  async send(events: readonly UsageEvent[], signal: SendSignal): Promise<SendOutcome> {
    signal.throwIfAborted();
    const onAbort = () => void this.sent.pop();
    signal.addEventListener('abort', onAbort, { once: true });
    for (const event of events) this.sent.push(`${event.id} ${event.requestTarget()} ${String(event.metrics['days'])}`);
    signal.removeEventListener('abort', onAbort);
    await Promise.resolve();
    return signal.aborted ? { kind: 'aborted' } : { kind: 'rejected', reason: String(signal.reason).slice(0, 40), cause };
  }

  close(): void {
    this.sent.length = 0;
  }
}

/** Without an annotation: the parameters have their types from `Transport`. */
const literal: Transport = { send: async (events, signal) => ({ kind: signal.aborted || events.length === 0 ? 'aborted' : 'sent' }) };

function transports(): Transport {
  const breaker: CircuitBreakerOptions = { failureThreshold: undefined, random: undefined, clock };
  const retries: RetryingOptions = { retries: 3, minDelayMs: undefined, clock };
  const http: FetchTransportOptions = { endpoint: url, proxy: false, env: environment, logger, maxSockets: undefined };
  return retrying(circuitBreaker(fetchTransport(http), breaker), retries);
}

const task: Task = { module: 'acme.operators.local', operatorName: 'AcmeRun', profileConfig: null };
const profile: ProfileConfig = { profileType: 'postgres', getProfileType: undefined };
const dag: Dag = { params: {}, tasks: [task, { ...task, profileConfig: profile }] };
const dagRun: DagRun = { dagId: 'jaffle_shop', dag };
const taskInstance: TaskInstance = { dagId: 'jaffle_shop', taskId: 'run', mapIndex: -1, task };

type Emitted = { 'dag_run.success': HostEvents['dag_run.success']; 'task_instance.failed': { taskInstance: TaskInstance } };

/** Each kind of host. Those of mitt come as parameters: whether `mitt` can be called depends on the module resolution. */
export function hosts(telemetry: Telemetry, small: Emitter<Emitted>, any: Emitter<Record<string, unknown>>): (() => void)[] {
  const names: EventNames = { 'dag_run.success': 'run:done', 'dag_run.failed': undefined };
  const onOff: OnOffHost = { on: () => undefined, off: () => undefined };
  const addRemove: AddRemoveHost = { addListener: () => undefined, removeListener: () => undefined };
  const target: EventTargetHost = { addEventListener: (_name, handler) => handler({ detail: {} }), removeEventListener: () => undefined };
  const all: HostEmitter[] = [
    small,
    any,
    new EventEmitter(),
    new EventEmitter<{ 'dag_run.success': [payload: Emitted['dag_run.success']] }>(),
    onOff,
    addRemove,
    target,
  ];
  small.emit('dag_run.success', { dagRun });
  small.emit('task_instance.failed', { taskInstance });
  const options: RegisterOptions = { events: names, map: undefined };
  const report: HostReport = { event: 'dag_run.success', payload: { dagRun } };
  const later = (id: string): Mapped => Promise.resolve(id === '' ? undefined : report);
  const map: HostMap = { done: (_run: object, id: string) => later(id), skipped: () => null };
  telemetry.report('task_instance.failed', { taskInstance });
  const when: When = { startedAt: new Date(0), endedAt: 1000 };
  const end: End = { ...when, runId: 'r1', attempt: 2, willRetry: false };
  const cached: Outcome = 'cached';
  const runTask: RunTask = { taskId: 'build', owned: true, status: cached, duration: 0.5 };
  const run: RunReport = { ...when, runId: 'r1', status: 'success', tasks: [runTask] };
  telemetry.reportRun(run);
  telemetry.report('task_instance.success', { taskInstance: { ...taskInstance, ...end, status: cached } });
  // @ts-expect-error no such outcome
  telemetry.reportRun({ status: 'done', tasks: [] });
  // @ts-expect-error a payload of another event
  telemetry.report('task_instance.failed', { dagRun });
  // @ts-expect-error no such event
  telemetry.register(onOff, { map: { done: () => ({ event: 'dag_run.done', payload: { dagRun } }) } });
  return [...all.map((host) => telemetry.register(host, options)), telemetry.register(onOff, { map })];
}

/** An emitter with one overload for each event, as many have. */
interface Overloaded {
  on(name: 'started', handler: (id: string) => void): this;
  on(name: 'dag_run.failed', handler: (payload: object) => void): this;
  on(name: 'ended', handler: (id: string) => void): this;
  off(name: string, handler: (payload: never) => void): this;
}

/** An emitter whose `on` has the names of a map, as a BullMQ worker has. */
interface Queue {
  on<K extends keyof QueueEvents>(name: K, handler: QueueEvents[K]): this;
  off<K extends keyof QueueEvents>(name: K, handler: QueueEvents[K]): this;
  eventNames(): (string | symbol)[];
}

interface QueueEvents {
  completed: (job: { id: string }, result: object) => void;
  failed: (job: { id: string } | undefined, error: Error) => void;
}

/** What can emit what we listen for compiles, and what never can does not. */
export function typedHosts(telemetry: Telemetry, queue: Queue, overloaded: Overloaded, small: Emitter<Emitted>): void {
  const typed = new EventEmitter<TypedHost & { started: [id: string] }>();
  typed.emit('dag_run.success', { dagRun });
  const other = new EventEmitter<{ started: [id: string]; done: [id: string] }>();
  telemetry.register(typed);
  telemetry.register(overloaded);
  telemetry.register(small, {});
  telemetry.register(other, { events: { 'dag_run.success': 'done' } });
  telemetry.register(other, { map: { done: (id: string) => (id === '' ? undefined : { event: 'dag_run.success', payload: { dagRun } }) } });
  telemetry.register(queue, { map: { completed: async (job: { id: string }) => (job.id === '' ? undefined : undefined) } });
  // @ts-expect-error it emits none of our events
  telemetry.register(other);
  // @ts-expect-error nor under that name
  telemetry.register(other, { events: { 'dag_run.success': 'finished' } });
  // @ts-expect-error a queue emits its own events
  telemetry.register(queue);
  // @ts-expect-error a misspelt name of its own
  telemetry.register(queue, { map: { complete: () => undefined } });
  // @ts-expect-error it emits two events of ours, under their own names
  telemetry.register(small, { map: { done: () => undefined } });
  // @ts-expect-error an unknown option
  telemetry.register(typed, { events: {}, maps: {} });
}

export async function client(): Promise<boolean> {
  const options: TelemetryOptions<'acme', [typeof BACKFILL]> = {
    product,
    host: airflow,
    endpoint: url,
    env: environment,
    events: [BACKFILL],
    transport: transports(),
    logger: undefined,
    owns: (one: Task) => one.operatorName === 'AcmeRun',
    dagHash: (dagId) => (dagId === '' ? null : dagId),
  };
  const typed: Telemetry<'acme', [typeof BACKFILL]> = createTelemetry(options);
  const telemetry = createTelemetry({ product: { name: 'acme', version: '1.2.0' }, events: [BACKFILL], transport: new QueueTransport() });
  const bus: TelemetryBus<'acme', readonly [typeof BACKFILL]> = telemetry.bus;
  const stop = bus.on('backfill', (metrics: EventMetrics<'acme', readonly [typeof BACKFILL]>['backfill']) => metrics.days + 1);
  stop();
  telemetry.publish('backfill', METRICS);
  // @ts-expect-error no event has this name
  telemetry.publish('backfills', METRICS);
  // @ts-expect-error a text for a number
  telemetry.publish('backfill', { ...METRICS, days: '3' });
  // @ts-expect-error code cannot overrule a person
  createTelemetry({ product, endpoint: COSMOS_ENDPOINT, enabled: true });
  // @ts-expect-error not every object with an href is a URL
  createTelemetry({ product, endpoint: { href: COSMOS_ENDPOINT } });
  const message: ChannelMessage = { product: 'acme', type: 'backfill', reason: 'connect', events: 1 };
  const stats: TelemetryStats = typed.stats();
  const drained: DrainReport = await telemetry.drain({ deadlineMs: undefined });
  const { timedOut, sent } = await createTelemetry({ product, transport: literal }).close({ deadlineMs: 500 });
  return timedOut && sent === stats.sent && drained.durationMs > 0 && message.events > 0 && telemetry.enabled;
}

export async function consent({ consent: asked }: Telemetry<'acme'>, input: ConsentInput, output: ConsentOutput): Promise<boolean> {
  const given: Consent = asked;
  const state: ConsentState = given.state;
  const question: ConsentQuestion = { input, output, question: undefined };
  const report: ConsentReport = state === 'unasked' ? await given.ask(question) : await given.record(false);
  return report.problem === undefined && report.rule.optsOut;
}

export async function direct(): Promise<boolean> {
  const options: EmitOptions = { endpoint: url, product, host: airflow, env: environment, proxy: undefined, logger };
  const metrics: UsageMetrics = collectStandardUsageMetrics({ product, host: undefined, machine });
  const value: MetricValue | undefined = metrics['acme_version'];
  const isSent = await emitUsageMetrics({ ...metrics, event_type: 'backfill', value: value ?? null }, options);
  return isSent || (await emitUsageMetricsIfEnabled('backfill', { days: 3 }, options));
}

export function settings(): string {
  const options: SettingsOptions = { product: 'acme', env: environment, consent: undefined };
  const found: Settings = resolveSettings(options);
  const rules: readonly Rule[] = explainSettings(found).rules;
  const paths = [configFilePath('acme', environment, platform), ...policyFilePaths('acme', environment, platform)];
  return `${String(shouldEmit(found))} ${rules.map(({ name }) => name).join()} ${paths.join()}`;
}

export function notice(): string {
  const definitions: readonly EventDefinition[] = [BACKFILL];
  const options: PrivacyNoticeOptions = { product: { name: 'acme' }, events: definitions, endpoint: url, host: undefined };
  return renderPrivacyNotice(options) + kind;
}

/** One description for all three, and what it changes in the types. */
export async function described(): Promise<boolean> {
  const ci: CommonField = { field: boolean(note), value: true };
  const standardEvents: readonly StandardEvent[] = ['task_instance'];
  const acme = {
    product,
    events: [BACKFILL],
    common: { ci },
    executionModes: ['local', 'container'],
    contact: 'Ask us.',
    transport: new QueueTransport(),
  } as const;
  const shared: ProductDescription = { ...acme, standardEvents };
  createTelemetryCli(shared);
  const telemetry = createTelemetry(acme);
  const metrics: StandardMetrics<'acme', false, readonly StandardEvent[], 'local' | 'container'>['task_instance'] = {
    status: 'timed_out',
    is_mapped_task: false,
    has_callback: false,
    execution_mode: 'container',
  };
  telemetry.publish('task_instance', metrics);
  // @ts-expect-error no such word
  telemetry.publish('task_instance', { ...metrics, execution_mode: 'cloud' });
  // @ts-expect-error only with `dbt: true`
  telemetry.publish('task_instance', { ...metrics, dbt_command: 'run' });
  const dbt = createTelemetry({ ...acme, dbt: true, standardEvents: ['dbt_docs_access'] });
  dbt.publish('dbt_docs_access', { storage_type: 's3', docs_dir_configured: true, uses_custom_conn: false, has_custom_name: false });
  // @ts-expect-error left out
  dbt.publish('task_instance', metrics);
  await Promise.all([telemetry.close(), dbt.close()]);
  return writePrivacyNotice(url, shared);
}

export function metadata(): TelemetryMetadataProblem | undefined {
  try {
    storeTelemetryMetadata(dag, { models: 3 }, { product: 'acme', env: environment });
    decompressTelemetryMetadata(compressTelemetryMetadata({ name: TELEMETRY_METADATA_PARAM }));
    return undefined;
  } catch (error) {
    return error instanceof TelemetryMetadataError ? error.problem : undefined;
  }
}

export async function cli(): Promise<number> {
  const options: TelemetryCliOptions = { product: { name: 'acme', version: undefined }, endpoint: url, events: undefined };
  const stdout: CliStream = { write: (text) => text.length, isTTY: undefined };
  const io: CliIo = { stdout, stderr: undefined, env: environment, platform, isTTY: undefined };
  const acme: TelemetryCli = createTelemetryCli(options);
  return acme.run(['status'], io);
}

export const isDelivering = ({ state, lastFailure }: RelayStatus): boolean => state === 'delivering' || lastFailure?.at === undefined;

export async function relay(request: HttpRequest, response: HttpResponse): Promise<number> {
  const quiet: RelayLogger = { ...logger, info: undefined };
  const log: RelayLogger = { ...quiet, info: () => undefined };
  const options: RelayOptions = { listen: '127.0.0.1:0', forward: url, env: environment, logger: log, spool: undefined };
  const running: Relay = createRelay(options);
  const { port }: RelayAddress = await running.listen();
  running.handler(request, response);
  const stats: RelayStats = running.stats();
  const store: RelayStoreStats = stats.store;
  const report: RelayReport = await running.close({ deadlineMs: undefined });
  return port + store.waiting + report.durationMs;
}

const notCounted: EventOutcome = { kind: 'sent', handedOver: undefined };

const ownHeaders: HeadersOption = async () => ({ authorization: 'Bearer token' });

export function linesOfJson(event: NdjsonEvent): Transport {
  const reading: NdjsonReading = readNdjsonLine(ndjsonLine(event));
  const read: ReadNdjsonEvent | undefined = 'event' in reading ? reading.event : undefined;
  const problem: NdjsonProblem | undefined = 'problem' in reading ? reading.problem : undefined;
  const kindOfDays: NdjsonKind | undefined = read?.kindOf('days');
  const path = `${kindOfDays ?? 'text'}/${problem ?? notCounted.kind}`;
  const options: NdjsonTransportOptions = {
    endpoint: `https://events.acme.example/${path}`,
    headers: ownHeaders,
    ca: undefined,
    retries: undefined,
  };
  return ndjsonTransport(options);
}

export function openTelemetry(): Transport {
  const resource: OtelResource = { attributes: { 'service.name': 'scheduler' }, schemaUrl: undefined, waitForAsyncAttributes: undefined };
  const exporter: OtelExporter = {
    export: (records: OtelLogRecord[], done: (result: OtelExportResult) => void) => done({ code: records.length, error: undefined }),
    shutdown: undefined,
  };
  const scope: OtelScope = product;
  return otelTransport({ exporter, product: scope, resource, lingerMs: undefined });
}

export function lines(event: NdjsonEvent): readonly string[] {
  const reading: NdjsonReading = readNdjsonLine(ndjsonLine(event));
  if ('problem' in reading) {
    const problem: NdjsonProblem = reading.problem;
    return [problem];
  }
  const read: ReadNdjsonEvent = reading.event;
  const known: NdjsonKind | undefined = read.kindOf('days');
  const columns: readonly NdjsonColumn[] = ndjsonColumns({ product, standardEvents: false });
  const types: readonly NdjsonColumnType[] = columns.map(({ type }) => type);
  const names: NdjsonStatementOptions = { table: undefined, file: 'events/*.ndjson.gz' };
  const statements: NdjsonStatements = ndjsonStatements(columns, names);
  return [ndjsonLine(read), known ?? 'none', ...types, statements.duckdb.createTable, statements.clickhouse.insert];
}

const script: OutcomeScript = (event: RecordedEvent) => ({ kind: 'retryable', reason: event.type, cause: undefined });

export async function testing(): Promise<readonly ContractTest[]> {
  const headers: FaultHeaders = { 'retry-after': '1' };
  const fault: Fault = { kind: 'status', status: 503, headers, body: undefined };
  const faults: FaultSource = (request: CollectedRequest, index) => (request.path === '/' && index === 0 ? fault : { kind: 'ok' });
  const options: CollectorOptions = { faults, tls: undefined };
  const collector: Collector = await startCollector(options);
  const silent: SilentServer = await silentServer();
  const recording: RecordingTransportOptions = { outcomes: script, maxBatchSize: undefined };
  const make: MakeTransport = (): RecordingTransport => recordingTransport(recording);
  const contract: TransportContractOptions = { unreachable: make, silent: undefined };
  const hostile: HostilePayloadOptions = { product: undefined };
  const payloads: readonly HostilePayload[] = hostilePayloads(hostile);
  const event: HostEventName = 'dag_run.success';
  const tested: Environment = testEnvironment('acme');
  createTelemetry({ product, transport: recordingTransport(), env: tested });
  payloads.map(({ make: payload }) => payload(event));
  const stored: Stored = 'memory';
  const waiting: StoredEvent[] = [];
  const stores = relayStoreContract((asked: RelayStoreContractOptions): RelayStore => {
    throw new Error(`${asked.id} ${stored} ${waiting.length}`);
  });
  await Promise.all([collector.close(), silent.close(), refusedPort()]);
  return [...stores, ...transportContract(make, contract)];
}

const heldOf = ({ held }: SharedQueueStats): number => held;
const isMissing = (error: unknown): boolean => error instanceof JetstreamError && error.code === 'client_missing';

export function sharedQueue(nats: NatsClient, message: NatsMessage, connection: NatsConnection, headers: NatsHeaders): unknown[] {
  const shared: JetstreamOptions = { client: nats, servers: ['nats://127.0.0.1:4222'], stream: undefined };
  const store: JetstreamStoreOptions = { ...shared, prefetch: 1, required: undefined };
  const sending: JetstreamTransportOptions = { ...shared, maxBatchSize: undefined };
  const open: NonNullable<RelayOptions['store']> = (given: RelayStoreOptions) => jetstreamStore(store)(given);
  return [open, heldOf, isMissing, jetstreamTransport(sending).maxBatchSize, message.reply, connection.info, headers.code];
}
