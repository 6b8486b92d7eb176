// A running Airflow 3: scheduler with its workers, DAG processor and API server, on SQLite and free ports.
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { refusedPort } from '../../../dist/testing/index.js';
import { run, startLogged } from './processes.mjs';
import { until } from './waiting.mjs';

const START_TIMEOUT_MS = 120_000;
const RUN_TIMEOUT_MS = 120_000;

/** Starts an Airflow in its home and waits until it has loaded `dags` DAGs. */
export async function startAirflow(home, dags) {
  const port = await refusedPort();
  const env = {
    ...home.env,
    AIRFLOW__API__PORT: `${port}`,
    AIRFLOW__API__BASE_URL: `http://localhost:${port}`,
    AIRFLOW__CORE__EXECUTION_API_SERVER_URL: `http://localhost:${port}/execution/`,
  };
  const program = path.join(home.programs, 'airflow');
  await run(program, ['db', 'migrate'], { env, cwd: home.folder });
  const parts = [
    ['api-server', '--host', '127.0.0.1', '--port', `${port}`, '--workers', '1'],
    ['dag-processor'],
    ['scheduler', '--skip-serve-logs'],
  ].map((args) => startLogged(program, args, { env, cwd: home.folder, logFile: path.join(home.folder, `${args[0]}.log`) }));
  const airflow = new Airflow(port, parts);
  try {
    await until(
      'Airflow to start',
      async () => {
        for (const part of parts) part.assertRuns();
        return airflow.isReady(dags);
      },
      { timeoutMs: START_TIMEOUT_MS, everyMs: 500 },
    );
  } catch (error) {
    await airflow.stop();
    throw error;
  }
  return airflow;
}

class Airflow {
  #base;
  #parts;
  #token;

  constructor(port, parts) {
    this.#base = `http://127.0.0.1:${port}`;
    this.#parts = parts;
  }

  /** Whether it answers, its parts are alive and all DAGs are loaded. */
  async isReady(dags) {
    try {
      this.#token ??= (await (await fetch(`${this.#base}/auth/token`)).json()).access_token;
      const { scheduler, dag_processor: processor } = await this.#get('/api/v2/monitor/health');
      if (scheduler.status !== 'healthy' || processor.status !== 'healthy') return false;
      return (await this.#get('/api/v2/dags')).total_entries === dags;
    } catch {
      return false;
    }
  }

  /** Runs all DAGs at the same time and waits for their ends. @returns Their runs: `{ dagId, runId, state }`. */
  async runDags(dagIds) {
    const started = [];
    for (const dagId of dagIds) {
      const { dag_run_id: runId } = await this.#ask('POST', `/api/v2/dags/${dagId}/dagRuns`, { logical_date: null });
      started.push({ dagId, runId });
    }
    return Promise.all(started.map((one) => this.#waitFor(one)));
  }

  async #waitFor({ dagId, runId }) {
    const state = await until(
      `${dagId} to end`,
      async () => {
        for (const part of this.#parts) part.assertRuns();
        const { state: current } = await this.#get(`/api/v2/dags/${dagId}/dagRuns/${encodeURIComponent(runId)}`);
        return ['success', 'failed'].includes(current) && current;
      },
      { timeoutMs: RUN_TIMEOUT_MS, everyMs: 300 },
    );
    return { dagId, runId, state };
  }

  /** Every attempt of every task of an ended run: `{ dagId, taskId, mapIndex, state }`. */
  async attempts({ dagId, runId }) {
    const tasks = `/api/v2/dags/${dagId}/dagRuns/${encodeURIComponent(runId)}/taskInstances`;
    const { task_instances: newest } = await this.#get(tasks);
    const lists = newest.map(async ({ task_id: taskId, map_index: mapIndex }) => {
      const tries = await this.#get(`${tasks}/${taskId}${mapIndex < 0 ? '' : `/${mapIndex}`}/tries`);
      return tries.task_instances.map(({ state }) => ({ dagId, taskId, mapIndex, state }));
    });
    return (await Promise.all(lists)).flat();
  }

  /** Opens the documentation of the dbt project, like a browser. */
  async viewDocs() {
    await (await fetch(`${this.#base}/cosmos/jaffle_shop/dbt_docs_index.html`)).text();
  }

  async stop() {
    await Promise.all(this.#parts.map((part) => part.stop()));
  }

  #get(path_) {
    return this.#ask('GET', path_);
  }

  async #ask(method, path_, body) {
    const headers = { authorization: `Bearer ${this.#token}`, 'content-type': 'application/json' };
    const answer = await fetch(`${this.#base}${path_}`, { method, headers, ...(body && { body: JSON.stringify(body) }) });
    if (!answer.ok) throw new Error(`Airflow answers ${answer.status} to ${method} ${path_}: ${await answer.text()}`);
    return answer.json();
  }
}

/** The recorded waits of Cosmos' hooks: `{ eventType, waitedMs, isSuccess }` each. */
export function hookTimings(home) {
  return existsSync(home.timings) ? linesOf(home.timings) : [];
}

/** The connections and look-ups that the guard refused. */
export function escapes(home) {
  return existsSync(home.escapes) ? linesOf(home.escapes) : [];
}

/** Shows that the guard works: makes a connection that it must refuse. @returns The guard's record. */
export async function provokeEscape(home) {
  const code = 'import socket\ntry:\n    socket.create_connection(("192.0.2.1", 9), 1)\nexcept PermissionError:\n    pass';
  const file = `${home.escapes}.provoked`;
  appendFileSync(file, '');
  await run(home.python, ['-c', code], { env: { ...home.env, AIRFLOW_TEST_ESCAPES: file } });
  return linesOf(file);
}

function linesOf(file) {
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
}
