import type { EventBus } from '../bus.js';
import type { Ledger } from '../ledger.js';
import { metadataParam } from '../metadata.js';
import { DagFactsCache } from './dag-facts.js';
import { dagRunListener } from './dag-run.js';
import { HostReader } from './host-reader.js';
import type { PayloadListeners } from './register.js';
import { taskInstanceListener } from './task-instance.js';

/** What the listeners of one product share. */
export interface HostListenersOptions {
  bus: EventBus;
  ledger: Ledger;
  dagHash: (dagId: string) => string | null;
}

/** The four listeners of one product. */
export function hostListeners(product: string, { bus, ledger, dagHash }: HostListenersOptions): PayloadListeners {
  const reader = new HostReader(ledger);
  const dagRun = { product, bus, reader, facts: new DagFactsCache(product, reader), dagHash, metadataParam: metadataParam(product) };
  const taskInstance = { product, bus, reader };
  return {
    'dag_run.success': dagRunListener('success', dagRun),
    'dag_run.failed': dagRunListener('failed', dagRun),
    'task_instance.success': taskInstanceListener('success', taskInstance),
    'task_instance.failed': taskInstanceListener('failed', taskInstance),
  };
}
