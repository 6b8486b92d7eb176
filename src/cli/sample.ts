import { metadataFields } from '../events/dag-run.js';
import type { Fields } from '../events/definition.js';
import { fieldExample } from '../events/field-words.js';
import type { MetricValue } from '../events/fields.js';
import { compressTelemetryMetadata, metadataParam } from '../metadata.js';
import type { PreviewItem } from './preview-document.js';
import type { Program } from './program.js';

/** One event of each kind that the program may send, all made up: what a host emits as a host emits it, all else as it is published. */
export function sampleItems({ product, definitions }: Program): PreviewItem[] {
  const task = sampleTask(product.name);
  const tasks = [task, { ...task, module: 'somebody.else' }];
  const params = { [metadataParam(product.name)]: compressTelemetryMetadata(exampleMetrics(metadataFields)) };
  const dagRun = { dagId: 'example_dag', dag: { params, tasks } };
  const taskInstance = { dagId: 'example_dag', taskId: 'example_task', mapIndex: -1, duration: 7.5, task };
  const published = [...definitions.values()].filter(({ type }) => type !== 'dag_run' && type !== 'task_instance');
  return [
    { kind: 'host', event: 'dag_run.success', payload: { dagRun } },
    { kind: 'host', event: 'task_instance.success', payload: { taskInstance } },
    ...published.map(({ type, fields }) => ({ kind: 'published', event: type, metrics: exampleMetrics(fields) }) as const),
  ];
}

function sampleTask(product: string) {
  return {
    module: `${product}.operators.local`,
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
