// A relay on the queue, as a process that may be killed. It prints its address, and its report when it is told to end.
import * as client from '@nats-io/transport-node';
import { jetstreamStore } from '../dist/jetstream/index.js';
import { createRelay } from '../dist/relay/index.js';

const { servers, forward, stream, ackWaitMs = 2000 } = JSON.parse(process.argv[2]);
const relay = createRelay({
  listen: '127.0.0.1:0',
  forward,
  env: {},
  backoffMs: 50,
  maxBackoffMs: 200,
  store: jetstreamStore({ client, servers, stream, ackWaitMs, prefetch: 64 }),
});
const { url } = await relay.listen();
console.log(url);
// What it counted outlives a kill in its parent.
let counted = 0;
setInterval(() => {
  const { maybeSentTwice } = relay.stats().store;
  if (maybeSentTwice > counted) console.log(JSON.stringify({ maybeSentTwice }));
  counted = maybeSentTwice;
}, 20).unref();
// It ends with its parent, too.
process.stdin.on('end', () => void relay.close().then((report) => console.log(JSON.stringify({ report }))));
process.stdin.resume();
