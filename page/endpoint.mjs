// An endpoint that can be away: its port refuses connections meanwhile.
import { once } from 'node:events';
import { Agent, createServer, get } from 'node:http';

export class Endpoint {
  received = 0;
  /** The status of each answer. */
  status = 200;
  #server;
  #port = 0;

  get url() {
    return `http://127.0.0.1:${this.#port}/up`;
  }

  async start() {
    this.#server = createServer((_request, response) => {
      this.received += 1;
      response.writeHead(this.status).end();
    });
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.#port = this.#server.address().port;
  }

  async stop() {
    if (this.#server === undefined) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    this.#server = undefined;
    await closed;
  }
}

const agent = new Agent({ keepAlive: true, maxSockets: 8 });

/** Closes the connections to relays. */
export function hangUp() {
  agent.destroy();
}

/** One event, as Cosmos sends it. @returns The status of the answer. */
export function send(url, event = '/v3/dag_run?status=success&task_count=3', headers = {}) {
  return new Promise((resolve, reject) => {
    get(`${url}${event}`, { agent, headers }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode));
    }).on('error', reject);
  });
}

/** Sends as many events a second for some seconds. @returns How many were accepted. */
export async function sendAtRate(url, perSecond, seconds) {
  const EVERY_MS = 20;
  const startedAtMs = performance.now();
  const answers = [];
  while (answers.length < perSecond * seconds) {
    const due = Math.min(perSecond * seconds, Math.ceil(((performance.now() - startedAtMs) / 1000) * perSecond));
    while (answers.length < due) answers.push(send(url));
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
  }
  return (await Promise.all(answers)).filter((status) => status === 200 || status === 204).length;
}
