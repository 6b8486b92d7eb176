// A program in a process whose Object.prototype is polluted. Argument: JSON of `Pollution`. It prints what it saw as JSON.
import { EventEmitter } from 'node:events';
import type * as Index from '../../src/index.js';

/** What is polluted, and when. */
export interface Pollution {
  endpoint: string;
  /** Names on `Object.prototype`, each with its value. */
  values: Record<string, unknown>;
  /** `before` the package is imported, or `each` after the import: one name after the other. */
  when: 'before' | 'each';
  /** The names with which nothing is sent. */
  waiting: readonly string[];
}

const { endpoint, values, when, waiting } = JSON.parse(process.argv[2] ?? '') as Pollution;
const failures: string[] = [];
process.on('uncaughtException', (error) => failures.push(`uncaught: ${error.message}`));
process.on('unhandledRejection', (error) => failures.push(`unhandled: ${String(error)}`));

function pollute(names: readonly string[]): void {
  for (const name of names) {
    // oxlint-disable-next-line eslint/no-extend-native -- this is the pollution
    Object.defineProperty(Object.prototype, name, { value: values[name], configurable: true, enumerable: true, writable: true });
  }
}

function clean(): void {
  for (const name of Object.keys(values)) Reflect.deleteProperty(Object.prototype, name);
}

const TASK = { module: 'acme.operators.local', operatorName: 'SqlTask' };
const ENV: NodeJS.ProcessEnv = { HOME: '/nowhere' };

/** All public functions that take options, each with the fewest. @returns What they gave. */
async function run(index: typeof Index, path: string, waits = false): Promise<unknown> {
  const lines: string[] = [];
  const logger = { debug: (line: string) => void lines.push(line), warn: (line: string) => void lines.push(line) };
  const product = { name: 'acme', version: '1.0.0' } as const;
  const tick = index.defineEvent('tick', { n: index.count({ description: 'Which one.', reason: 'To tell them apart.' }) });
  const telemetry = index.createTelemetry({ product, endpoint: `${endpoint}${path}`, events: [tick], env: ENV, logger });
  const host = new EventEmitter();
  telemetry.register(host);
  host.emit('task_instance.success', { taskInstance: { dagId: 'd', taskId: 't', mapIndex: -1, task: TASK } });
  host.emit('dag_run.failed', { dagRun: { dagId: 'd', dag: { params: {}, tasks: [TASK] } } });
  telemetry.publish('tick', { n: 7 });
  const drained = await telemetry.drain(waits ? { deadlineMs: 50 } : {});
  const { durationMs: _, ...report } = await telemetry.close();
  const dag: { params?: Record<string, unknown> } = { params: {} };
  return {
    isOn: index.resolveSettings({ product: 'acme', env: ENV }).enableTelemetry,
    isOff: index.shouldEmit(index.resolveSettings({ product: 'acme', env: { ...ENV, ACME_TELEMETRY: '0' } })),
    once: await index.emitUsageMetrics(
      { event_type: 'once', a: 1 },
      { endpoint: `${endpoint}${path}`, product, env: ENV, attemptTimeoutMs: 20_000 },
    ),
    stored: index.storeTelemetryMetadata(dag, { database: 'postgres' }, { product: 'acme', env: ENV }),
    packed: Object.keys(dag.params ?? {}),
    unpacked: index.decompressTelemetryMetadata(index.compressTelemetryMetadata({ database: 'postgres' })),
    notice: index.renderPrivacyNotice({ product: { name: 'acme' }, events: [tick] }).length,
    standard: Object.keys(index.collectStandardUsageMetrics({ product })),
    drained: drained.pending,
    report,
    lines,
  };
}

const results: unknown[] = [];
if (when === 'before') {
  pollute(Object.keys(values));
  const index = await import('../../src/index.js');
  const result = await run(index, '/0').catch((error: unknown) => String(error));
  clean();
  results.push(result);
} else {
  const index = await import('../../src/index.js');
  let number = 0;
  for (const name of [undefined, ...Object.keys(values)]) {
    if (name !== undefined) pollute([name]);
    const result = await run(index, `/${number}`, name !== undefined && waiting.includes(name)).catch((error: unknown) => String(error));
    clean();
    results.push(result);
    number += 1;
  }
}
process.stdout.write(JSON.stringify({ results, failures }));
