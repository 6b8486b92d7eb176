// The same host in a worker thread.
import { Worker } from 'node:worker_threads';

const worker = new Worker(new URL('./host.mjs', import.meta.url), { argv: [process.argv[2]] });
worker.on('error', (error) => console.error(error));
