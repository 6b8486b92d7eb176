// The process of server.mjs: a relay, or the floor of one. It ends when the channel to its parent closes.
import { createServer } from 'node:http';
import { importBuild } from './build.mjs';
import { collected } from './memory.mjs';

const [kind, options] = process.argv.slice(2);
const ask = kind === 'relay' ? await startRelay(JSON.parse(options)) : await startBare();

process.once('disconnect', () => process.exit());
process.on('message', async ({ collects }) => {
  if (collects) await collected();
  const { user, system } = process.cpuUsage();
  process.send({
    ...ask(),
    cpuUs: user + system,
    residentBytes: process.memoryUsage().rss,
    highestResidentBytes: process.resourceUsage().maxRSS * 1024,
  });
});

async function startRelay(given) {
  const { createRelay } = await importBuild('relay/index.js');
  const silent = () => {};
  const relay = createRelay({
    listen: '127.0.0.1:0',
    maxEventsPerSecond: 1_000_000,
    env: {},
    logger: { debug: silent, info: silent, warn: silent },
    ...given,
  });
  const { url } = await relay.listen();
  process.send({ url });
  return () => {
    const { sent, pending, accepted } = relay.stats();
    return { sent, pending, accepted };
  };
}

/** The least that a server of node:http can do. */
function startBare() {
  const server = createServer((_request, response) => response.writeHead(204).end());
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      process.send({ url: `http://127.0.0.1:${server.address().port}` });
      resolve(() => ({}));
    });
  });
}
