// The floor of delivery: workers that request the same URL in a loop over their own connections, and nothing else.
import { Agent as HttpAgent, get as httpGet } from 'node:http';
import { Agent as HttpsAgent, get as httpsGet } from 'node:https';
import nodeFetch from 'node-fetch';
import { EVENT, STANDARD } from '../harness/sample-event.mjs';

function loop({ endpoint, concurrency }, requestWith) {
  const isSecure = endpoint.startsWith('https:');
  const agent = new (isSecure ? HttpsAgent : HttpAgent)({ keepAlive: true, maxSockets: concurrency });
  const request = requestWith(`${endpoint}/v3/task_instance?${new URLSearchParams({ ...STANDARD, ...EVENT })}`, agent, isSecure);
  let waiting = 0;
  const work = async () => {
    while (waiting > 0) {
      waiting -= 1;
      await request();
    }
  };
  return {
    publish: () => (waiting += 1),
    settle: () => Promise.all(Array.from({ length: concurrency }, work)),
    close: () => Promise.resolve(agent.destroy()),
  };
}

/** node-fetch. */
export const openNodeFetch = (options) =>
  loop(options, (url, agent) => async () => {
    const response = await nodeFetch(url, { agent });
    await response.arrayBuffer();
  });

/** node:http, on which node-fetch is built. */
export const openNodeHttp = (options) =>
  loop(
    options,
    (url, agent, isSecure) => () =>
      new Promise((resolve, reject) => {
        const get = isSecure ? httpsGet : httpGet;
        get(url, { agent }, (response) => response.once('end', resolve).resume()).once('error', reject);
      }),
  );
