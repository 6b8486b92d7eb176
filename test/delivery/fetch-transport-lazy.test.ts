import { spawnSync } from 'node:child_process';
import test from 'ava';

const entry = new URL('../../src/delivery/fetch-transport.js', import.meta.url).href;

/** Runs a script in a process of its own and gives what it printed as JSON. */
function run(script: string): unknown {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], { encoding: 'utf8', env: {} });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}

test('nothing of HTTP is loaded before the first send, and no timer is there', (t) => {
  const [before, timers, after] = run(`
    const HEAVY = /^NativeModule (http|https|net|tls|dns)$/;
    // Node itself may load some on its way here, such as net for a stream that is a pipe.
    void [process.stdin, process.stdout, process.stderr];
    const own = new Set(process.moduleLoadList.filter((name) => HEAVY.test(name)));
    const { fetchTransport } = await import(${JSON.stringify(entry)});
    const heavy = () => process.moduleLoadList.filter((name) => HEAVY.test(name) && !own.has(name));
    const transport = fetchTransport({ endpoint: 'http://127.0.0.1:9' });
    const before = heavy();
    const timers = process.getActiveResourcesInfo().filter((name) => name === 'Timeout' || name === 'Immediate');
    await transport.send([{ id: '1', type: 'x', metrics: {}, requestTarget: () => '/x' }], new AbortController().signal);
    process.stdout.write(JSON.stringify([before, timers, heavy().length + own.size]));
  `) as [string[], string[], number];
  t.deepEqual(before, []);
  t.deepEqual(timers, []);
  t.is(after, 5);
});

/** Whether a send with these options loads what the library for tunnels brings with it. */
function loadsTunnels(options: object): unknown {
  return run(`
    import { createRequire } from 'node:module';
    const { fetchTransport } = await import(${JSON.stringify(entry)});
    const transport = fetchTransport({ connectTimeoutMs: 100, ...${JSON.stringify(options)} });
    const held = setInterval(() => {}, 1000);
    await transport.send([{ id: '1', type: 'x', metrics: {}, requestTarget: () => '/x' }], new AbortController().signal);
    clearInterval(held);
    process.stdout.write(JSON.stringify(Object.keys(createRequire(import.meta.url).cache).some((path) => path.includes('debug'))));
  `);
}

test('the library for tunnels is loaded for tunnels only', (t) => {
  t.false(loadsTunnels({ endpoint: 'https://127.0.0.1:9' }));
  t.false(loadsTunnels({ endpoint: 'http://collector.test', proxy: 'http://127.0.0.1:9' }));
  t.true(loadsTunnels({ endpoint: 'https://collector.test', proxy: 'http://127.0.0.1:9' }));
});
