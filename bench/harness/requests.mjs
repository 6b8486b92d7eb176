// Sends the requests of Cosmos to a relay.
import { once } from 'node:events';
import { Agent, get } from 'node:http';
import { connect } from 'node:net';

/** The request target of a task_instance event of Cosmos; `number` makes it differ from the others. */
const target = (number) =>
  '/astronomer-cosmos/v3/task_instance?cosmos_version=1.15.1&airflow_version=3.3.2&python_version=3.11.7' +
  '&platform_system=Linux&platform_machine=x86_64&status=success&operator_name=DbtRunLocalOperator' +
  '&is_cosmos_operator_subclass=False&invocation_mode=subprocess&execution_mode=local' +
  '&profile_strategy=yaml_file&profile_mapping_class=None&database=duckdb&is_mapped_task=False&dbt_command=run' +
  `&install_deps=False&has_callback=False&duration=${number}.5`;

/** Events that one connection sends before it waits for their answers, and in all: a relay takes at most 10,000 requests of a connection. */
const PIPELINED = 50;
const OF_ONE_CONNECTION = 5000;

/**
 * Sends events as fast as one process can, over a few connections, until the relay has no room or has accepted all.
 *
 * @returns how many were accepted
 */
export async function fill(url, events = Infinity, connections = 4) {
  const load = new Load(Number(new URL(url).port), events);
  await Promise.all(Array.from({ length: connections }, () => load.work()));
  return load.accepted;
}

class Load {
  accepted = 0;
  #sent = 0;
  #hasRoom = true;
  #port;
  #events;

  constructor(port, events) {
    this.#port = port;
    this.#events = events;
  }

  get #isDone() {
    return !this.#hasRoom || this.#sent >= this.#events;
  }

  /** Sends over one connection after the other. */
  async work() {
    while (!this.#isDone) {
      const socket = connect(this.#port, '127.0.0.1').setEncoding('latin1');
      await once(socket, 'connect');
      for (let sent = 0; sent < OF_ONE_CONNECTION && !this.#isDone; sent += PIPELINED) await this.#sendSome(socket);
      socket.destroy();
    }
  }

  async #sendSome(socket) {
    const count = Math.min(PIPELINED, this.#events - this.#sent);
    let requests = '';
    for (let index = 0; index < count; index += 1) {
      requests += `GET ${target(this.#sent + index)} HTTP/1.1\r\nhost: 127.0.0.1:${this.#port}\r\n\r\n`;
    }
    this.#sent += count;
    socket.write(requests);
    let answers = '';
    let statuses = [];
    while (statuses.length < count) {
      answers += (await once(socket, 'data'))[0];
      statuses = answers.match(/HTTP\/1\.1 \d{3}/g) ?? [];
    }
    const refused = statuses.filter((status) => !status.includes(' 2'));
    const unexpected = refused.find((status) => !status.endsWith('503'));
    if (unexpected !== undefined) throw new Error(`the relay answered ${unexpected}`);
    this.accepted += count - refused.length;
    if (refused.length > 0) this.#hasRoom = false;
  }
}

/**
 * Asks as often as the server answers, with the client of node:http.
 *
 * @returns answers in a second, and the percentage of 204: a relay answers 200 for what it could not store on disk in time
 */
export async function answersPerS(url, { connections, forMs }) {
  const { port } = new URL(url);
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const startedAtMs = performance.now();
  let answers = 0;
  let stored = 0;
  const ask = () =>
    new Promise((resolve, reject) => {
      get({ host: '127.0.0.1', port, path: target(answers), agent }, (response) => {
        if (response.statusCode === 204) stored += 1;
        else if (response.statusCode !== 200) reject(new Error(`answered ${response.statusCode}`));
        response.once('end', resolve).resume();
      }).once('error', reject);
    });
  const work = async () => {
    while (performance.now() - startedAtMs < forMs) {
      await ask();
      answers += 1;
    }
  };
  await Promise.all(Array.from({ length: connections }, work));
  const tookMs = performance.now() - startedAtMs;
  agent.destroy();
  return { answersPerS: (answers * 1000) / tookMs, storedPercent: (100 * stored) / answers };
}
