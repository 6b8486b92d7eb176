import type { EventBus } from '../bus.js';
import type { Status } from '../events/dag-run.js';
import { isHash } from '../events/fields.js';
import type { UsageMetrics } from '../events/fields.js';
import { disarm } from '../rejections.js';
import type { DagFactsCache } from './dag-facts.js';
import { isObject, LOST } from './host-reader.js';
import type { HostReader } from './host-reader.js';
import type { PayloadListener } from './register.js';

/** What a DAG run listener needs. */
export interface DagRunListenerOptions {
  product: string;
  bus: EventBus;
  reader: HostReader;
  facts: DagFactsCache;
  dagHash: (dagId: string) => string | null;
  metadataParam: string;
}

/** Listens to the end of DAG runs: one builder for both ways to end. Nothing is published for a DAG with no own task. */
export function dagRunListener(status: Status, options: DagRunListenerOptions): PayloadListener {
  const { product, bus, reader, facts, dagHash, metadataParam } = options;
  const ownTaskCount = `${product}_task_count`;
  return (payload) => {
    const dagRun = isObject(payload) ? reader.object(payload, 'dagRun') : undefined;
    const dag = dagRun && reader.object(dagRun, 'dag');
    const dagFacts = dag && facts.of(reader.read(dag, 'tasks'));
    if (dagRun === undefined || dag === undefined || dagFacts === undefined) return 'invalid';
    if (dagFacts.ownTaskCount === 0) return undefined;
    const metrics: UsageMetrics = {};
    const hash = hashOf(dagRun);
    if (hash !== null) metrics['dag_hash'] = hash;
    metrics['status'] = status;
    metrics['task_count'] = dagFacts.taskCount;
    metrics[ownTaskCount] = dagFacts.ownTaskCount;
    if (dagFacts.executionModes === undefined) reader.lose('module');
    else metrics['execution_modes'] = dagFacts.executionModes;
    bus.publishOwned('dag_run', metrics, packedMetadataOf(dag));
    return undefined;
  };

  function hashOf(dagRun: object): string | null {
    const given = reader.read(dagRun, 'dagHash');
    if (isHash(given)) return given;
    const dagId = reader.read(dagRun, 'dagId');
    if (typeof dagId !== 'string') return null;
    try {
      const hash: unknown = dagHash(dagId);
      if (hash === null || isHash(hash)) return hash;
      disarm(hash);
    } catch {
      // The product's own function failed: the run is reported without a hash.
    }
    reader.lose('dagHash');
    return null;
  }

  /** The packed string itself: it is unpacked later, off the host's path. */
  function packedMetadataOf(dag: object): string | undefined {
    const params = reader.object(dag, 'params');
    const param = params && reader.read(params, metadataParam);
    if (!isObject(param)) return asPacked(param);
    // A Param object of Airflow: what the run was started with, else what the DAG was written with.
    const value = reader.read(param, 'value');
    return asPacked(typeof value === 'string' ? value : reader.read(param, 'default'));
  }
}

function asPacked(value: unknown): string | undefined {
  // Not a string and yet there: let the bus count it as unreadable, as it does with one that is too long.
  return value === undefined || value === null || value === LOST ? undefined : (value as string);
}
