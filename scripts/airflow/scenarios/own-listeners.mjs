// Do the listeners of this package, with the facts that a host has about the same runs, make the same requests as Cosmos?
import { EventEmitter } from 'node:events';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { createTelemetry } from '../../../dist/index.js';
import { recordingTransport } from '../../../dist/testing/index.js';
import { without } from '../lib/multisets.mjs';
import { runForJson } from '../lib/processes.mjs';

const FACTS = fileURLToPath(new URL('../host_facts.py', import.meta.url));

/** The one task whose invocation mode the worker chooses: a host cannot know it. */
const CHOSEN_BY_WORKER = { dagId: 'groups', known: 'invocation_mode=None', sent: 'invocation_mode=subprocess' };

/** @returns Versions, and the rows of the table: `{ what, cosmos, ours, isSame }`. */
export async function ownListeners({ airflow, checks, folder, home }, { runs, sent }) {
  const facts = await runForJson(home.python, [FACTS, path.join(home.folder, 'dags')], { env: home.env });
  const made = await replay(facts, runs, (one) => airflow.attempts(one), folder);
  const targets = made.map(({ target }) => target);
  const rows = tableOf(made, sent);
  console.table(
    rows.map(({ what, cosmos, ours, isSame }) => ({ event: what, Cosmos: cosmos, 'this package': ours, 'byte for byte': isSame })),
  );
  const missing = without(sent, targets);
  const more = without(targets, sent);
  checks.add(
    'for the same runs our listeners make the requests of Cosmos, except one',
    sent.length === targets.length && missing.length === 1 && more.length === 1,
    `${sent.length - missing.length} of ${sent.length} byte for byte`,
  );
  const one = made.find(({ target }) => target === more[0]);
  const isExplained =
    one?.dagId === CHOSEN_BY_WORKER.dagId && one.target.replace(CHOSEN_BY_WORKER.known, CHOSEN_BY_WORKER.sent) === missing[0];
  checks.add('and that one differs only in the invocation mode that the worker chose', isExplained);
  return { facts, rows };
}

async function replay(facts, runs, attemptsOf, folder) {
  const transport = recordingTransport();
  const host = new EventEmitter();
  const { cosmosVersion, airflowVersion, pythonVersion, dags } = facts;
  const telemetry = createTelemetry({
    product: { name: 'cosmos', version: cosmosVersion },
    host: { version: airflowVersion, pythonVersion },
    transport,
    env: { HOME: folder },
  });
  telemetry.register(host);
  const made = [];
  /** One at a time, so that each request belongs to a known event. */
  const emit = async (event, payload, dagId) => {
    const before = transport.events.length;
    host.emit(event, payload);
    await telemetry.drain();
    for (const { requestTarget, type } of transport.events.slice(before))
      made.push({ dagId, type, target: `/astronomer-cosmos${requestTarget}` });
  };
  for (const one of runs) {
    const { dagId, state } = one;
    const dag = dags[dagId];
    for (const { taskId, mapIndex, state: ended } of await attemptsOf(one)) {
      if (ended !== 'success' && ended !== 'failed') continue;
      const task = dag.tasks.find((candidate) => candidate.taskId === taskId);
      await emit(`task_instance.${ended}`, { taskInstance: { dagId, taskId, mapIndex, task } }, dagId);
    }
    await emit(`dag_run.${state}`, { dagRun: { dagId, dag } }, dagId);
  }
  telemetry.publish('dbt_docs_access', {
    storage_type: 'local',
    docs_dir_configured: true,
    uses_custom_conn: false,
    has_custom_name: true,
  });
  await telemetry.drain();
  made.push({ dagId: '', type: 'dbt_docs_access', target: `/astronomer-cosmos${transport.events.at(-1).requestTarget}` });
  await telemetry.close();
  return made;
}

function tableOf(made, sent) {
  const groups = grouped(made);
  return [...groups].map(([target, list]) => {
    const [{ type }] = list;
    const ended = /&status=([a-z]+)/.exec(target)?.[1];
    const dagIds = [...new Set(list.map(({ dagId }) => dagId))].filter((dagId) => dagId !== '');
    const cosmos = sent.filter((other) => other === target).length;
    return {
      what: [`${type}${ended === undefined ? '' : ` ${ended}`}`, ...(dagIds.length > 0 ? [dagIds.join(', ')] : [])].join(': '),
      cosmos,
      ours: list.length,
      isSame: cosmos === list.length,
    };
  });
}

function grouped(made) {
  const groups = new Map();
  for (const one of made) groups.set(one.target, [...(groups.get(one.target) ?? []), one]);
  return groups;
}
