// The process of server.mjs: a relay, or the floor of one. It ends when the channel to its parent closes.
import { createServer } from 'node:http';
import { importBuild } from './build.mjs';
import { collected } from './memory.mjs';

const silent = () => {};

const [kind, options] = process.argv.slice(2);
const server = kind === 'relay' ? await startRelay(JSON.parse(options)) : await startBare();

process.once('disconnect', () => void end());
process.on('message', (question) => void answer(question));

async function end() {
  await server.close();
  process.exit();
}

async function answer({ collects }) {
  if (collects) await collected();
  const { user, system } = process.cpuUsage();
  process.send({
    ...server.ask(),
    cpuUs: user + system,
    residentBytes: process.memoryUsage().rss,
    highestResidentBytes: process.resourceUsage().maxRSS * 1024,
  });
}

async function startRelay(given) {
  const { createRelay } = await importBuild('relay/index.js');
  const relay = createRelay({
    listen: '127.0.0.1:0',
    maxEventsPerSecond: 1_000_000,
    env: {},
    logger: { debug: silent, info: silent, warn: silent },
    ...given,
  });
  const { url } = await relay.listen();
  process.send({ url });
  const ask = () => {
    const { sent, pending } = relay.stats();
    return { sent, pending };
  };
  return { ask, close: () => relay.close({ deadlineMs: 0 }) };
}

/** The least that a server of node:http can do. */
function startBare() {
  const bare = createServer((_request, response) => response.writeHead(204).end());
  return new Promise((resolve) => {
    bare.listen(0, '127.0.0.1', () => {
      process.send({ url: `http://127.0.0.1:${bare.address().port}` });
      resolve({ ask: () => ({}), close: () => Promise.resolve() });
    });
  });
}
